"""Command `predict`: a model over whole sites, as COGs and STAC items.

    predictions/<run>/collection.json
    predictions/<run>/<site_id>/<dates>.tif     probability in per cent, 255 no observation
    predictions/<run>/<site_id>/<dates>.json    its STAC item
    predictions/<run>/footprints.parquet        what lies above the threshold, as outlines (`outlines`)
    predictions/catalog.json                    all of them; the benchmark's catalog links to it

Windows of the tile's size overlap by half and are blended. A site whose files are there is not done again
as long as model and cube are the same. On several processes, each with its share of the sites:

    accelerate launch -m pipeline.cli predict --model NAME
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from minebench import __version__, index, receipts, tables
from minebench.cube import store
from minebench.cube.windows import Cubes
from minebench.data import datasets
from minebench.errors import Damaged, UnknownName
from minebench.files import replacing, sha256, write_json
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from models.evaluation import processes, sitewide
from models.smoothing import Smoothing
from models.training.checkpoint import load_run, run_folder
from models.training.objective import Standardise
from pipeline.activity import thresholds
from pipeline.geo import cog
from pipeline.inference import polygons
from pipeline.recipe import Recipe
from pipeline.scenes.scene_table import Listed
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import objects, predictions, times
from pipeline.stac.paging import shelved

NODATA = 255
VERSION = 1
"""Of the blended windows (`models.evaluation.sitewide`): raise it when they come out otherwise."""


def build(
    benchmark: BenchmarkPaths, recipe: Recipe, model: str, split: str, which: str, fold: str | None = None
) -> tuple[Path, int]:
    """Predict every site of a split ("all" for all); returns the folder and how many sites were done
    anew. InputError on an unknown split or choice of pairs."""
    index.named(which)
    tiles = datasets.read_table(benchmark.data, "tiles")
    chosen = tiles if split == "all" else tiles[tiles.split == split]
    if chosen.empty:
        raise UnknownName(
            f"There are no tiles in split '{split}'; splits: {', '.join(tiles.split.unique())}, all."
        )
    run = run_folder(benchmark.data, model, fold)
    wanted = set(chosen.site_id)
    listed = [site for site in sites.load(benchmark, recipe) if site.site_id in wanted]
    predictor = _Predictor(benchmark, recipe, run, model, which, fold)
    folder, done = benchmark.predictions / run.name, 0
    own = processes.share(listed)
    with progress(f"predict {model}", len(own), "sites") as advance:
        for site in own:
            done += predictor.write(site, folder / site.site_id)
            advance()
    done = sum(processes.gathered(done))
    if processes.is_first():
        _write_collection(benchmark, recipe, run.name, folder)
        predictions.write(benchmark)
    processes.wait()
    return folder, done


class _Predictor:
    """A loaded model and what it is applied with."""

    def __init__(
        self, benchmark: BenchmarkPaths, recipe: Recipe, run: Path, model: str, which: str, fold: str | None
    ) -> None:
        self.benchmark, self.recipe, self.which = benchmark, recipe, which
        self.run, self.folder = run.name, benchmark.predictions / run.name
        scenes = tables.read(benchmark.table("scenes"), "fetch")
        self.chosen = Listed(scenes[scenes.selected])
        self.device = processes.device()
        self.network, scale, saved = load_run(benchmark.data, model, fold, self.device)
        self.model, self.sum, self.task = model, sha256(run / "model.pt"), saved["task"]
        self.smoothing = Smoothing(**saved["smoothing"]) if "smoothing" in saved else None
        self.standardise = Standardise(scale).to(self.device)
        self.cubes = Cubes(benchmark.data)
        self.threshold, _ = thresholds.of_evaluation(benchmark, run.name)
        self.beyond = datasets.beyond_of(benchmark.data) if self.network.context else None

    def write(self, site: Site, folder: Path) -> bool:
        """Write a site's predictions, unless they are there already."""
        images = receipts.key_in(store.receipt(self.benchmark.cube(site.site_id)))
        key = receipts.fingerprint([
            VERSION, self.sum, images, self.which, self.recipe.tiling.size, self.threshold
        ])  # fmt: skip
        if receipts.key_in(folder / receipts.RECEIPT) == key:
            return False
        periods = self.cubes.periods(site.site_id)
        pairs = index.wanted(periods, index.named(self.which)) if self.task == "change" else None
        found = sitewide.probability(
            self.network, self.cubes, site.site_id, self.recipe.tiling.size, self.standardise, self.device,
            pairs, self.beyond, self.smoothing,
        )  # fmt: skip
        names = [f"{periods[i]}_{periods[j]}" for i, j in pairs] if pairs is not None else periods
        spans = pairs if pairs is not None else [(i, i) for i in range(len(periods))]
        with replacing(folder) as temporary:
            temporary.mkdir()
            for name, (first, last), probability in zip(names, spans, found, strict=True):
                self._write_one(site, temporary, name, periods[first], periods[last], probability)
            kind = "change" if pairs is not None else "footprint"
            dated = [(periods[first], periods[last]) for first, last in spans]
            outlined = polygons.of_site(site, kind, dated, found, self.threshold)
            tables.write(outlined, temporary / polygons.FILE)
            write_json({receipts.KEY: key}, temporary / receipts.RECEIPT)
        return True

    def _write_one(
        self, site: Site, folder: Path, name: str, first: str, last: str, probability: NDArray[np.float32]
    ) -> None:
        percent = np.where(np.isnan(probability), NODATA, np.rint(probability * 100)).astype(np.uint8)
        path = folder / f"{name}.tif"
        cog.write(path, percent[None], site.grid, NODATA, ("probability, per cent",))
        item = self._item(site, name, first, last, path)
        links = predictions.links_of_item(self.benchmark, self.folder / site.site_id)
        objects.write(item, links, folder / f"{name}.json")

    def _item(self, site: Site, name: str, first: str, last: str, path: Path) -> pystac.Item:
        known = {period.label: period for period in self.recipe.periods.periods()}
        rows = self.chosen.of(site.site_id)
        own = self.chosen.table[:0] if rows is None else rows
        earlier, later = (
            times.of_image(site, known[label], self.recipe, own[own.period == label])
            for label in (first, last)
        )
        box = site.grid
        subject = "change between two dates" if self.task == "change" else "mine footprint"
        title = f"Probability of {subject}, per cent; 255 without a clear observation"
        return pystac.Item(
            id=f"{site.site_id}-{name}",
            **objects.place_of(site.geometry),
            datetime=None,
            start_datetime=earlier.first,
            end_datetime=later.last,
            stac_extensions=[objects.extension(name) for name in ("file/v2.1.0", "projection/v2.0.0")],
            collection=f"{self.benchmark.name}-{self.run}",
            properties={
                "title": f"{site.label}, {name.replace('_', ' to ')}",
                "gsd": self.recipe.sensor.resolution,
                "proj:code": f"EPSG:{site.epsg}" if site.epsg else None,
                "proj:shape": list(box.shape),
                "proj:transform": list(box.transform)[:6],
                "minebench:periods": list(dict.fromkeys((first, last))),
                "minebench:model": self.model,
                "minebench:weights": self.sum,
                "minebench:version": __version__,
            },
            assets={
                "probability": objects.asset(
                    path,
                    path.parent,
                    title,
                    objects.COG,
                    ["data"],
                    bands=[{"name": "probability"}],
                    data_type="uint8",
                    nodata=NODATA,
                )
            },
        )


