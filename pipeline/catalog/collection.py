"""One site as a STAC Collection with an Item a period."""

import posixpath
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

from pipeline import __version__
from pipeline.catalog import assets as files
from pipeline.catalog import item
from pipeline.core import tables
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark
from pipeline.cubes import cube
from pipeline.geo import cog, grid
from pipeline.recipe import Import, Recipe, Xyz

EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
COLLECTION_EXTENSIONS = [
    EXTENSION.format(name) for name in ("file/v2.1.0", "scientific/v1.0.0", "version/v1.2.0")
]
CODE = (sys.modules[__name__], cog, cube, files, item)
LICENCES = {"synthetic": "CC0-1.0"}
"""Of the images, by source; others are the user's to state."""


def write_site(task: tuple[Benchmark, Recipe, Any, pd.DataFrame, dict[str, Any]]) -> bool:
    """Write a site's collection, and its items unless they stand for the same cube already."""
    benchmark, recipe, site, scenes, index = task
    folder, path = benchmark.stac / site.site_id, benchmark.cube(site.site_id)
    labels = cube.periods_of(path)
    if not labels:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    tree = files.tree(path)
    print_ = tables.fingerprint([tree, recipe.model_dump(), site.name, site.country], CODE)
    made = tables.fingerprint_of(folder / "collection.json") != print_
    if made:
        with replacing(folder) as temporary:
            temporary.mkdir()
            group = zarr.open_group(path, mode="r")
            stretch = files.stretch(np.asarray(group[cube.image_name(recipe)][:]), recipe)
            for position, label in enumerate(labels):
                _write_item(
                    temporary,
                    folder,
                    benchmark,
                    recipe,
                    site,
                    scenes,
                    group,
                    position,
                    label,
                    stretch,
                    tree,
                )
            _write_collection(temporary, folder, benchmark, recipe, site, index, tree, print_)
    else:
        _write_collection(folder, folder, benchmark, recipe, site, index, tree, print_)
    return made


def _write_item(
    temporary: Path, final: Path, benchmark: Benchmark, recipe: Recipe, site: Any, scenes: pd.DataFrame,
    group: zarr.Group, position: int, label: str, stretch: files.Stretch, tree: files.Tree,
) -> None:  # fmt: skip
    folder = temporary / label
    folder.mkdir()
    box = grid.of_site(site, recipe.sensor.resolution)
    pixels = np.asarray(group[cube.image_name(recipe)][position])
    mask = np.asarray(group["mine"][position])
    clear = np.asarray(group["clear"][position])
    assets = files.write(folder, recipe, site, box, pixels, mask, stretch, label)
    store = relative(benchmark.cube(site.site_id), final / label)
    period = next(p for p in recipe.periods.periods() if p.label == label)
    chosen = scenes[(scenes.period == label) & scenes.selected]
    described = item.describe(
        recipe,
        site,
        period,
        box,
        mask,
        clear,
        chosen,
        {**item.cube_assets(recipe, store, tree), **assets},
    )
    write_json(described, folder / f"{described['id']}.json")


def _write_collection(
    into: Path, final: Path, benchmark: Benchmark, recipe: Recipe, site: Any, index: dict[str, Any],
    tree: files.Tree, print_: str,
) -> None:  # fmt: skip
    labels = cube.periods_of(benchmark.cube(site.site_id))
    known = {period.label: period for period in recipe.periods.periods()}
    ends = known[labels[0]].start, known[labels[-1]].end
    assets = {
        "cube": {
            "href": relative(benchmark.cube(site.site_id), final),
            "title": "Cube over all periods (Zarr v3)",
            "type": files.ZARR,
            "roles": ["data"],
            **tree.fields(),
            "minebench:files": tree.sums,
        },
        **_change(benchmark.cube(site.site_id), final, tree),
        **{key: {**asset, "href": relative(Path(asset["href"]), final)} for key, asset in index.items()},
    }
    country = f", {site.country}" if isinstance(site.country, str) else ""
    collection = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": COLLECTION_EXTENSIONS,
        "id": site.site_id,
        "title": (site.name or site.site_id) + country,
        "description": _description(recipe, site),
        "license": LICENCES.get(recipe.source.name, "other"),
        **_providers(recipe),
        "version": __version__,
        "sci:citation": recipe.citation or recipe.title,
        "extent": {
            "spatial": {"bbox": [item.outline(site).get("bbox", [-180, -90, 180, 90])]},
            "temporal": {"interval": [[f"{ends[0]}T00:00:00Z", f"{ends[1]}T00:00:00Z"]]},
        },
        "minebench:fingerprint": print_,
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *(
                {
                    "rel": "item",
                    "href": f"./{label}/{item.item_id(site, label)}.json",
                    "type": "application/geo+json",
                }
                for label in labels
            ),
            *_terms(recipe),
        ],
        "assets": assets,
    }
    write_json(collection, into / "collection.json")


def _description(recipe: Recipe, site: Any) -> str:
    if isinstance(recipe.source, Import):
        return f"{recipe.title}: images of {site.area_km2:.2f} km², as published."
    return f"{recipe.title}: {site.mines} shape(s) of {site.area_km2:.2f} km² in the mine list."


def _change(path: Path, final: Path, tree: files.Tree) -> dict[str, Any]:
    """The labels of pairs, where change itself was labelled."""
    drawn = cube.change_of(path)
    if not drawn:
        return {}
    asset = {
        "href": relative(path, final),
        "title": f"Change masks of {len(drawn)} pair(s): 0 unchanged, 1 changed, 255 unknown (array change)",
        "type": files.ZARR,
        "roles": ["labels"],
        "minebench:pairs": [list(pair) for pair in drawn],
        **tree.fields(),
    }
    return {"change": asset}


def _providers(recipe: Recipe) -> dict[str, Any]:
    """Whose images they are, where the source asks to be named."""
    if not isinstance(recipe.source, Xyz):
        return {}
    name, terms = recipe.source.attribution, recipe.source.terms
    return {"providers": [{"name": name, "roles": ["producer", "licensor"], "url": terms}]}


def _terms(recipe: Recipe) -> list[dict[str, str]]:
    if not isinstance(recipe.source, Xyz):
        return []
    return [{"rel": "license", "href": recipe.source.terms, "title": f"Terms of {recipe.source.attribution}"}]


def index_assets(benchmark: Benchmark) -> dict[str, Any]:
    """The index tables as assets; hrefs are still paths from the repository root."""
    assets = {}
    for name in ("pairs", "tiles"):
        path = benchmark.table(name)
        assets[name] = {
            "href": str(path),
            "title": f"Index of {name} of the whole benchmark",
            "type": "application/vnd.apache.parquet",
            "roles": ["metadata"],
            "file:size": path.stat().st_size,
            "file:checksum": "1220" + sha256(path),
        }
    return assets


def relative(path: Path, folder: Path) -> str:
    """Href of a path as seen from a folder."""
    return posixpath.relpath(path.resolve().as_posix(), folder.resolve().as_posix())


def joined(folder: str, href: str) -> str:
    """An href relative to `folder` made relative to the folder's root."""
    return posixpath.normpath(posixpath.join(folder, href))
