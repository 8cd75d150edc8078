"""Trained models as a STAC Collection `models`, an Item a run with the MLM extension."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from models.evaluation import ranking
from pipeline import __version__
from pipeline.catalog import collection
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark
from pipeline.leaderboard import compare
from pipeline.recipe import Recipe

MLM = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
EO = collection.EXTENSION.format("eo/v1.1.0")
FILE = collection.EXTENSION.format("file/v2.1.0")
VERSION = collection.EXTENSION.format("version/v1.2.0")
TASKS = {"change": "segmentation", "segmentation": "semantic-segmentation"}
"""MLM has no word for change detection; segmentation of a pair comes nearest."""
FOLDER = "models"


def write(benchmark: Benchmark, recipe: Recipe, sites: gpd.GeoDataFrame) -> bool:
    """Write the collection from the leaderboard; False, and none, where nothing was compared."""
    compared = compare.read(benchmark)
    if compared is None:
        return False
    final = benchmark.stac / FOLDER
    with replacing(final) as temporary:
        temporary.mkdir()
        for row in compared[0].itertuples():
            (temporary / str(row.run)).mkdir()
            item = _item(benchmark, recipe, sites, row, final / str(row.run))
            write_json(item, temporary / str(row.run) / f"{row.run}.json")
        runs = [str(run) for run in compared[0].run]
        write_json(_collection(benchmark, recipe, sites, runs, final), temporary / "collection.json")
    return True


def _collection(
    benchmark: Benchmark, recipe: Recipe, sites: gpd.GeoDataFrame, runs: list[str], folder: Path
) -> dict[str, Any]:
    start, end = _span(recipe)
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [FILE, VERSION],
        "id": f"{benchmark.name}-models",
        "title": f"Models trained on {recipe.title}",
        "description": f"Baselines with their scores on the test split of {recipe.title}."
        + (" The images are synthetic." if recipe.source.name == "synthetic" else ""),
        "license": collection.LICENCES.get(recipe.source.name, "other"),
        "version": __version__,
        "extent": {"spatial": {"bbox": [_box(sites)]}, "temporal": {"interval": [[start, end]]}},
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *({"rel": "item", "href": f"./{run}/{run}.json", "type": "application/geo+json"} for run in runs),
        ],
        "assets": {
            name: _asset(
                benchmark.leaderboard / f"{name}.parquet",
                folder,
                title,
                "application/vnd.apache.parquet",
                ["metadata"],
            )
            for name, title in (("models", "Leaderboard"), ("tests", "Whether two models differ"))
        },
    }


def _item(
    benchmark: Benchmark, recipe: Recipe, sites: gpd.GeoDataFrame, row: Any, folder: Path
) -> dict[str, Any]:
    saved = ranking.weights_of(benchmark.run(row.run))
    start, end = _span(recipe)
    box = west, south, east, north = _box(sites)
    link = {"type": "application/json"}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, EO, FILE, VERSION],
        "id": row.run,
        "collection": f"{benchmark.name}-models",
        "geometry": shapely.geometry.mapping(shapely.box(west, south, east, north)),
        "bbox": box,
        "properties": {
            "title": f"{row.run} on {recipe.title}",
            "datetime": None,
            "start_datetime": start,
            "end_datetime": end,
            "version": __version__,
            **_mlm(row, saved),
            "minebench:task": row.task,
            "minebench:scores": _scores(row),
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json", **link},
            {"rel": "parent", "href": "../collection.json", **link},
            {"rel": "collection", "href": "../collection.json", **link},
        ],
        "assets": _files(benchmark, row.run, folder, saved["bands"]),
    }


def _files(benchmark: Benchmark, run: str, folder: Path, bands: list[str]) -> dict[str, Any]:
    """Weights and card of a run as assets."""
    weights, card = benchmark.run(run) / "model.pt", benchmark.leaderboard / "cards" / f"{run}.md"
    roles = ["mlm:model", "mlm:weights", "data"]
    return {
        "weights": {
            **_asset(weights, folder, "Weights", "application/octet-stream; application=pytorch", roles),
            "mlm:artifact_type": "torch.save",
            # The MLM schema looks for bands here, or where STAC 1.1 itself does not allow them.
            "eo:bands": [{"name": band} for band in bands],
        },
        "card": _asset(card, folder, "Model card", "text/markdown", ["metadata"]),
    }


def _mlm(row: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """What the MLM extension says of a model."""
    order = ["batch", "bands", "height", "width"]
    scaling = [
        {"type": "z-score", "mean": mean, "stddev": std}
        for mean, std in zip(saved["mean"], saved["std"], strict=True)
    ]
    names = ("before", "after") if row.task == "change" else ("image",)
    weights = saved["settings"].get("weights")
    return {
        "mlm:name": row.run,
        "mlm:architecture": row.model,
        "mlm:tasks": [TASKS[row.task]],
        "mlm:framework": "pytorch",
        "mlm:framework_version": saved["torch"].split("+")[0],
        "mlm:total_parameters": int(row.parameters),
        "mlm:pretrained": bool(weights),
        "mlm:pretrained_source": weights,
        "mlm:input": [
            {
                "name": name,
                "bands": saved["bands"],
                "input": {
                    "shape": [-1, len(saved["bands"]), -1, -1],
                    "dim_order": order,
                    "data_type": "float32",
                },
                "value_scaling": scaling,
            }
            for name in names
        ],
        "mlm:output": [
            {
                "name": "logit",
                "tasks": [TASKS[row.task]],
                "result": {
                    "shape": [-1, 1, -1, -1],
                    "dim_order": ["batch", "channel", "height", "width"],
                    "data_type": "float32",
                },
                "classification:classes": [
                    {"value": 0, "name": "unchanged" if row.task == "change" else "background"},
                    {"value": 1, "name": "changed" if row.task == "change" else "mine"},
                ],
            }
        ],
        "mlm:hyperparameters": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in saved["settings"].items()
            if value is not None
        },
    }


def _scores(row: Any) -> dict[str, float]:
    """Scores to six digits; what is undefined is left out."""
    found = {name: getattr(row, name) for name in (*compare.SCORES, "f1_low", "f1_high")}
    return {name: round(float(value), 6) for name, value in found.items() if not np.isnan(value)}


def _asset(path: Path, folder: Path, title: str, media_type: str, roles: list[str]) -> dict[str, Any]:
    return {
        "href": collection.relative(path, folder),
        "title": title,
        "type": media_type,
        "roles": roles,
        "file:size": path.stat().st_size,
        "file:checksum": "1220" + sha256(path),
    }


def _span(recipe: Recipe) -> tuple[str, str]:
    periods = recipe.periods.periods()
    return f"{periods[0].start}T00:00:00Z", f"{periods[-1].end}T00:00:00Z"


def _box(sites: gpd.GeoDataFrame) -> list[float]:
    """West, south, east, north of all sites; the world where none has a place."""
    placed = sites[sites.epsg > 0]
    return [float(value) for value in placed.total_bounds] if len(placed) else [-180.0, -90.0, 180.0, 90.0]