def _write_collection(benchmark: BenchmarkPaths, recipe: Recipe, run: str, folder: Path) -> None:
    """The collection of every site that is there."""
    items = [_content(path) for path in _items(folder)]
    ends = [(_time(content, "start_datetime"), _time(content, "end_datetime")) for content in items]
    boxes = [content["bbox"] for content in items if content.get("bbox")]
    bbox = [float(v) for v in (*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:])] if boxes else None
    collection = pystac.Collection(
        id=f"{benchmark.name}-{run}",
        title=f"Predictions of {run} on {recipe.title}",
        description=f"Whole-site predictions of {run}, made by minebench {__version__}."
        + (" The images are synthetic." if recipe.source.is_synthetic else ""),
        license=recipe.source.licence(),
        extent=objects.extent(bbox, *times.around(ends)),
    )
    titles = [content["properties"]["title"] for content in items]
    children = (
        objects.link("item", "./" + path.relative_to(folder).as_posix(), objects.ITEM, title)
        for path, title in zip(_items(folder), titles, strict=True)
    )
    path = folder / "collection.json"
    if (outlined := polygons.join(folder)) is not None:
        title = "Outlines with dates and areas"
        collection.add_asset("footprints", objects.asset(outlined, folder, title, objects.PARQUET, ["data"]))
        collection.stac_extensions = [objects.extension("file/v2.1.0")]
    links = [
        *predictions.links_of_collection(benchmark, folder),
        *shelved(path, collection.id, benchmark.stac / "catalog.json", children),
    ]
    objects.write(collection, links, path)


def _time(content: dict[str, Any], field: str) -> datetime:
    return times.parsed(content["properties"][field])


def _content(path: Path) -> dict[str, Any]:
    """An item. Damaged where it is not what was written."""
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        _time(content, "start_datetime"), _time(content, "end_datetime"), content["properties"]["title"]
        if any(
            isinstance(side, bool) or not isinstance(side, int | float) for side in content.get("bbox") or ()
        ):
            raise TypeError
        return content
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Damaged(f"{path} is damaged: remove {path.parent} and run `minebench predict` again.") from None


def _items(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.json") if path.name != receipts.RECEIPT)
