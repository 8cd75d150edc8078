"""One site as a STAC Collection with an Item a period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import zarr
from numpy.typing import NDArray

from minebench import __version__, receipts
from minebench.cube import store as cube_store
from minebench.files import replacing, write_json
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from minebench.text import counted
from pipeline.core.runner import Step
from pipeline.cubes import cube
from pipeline.recipe import Recipe
from pipeline.scenes.scene_table import Listed
from pipeline.sites.site import Site
from pipeline.stac import assets, item, objects, times

EXTENSIONS = [
    objects.extension(name)
    for name in (
        "classification/v1.1.0", "datacube/v2.3.0", "eo/v1.1.0", "file/v2.1.0",
        "projection/v2.0.0", "raster/v2.0.0", "scientific/v1.0.0", "version/v1.2.0",
    )
]  # fmt: skip
VERSION = 6
"""Of a site's folder in the catalog: raise it when the same cube is published otherwise."""
BY_KIND = {"image": 3, "embedding": 2}
"""The same, of pixels of one kind alone."""


@dataclass(frozen=True)
class Task:
    """One site's work. `chosen` are the rows of `scenes` that were selected, `index` the benchmark's
    tables as seen from the site, `parent` the href of the catalog that links the site."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    chosen: Listed
    index: Mapping[str, pystac.Asset]
    parent: str = "../catalog.json"

    def __reduce__(self) -> Any:
        # A worker elsewhere gets the rows of its own site.
        chosen = self.chosen.only(self.site.site_id)
        return Task, (self.benchmark, self.recipe, self.site, chosen, self.index, self.parent)

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """The site's rows."""
        rows = self.chosen.of(self.site.site_id)
        return self.chosen.table[:0] if rows is None else rows

    @property
    def cube(self) -> Path:
        return self.benchmark.cube(self.site.site_id)

    @cached_property
    def tree(self) -> assets.Tree:
        """Checksums of the cube's files: what is published of them must be true."""
        return assets.tree(self.cube)

    @property
    def folder(self) -> Path:
        """Where the site is published."""
        return self.benchmark.stac / self.site.site_id

    @property
    def periods(self) -> list[Period]:
        """The periods that the cube holds."""
        return cube.periods_in(self.cube, self.recipe)


def _key(task: Task) -> str:
    recipe = task.recipe.model_dump(exclude={"split"})
    named = [task.site.label, task.site.country]
    columns = ("period", "scene_id", "day", "offset", "corrected")
    scenes = dict(zip(columns, task.chosen.values(task.site.site_id, columns), strict=True))
    kind = task.recipe.sensor.encoding.kind
    own = [BY_KIND[kind]] if kind in BY_KIND else []
    return receipts.fingerprint([VERSION, __version__, task.tree.sums, recipe, named, scenes, *own])


def _receipt(task: Task) -> Path:
    return task.folder / "collection.json"


def _kept(task: Task) -> str:
    """The key. Items stay; the collection also names its parent and the benchmark's tables, which may have
    changed."""
    content = receipts.read(_receipt(task))
    index = {key: table.to_dict() for key, table in task.index.items()}
    links = [{**link, "href": task.parent} if link["rel"] == "parent" else link for link in content["links"]]
    if links != content["links"] or any(content["assets"][key] != table for key, table in index.items()):
        assets = {**content["assets"], **index}
        write_json({**content, "assets": assets, "links": links}, _receipt(task))
    return str(content[receipts.KEY])


def _make(task: Task, key: str) -> str:
    tree = task.tree
    with replacing(task.folder) as temporary:
        temporary.mkdir()
        group, images = zarr.open_group(task.cube, mode="r"), cube.images(task.cube, task.recipe)
        stretch = assets.stretch(images, task.recipe)
        items = [
            _write_item(task, temporary, group, images[position], position, period, stretch, tree)
            for position, period in enumerate(task.periods)
        ]
        _write_collection(task, temporary, items, tree, key)
    return key


STEP = Step("catalog", _key, _receipt, _make, _kept)


