"""Trained models as a STAC Collection `models`, an Item a run with the MLM extension."""

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely

from minebench import __version__
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from models.evaluation import run_files, runs
from models.evaluation.score_names import SCORES
from pipeline.leaderboard import board
from pipeline.recipe import Recipe
from pipeline.sites.site import Site
from pipeline.stac import objects, times

MLM = objects.extension("mlm/v1.5.2")
EO = objects.extension("eo/v1.1.0")
FILE = objects.extension("file/v2.1.0")
VERSION = objects.extension("version/v1.2.0")
TASKS = {"change": "segmentation", "segmentation": "semantic-segmentation"}
"""MLM has no word for change detection; segmentation of a pair comes nearest."""
FOLDER = "models"


def write(benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site]) -> bool:
    """Write the collection from the leaderboard; False, and none, where nothing was compared."""
    compared = board.read(benchmark)
    if compared is None:
        return False
    final = benchmark.stac / FOLDER
    with replacing(final) as temporary:
        temporary.mkdir()
        for row in compared[0].itertuples():
            folder = temporary / str(row.run)
            folder.mkdir()
            made = _external if row.external else _item
            item = made(benchmark, recipe, sites, row, final / str(row.run))
            objects.write(item, objects.to_root(2, collection=True), folder / f"{row.run}.json")
        items = (objects.link("item", f"./{run}/{run}.json", objects.ITEM, run) for run in compared[0].run)
        described = _collection(benchmark, recipe, sites, final)
        objects.write(described, [*objects.to_root(1), *items], temporary / "collection.json")
    return True


def _collection(
    benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site], folder: Path
) -> pystac.Collection:
    return pystac.Collection(
        id=f"{benchmark.name}-models",
        title=f"Models trained on {recipe.title}",
        description=f"Baselines with their scores on the test split of {recipe.title}."
        + (" The images are synthetic." if recipe.source.is_synthetic else ""),
        license=recipe.source.licence(),
        extent=objects.extent(_box(sites), *times.whole(sites, recipe)),
        stac_extensions=[FILE, VERSION],
        extra_fields={"version": __version__},
        assets={
            name: objects.asset(
                benchmark.leaderboard / f"{name}.parquet", folder, title, objects.PARQUET, ["metadata"]
            )
            for name, title in (("models", "Leaderboard"), ("tests", "Whether two models differ"))
        },
    )


def _item(
    benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site], row: Any, folder: Path
) -> pystac.Item:
    # Torch, only where there is a model to describe.
    from models.evaluation import ranking

    saved = ranking.weights_of(benchmark.run(row.run))
    item = _scored(benchmark, recipe, sites, row, folder)
    item.stac_extensions = [MLM, EO, FILE, VERSION]
    item.properties |= _mlm(row, saved)
    item.add_asset("weights", _weights(benchmark, row.run, folder, saved["bands"]))
    return item


def _external(
    benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site], row: Any, folder: Path
) -> pystac.Item:
    """What another framework predicted (`minebench score`): scores and card, and no weights."""
    item = _scored(benchmark, recipe, sites, row, folder)
    metrics = run_files.metrics_of(benchmark.run(row.run))
    item.properties["minebench:external"] = metrics[runs.EXTERNAL]
    return item


def _scored(
    benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site], row: Any, folder: Path
) -> pystac.Item:
    start, end = times.whole(sites, recipe)
    west, south, east, north = box = _box(sites)
    card = benchmark.leaderboard / "cards" / f"{row.run}.md"
    return pystac.Item(
        id=row.run,
        geometry=shapely.geometry.mapping(shapely.box(west, south, east, north)),
        bbox=box,
        datetime=None,
        start_datetime=start,
        end_datetime=end,
        stac_extensions=[FILE, VERSION],
        collection=f"{benchmark.name}-models",
        properties={
            "title": f"{row.run} on {recipe.title}",
            "version": __version__,
            "minebench:task": row.task,
            "minebench:scores": _scores(row),
        },
        assets={"card": objects.asset(card, folder, "Model card", "text/markdown", ["metadata"])},
    )


def _weights(benchmark: BenchmarkPaths, run: str, folder: Path, bands: list[str]) -> pystac.Asset:
    weights = benchmark.run(run) / "model.pt"
    fields = {
        "mlm:artifact_type": "torch.save",
        # The MLM schema looks for bands here, or where STAC 1.1 itself does not allow them.
        "eo:bands": [{"name": band} for band in bands],
    }
    kind, roles = "application/octet-stream; application=pytorch", ["mlm:model", "mlm:weights", "data"]
    return objects.asset(weights, folder, "Weights", kind, roles, **fields)


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
    found = {name: getattr(row, name) for name in (*SCORES, "f1_low", "f1_high")}
    return {name: round(float(value), 6) for name, value in found.items() if not np.isnan(value)}


def _box(sites: list[Site]) -> list[float]:
    """West, south, east, north of all sites; the world where none has a place."""
    placed = [site.geometry for site in sites if site.epsg]
    return [float(value) for value in shapely.total_bounds(placed)] if placed else objects.WORLD
