"""Command `predict`: a model over whole sites, as COGs and STAC items.

    runs/<run>/predictions/collection.json
    runs/<run>/predictions/<site_id>/<dates>.tif     probability in per cent, 255 no observation
    runs/<run>/predictions/<site_id>/<dates>.json    its STAC item

Windows of the tile's size overlap by half and are blended. A site whose files are there is not done again
as long as model and cube are the same.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.data import datasets
from models.data.cube_windows import Cubes
from models.evaluation import sitewide
from models.training.checkpoint import load_run, run_folder
from models.training.objective import Standardise
from pipeline import __version__
from pipeline.catalog import assets, collection, item
from pipeline.core import tables
from pipeline.core.errors import InputError
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark
from pipeline.core.progress import progress
from pipeline.cubes import cube
from pipeline.geo import cog, grid
from pipeline.recipe import Recipe

NODATA = 255
WHICH = ("consecutive", "first_last", "all")


def build(
    benchmark: Benchmark, recipe: Recipe, model: str, split: str, which: str, fold: str | None = None
) -> tuple[Path, int]:
    """Predict every site of a split ("all" for all); returns the folder and how many sites were done
    anew. InputError on an unknown split or choice of pairs."""
    if which not in WHICH:
        raise InputError(f"'{which}' is no choice of pairs; choose one of {', '.join(WHICH)}.")
    tiles = datasets.read_table(benchmark.data, "tiles")
    chosen = tiles if split == "all" else tiles[tiles.split == split]
    if chosen.empty:
        raise InputError(
            f"There are no tiles in split '{split}'; splits: {', '.join(tiles.split.unique())}, all."
        )
    run = run_folder(benchmark.data, model, fold)
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    sites = sites[sites.site_id.isin(chosen.site_id)]
    predictor = _Predictor(benchmark, recipe, run, model, which, fold)
    folder, done = run / "predictions", 0
    with progress(f"predict {model}", len(sites), "sites") as advance:
        for site in sites.itertuples():
            done += predictor.write(site, folder / str(site.site_id))
            advance()
    _write_collection(benchmark, recipe, model, folder)
    return folder, done


class _Predictor:
    """A loaded model and what it is applied with."""

    def __init__(
        self, benchmark: Benchmark, recipe: Recipe, run: Path, model: str, which: str, fold: str | None
    ) -> None:
        self.benchmark, self.recipe, self.which = benchmark, recipe, which
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network, scale, saved = load_run(benchmark.data, model, fold, self.device)
        self.model, self.sum, self.task = model, sha256(run / "model.pt"), saved["task"]
        self.standardise = Standardise(scale).to(self.device)
        self.cubes = Cubes(benchmark.data)
        self.beyond = datasets.beyond_of(benchmark.data) if self.network.context else None

    def write(self, site: Any, folder: Path) -> bool:
        """Write a site's predictions, unless they are there already."""
        images = cube.attributes_of(self.benchmark.cube(site.site_id)).get("minebench:images")
        print_ = tables.fingerprint([self.sum, images, self.which, self.recipe.tiling.size], (sitewide,))
        marker = folder / "fingerprint"
        if marker.is_file() and marker.read_text() == print_:
            return False
        periods = self.cubes.periods(site.site_id)
        pairs = sitewide.dates_of(periods, self.which) if self.task == "change" else None
        found = sitewide.probability(
            self.network, self.cubes, site.site_id, self.recipe.tiling.size, self.standardise, self.device,
            pairs, self.beyond,
        )  # fmt: skip
        names = [f"{periods[i]}_{periods[j]}" for i, j in pairs] if pairs is not None else periods
        spans = pairs if pairs is not None else [(i, i) for i in range(len(periods))]
        with replacing(folder) as temporary:
            temporary.mkdir()
            for name, (first, last), probability in zip(names, spans, found, strict=True):
                self._write_one(site, temporary, name, periods[first], periods[last], probability)
            (temporary / "fingerprint").write_text(print_)
        return True

    def _write_one(
        self, site: Any, folder: Path, name: str, first: str, last: str, probability: NDArray[np.float32]
    ) -> None:
        percent = np.where(np.isnan(probability), NODATA, np.rint(probability * 100)).astype(np.uint8)
        path = folder / f"{name}.tif"
        cog.write(path, percent[None], grid.of_site(site, self.recipe.sensor.resolution), NODATA)
        write_json(self._item(site, name, first, last, path), folder / f"{name}.json")

    def _item(self, site: Any, name: str, first: str, last: str, path: Path) -> dict[str, Any]:
        known = {period.label: period for period in self.recipe.periods.periods()}
        subject = "change between two dates" if self.task == "change" else "mine footprint"
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": [collection.EXTENSION.format("file/v2.1.0")],
            "id": f"{site.site_id}-{name}",
            "collection": f"{self.benchmark.name}-{self.model}",
            **item.outline(site),
            "properties": {
                "title": f"{site.name or site.site_id}, {name.replace('_', ' to ')}",
                "datetime": None,
                "start_datetime": f"{known[first].start}T00:00:00Z",
                "end_datetime": f"{known[last].end}T00:00:00Z",
                "minebench:model": self.model,
                "minebench:weights": self.sum,
                "minebench:version": __version__,
            },
            "links": [
                {"rel": "root", "href": "../collection.json", "type": "application/json"},
                {"rel": "parent", "href": "../collection.json", "type": "application/json"},
                {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            ],
            "assets": {
                "probability": {
                    "href": f"./{name}.tif",
                    "title": f"Probability of {subject}, per cent; 255 without a clear observation",
                    "type": assets.COG,
                    "roles": ["data"],
                    "file:size": path.stat().st_size,
                    "file:checksum": "1220" + sha256(path),
                }
            },
        }


def _write_collection(benchmark: Benchmark, recipe: Recipe, model: str, folder: Path) -> None:
    """The collection of every site that is there."""
    items = sorted(folder.glob("*/*.json"))
    periods = recipe.periods.periods()
    start, end = f"{periods[0].start}T00:00:00Z", f"{periods[-1].end}T00:00:00Z"
    write_json(
        {
            "type": "Collection",
            "stac_version": "1.1.0",
            "stac_extensions": [],
            "id": f"{benchmark.name}-{model}",
            "title": f"Predictions of {model} on {recipe.title}",
            "description": f"Whole-site predictions of {model}, made by minebench {__version__}."
            + (" The images are synthetic." if recipe.source.name == "synthetic" else ""),
            "license": collection.LICENCES.get(recipe.source.name, "other"),
            "extent": {
                "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
                "temporal": {"interval": [[start, end]]},
            },
            "links": [
                {"rel": "root", "href": "./collection.json", "type": "application/json"},
                *(
                    {
                        "rel": "item",
                        "href": "./" + path.relative_to(folder).as_posix(),
                        "type": "application/geo+json",
                    }
                    for path in items
                ),
            ],
        },
        folder / "collection.json",
    )