def _write_item(
    task: Task, temporary: Path, group: zarr.Group, pixels: NDArray[Any], position: int, period: Period,
    stretch: assets.Stretch, tree: assets.Tree,
) -> pystac.Item:  # fmt: skip
    recipe, site = task.recipe, task.site
    folder = temporary / period.label
    folder.mkdir()
    mask, clear = (np.asarray(cube.array_of(group, name)[position]) for name in ("mine", "clear"))
    files = assets.write(folder, recipe, site, pixels, mask, clear, stretch, period.label)
    store = objects.relative(task.cube, task.folder / period.label)
    scenes = task.scenes[task.scenes.period == period.label]
    drawn = _drawn_until(task, group, period.label)
    changes = assets.write_changes(folder, site, drawn)
    every = {**item.cube_assets(recipe, store, tree), **files, **changes}
    described = item.describe(recipe, site, period, mask, clear, scenes, every)
    objects.write(described, objects.to_root(2, collection=True), folder / f"{described.id}.json")
    return described


def _drawn_until(task: Task, group: zarr.Group, label: str) -> dict[str, NDArray[np.uint8]]:
    """Labels of change (y, x) that were drawn for pairs that end with a period, by the first period."""
    places = {t1: place for (t1, t2), place in cube_store.change_of(task.cube).items() if t2 == label}
    return {t1: np.asarray(cube.array_of(group, "change")[place]) for t1, place in places.items()}


def _write_collection(task: Task, into: Path, items: list[pystac.Item], tree: assets.Tree, key: str) -> None:
    recipe, site = task.recipe, task.site
    country = f", {site.country}" if site.country else ""
    source = recipe.source
    described = pystac.Collection(
        id=site.site_id,
        title=site.label + country,
        description=_description(recipe, site),
        extent=objects.extent(objects.place_of(site.geometry)["bbox"], *times.around([*map(_span, items)])),
        license=source.licence(),
        providers=[pystac.Provider.from_dict(provider) for provider in source.providers()] or None,
        stac_extensions=EXTENSIONS,
        assets=_assets(task, tree),
        summaries=_summaries(items, recipe),
        extra_fields={
            "version": __version__, "sci:citation": recipe.citation or recipe.title,
            "item_assets": _item_assets(items[0]), **_datacube(task),
        },
    )  # fmt: skip
    links_to = [(f"./{i.properties['minebench:period']}/{i.id}.json", i.properties["title"]) for i in items]
    terms = (("license", p["url"], f"Terms of {p['name']}") for p in source.providers())
    links = [
        objects.link("root", "../catalog.json"),
        objects.link("parent", task.parent),
        *(objects.link("item", href, objects.ITEM, title) for href, title in links_to),
        *(pystac.Link(rel, href, title=title) for rel, href, title in terms),
    ]
    objects.write(described, links, into / "collection.json", **{receipts.KEY: key})


def _span(described: pystac.Item) -> tuple[datetime, datetime]:
    """First and last time of an item."""
    if described.datetime is not None:
        return described.datetime, described.datetime
    common = described.common_metadata
    first, last = common.start_datetime, common.end_datetime
    assert first is not None
    assert last is not None
    return first, last


def _summaries(items: list[pystac.Item], recipe: Recipe) -> pystac.Summaries:
    """What the items have between them."""
    cloud = [
        described.properties["eo:cloud_cover"]
        for described in items
        if "eo:cloud_cover" in described.properties
    ]
    codes = sorted({code for described in items if (code := described.properties["proj:code"])})
    found: dict[str, Any] = {
        **({"gsd": [recipe.sensor.resolution]} if recipe.source.knows_pixel else {}),
        "bands": assets.bands_of(recipe),
        **({"eo:cloud_cover": {"minimum": min(cloud), "maximum": max(cloud)}} if cloud else {}),
        "minebench:period": [described.properties["minebench:period"] for described in items],
    }
    return pystac.Summaries({**found, **({"proj:code": codes} if codes else {})}, maxcount=100)


def _item_assets(described: pystac.Item) -> dict[str, Any]:
    """The assets that every item has, without what differs from item to item."""
    own = {"href", "file:size", "file:checksum"}
    shown = {name: asset.to_dict() for name, asset in described.assets.items()}
    return {name: {k: v for k, v in asset.items() if k not in own} for name, asset in shown.items()}


def _datacube(task: Task) -> dict[str, Any]:
    """The cube's axes and arrays in the datacube extension's words."""
    recipe, site, box = task.recipe, task.site, task.site.grid
    left, bottom, right, top = box.boundingbox.bbox
    half_x, half_y = abs(box.resolution.x) / 2, abs(box.resolution.y) / 2
    dates = [objects.stamp(objects.midnight(period.start)) for period in task.periods]
    space = {"type": "spatial", **({"reference_system": site.epsg} if site.epsg else {})}
    x = {**space, "axis": "x", "extent": [left + half_x, right - half_x], "step": box.resolution.x}
    y = {**space, "axis": "y", "extent": [bottom + half_y, top - half_y], "step": box.resolution.y}
    image = cube.image_name(recipe)
    return {
        "cube:dimensions": {
            "time": {"type": "temporal", "extent": [dates[0], dates[-1]], "values": dates},
            "band": {"type": "bands", "values": list(recipe.sensor.bands)},
            "y": y, "x": x,
        },
        "cube:variables": {
            image: {
                "dimensions": ["time", "band", "y", "x"], "type": "data", "data_type": recipe.sensor.dtype,
            },
            "clear": {"dimensions": ["time", "y", "x"], "type": "auxiliary", "data_type": "uint8"},
            "mine": {"dimensions": ["time", "y", "x"], "type": "data", "data_type": "uint8"},
            "aoi": {"dimensions": ["y", "x"], "type": "auxiliary", "data_type": "uint8"},
        },
    }  # fmt: skip


def _assets(task: Task, tree: assets.Tree) -> dict[str, pystac.Asset]:
    href = objects.relative(task.cube, task.folder)
    listed = {**tree.fields(), "minebench:files": tree.sums}
    whole = pystac.Asset(href, "Cube over all periods (Zarr v3)", None, objects.ZARR, ["data"], listed)
    index = {key: table.clone() for key, table in task.index.items()}
    return {"cube": whole, **_change(task, href, tree), **index}


def _description(recipe: Recipe, site: Site) -> str:
    if recipe.source.is_published:
        size = (
            f"{site.area_km2:.2f} km²"
            if recipe.source.knows_pixel
            else f"{site.shape[0] * site.shape[1]:,} pixels"
        )
        return f"{recipe.title}: images of {size}, as published."
    shapes = counted(site.mines, "listed shape")
    # Points, and outlines of ground to look at, are no footprints.
    what = "" if site.footprint else " to look at"
    return f"{recipe.title}: {shapes} of {site.area_km2:.2f} km²{what}."


def _change(task: Task, href: str, tree: assets.Tree) -> dict[str, pystac.Asset]:
    """The labels of pairs, where change itself was labelled."""
    drawn = cube_store.change_of(task.cube)
    if not drawn:
        return {}
    title = f"Change masks of {len(drawn)} pair(s): 0 unchanged, 1 changed, 255 unknown (array change)"
    fields: dict[str, Any] = {"minebench:pairs": [list(pair) for pair in drawn], **tree.fields()}
    return {"change": pystac.Asset(href, title, None, objects.ZARR, ["labels"], fields)}


def index_assets(benchmark: BenchmarkPaths) -> dict[str, pystac.Asset]:
    """The index tables as assets, as they are seen from the folder of any site."""
    site = benchmark.stac / "site"
    return {
        name: pystac.Asset(
            objects.relative(benchmark.table(name), site), f"Index of {name} of the whole benchmark", None,
            objects.PARQUET, ["metadata"], objects.checked(benchmark.table(name)),
        )
        for name in ("pairs", "tiles")
    }  # fmt: skip
