"""Command `explain`: what a model sees, where it is right and wrong, and at which interval.

    explanations/<run>/index.html    one self-contained page
    explanations/<run>/*.png         its pictures

Panels show hits green, correct background light, false alarms orange, misses blue, unknown grey.
"""

import base64
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from minebench import __version__
from minebench.cube.windows import Cubes
from minebench.data import datasets
from minebench.data.datasets import Scale
from minebench.errors import InputError, NotMadeYet
from minebench.files import replacing
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from models.base import Model
from models.evaluation import run_files, runs
from models.evaluation.gradcam import gradcam
from models.run_name import RunName
from models.training.checkpoint import load_run, run_folder
from models.training.objective import Standardise
from pipeline.core import templates
from pipeline.recipe import Recipe
from pipeline.report import pictures

SHOWN = 4
ENLARGED = 256


def build(benchmark: BenchmarkPaths, recipe: Recipe, model: str, fold: str | None = None) -> Path:
    """Write the page of an evaluated model. WorkError where it was not evaluated."""
    if (other := str(RunName.parse(model).trained)) != model:
        raise InputError(f"What {model} says follows from {other}: run `minebench explain --model {other}`.")
    run = run_folder(benchmark.data, model, fold)
    network, scale, _ = load_run(benchmark.data, model, fold)
    if not (run / "metrics.json").is_file():
        raise NotMadeYet(f"{run / 'metrics.json'} is missing: run `minebench evaluate` first.")
    runs.demand_fresh(benchmark.data, [run.name])
    metrics = run_files.metrics_of(run)
    with replacing(benchmark.explanation(run.name)) as folder:
        folder.mkdir()
        rows = _examples(benchmark, recipe, network, scale, run, folder, metrics["threshold"])
        _curves(run, metrics["task"], folder / "curves.png")
        page = templates.load("pipeline.inference", "explain.html").render(
            rows=rows,
            metrics=metrics,
            recipe=recipe,
            version=__version__,
            curves=_inlined(folder / "curves.png"),
            synthetic=recipe.source.is_synthetic,
            parts=() if network.classical else network.explained,
            between=network.between,
        )
        (folder / "index.html").write_text(page, encoding="utf-8")
    return benchmark.explanation(run.name) / "index.html"


def _examples(
    benchmark: BenchmarkPaths, recipe: Recipe, network: Model, scale: Scale, run: Path, folder: Path,
    threshold: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """The pairs (or tiles) that the evaluation kept, with their maps."""
    tiles = {tile.tile_id: tile for tile in tiles_of(datasets.read_table(benchmark.data, "tiles"))}
    cubes, look = Cubes(benchmark.data), pictures.Looks(benchmark, recipe)
    beyond = datasets.beyond_of(benchmark.data) if network.context else None
    with np.load(run / "examples.npz") as archive:
        names = archive.files[:SHOWN]
    rows = []
    for number, name in enumerate(names):
        tile_id, *dates = name.split("|")
        tile = tiles[tile_id]
        periods = cubes.periods(tile.site_id)
        places = [periods.index(date) for date in dates] or [len(periods) - 1]
        images, label = _inputs(cubes, tile, places, periods, scale, beyond)
        with torch.no_grad():
            probability = torch.sigmoid(network(*images))[0, 0].numpy()
        window = tile.window
        frames = {periods[place]: look.image(tile.site_id, place)[window] for place in places}
        frames["found"] = pictures.coloured(probability > threshold, label)
        frames["probability"] = _heat(probability)
        maps = {} if network.classical else _contributions(network, images)
        shown = {
            title: _saved(picture, folder / f"{number}-{i}.png")
            for i, (title, picture) in enumerate((frames | maps).items())
        }
        # Two maps of each level have a line of their own, so that none stands apart from its fellow.
        below = {title: shown.pop(title) for title in maps} if network.between else {}
        rows.append({"title": f"{tile_id} {' to '.join(dates)}".strip(), "strips": [shown, below]})
    return rows


def _contributions(network: Model, images: list[torch.Tensor]) -> dict[str, NDArray[np.uint8]]:
    """GradCAM of each level, finest first; where the model names what becomes a level, that stands before it
    (MineNetCD's figure 15)."""
    count = len(network.explained_before)
    maps = gradcam(network, images, [*network.explained_before, *network.explained])[:, 0].numpy()
    after = [_heat(own) for own in maps[count:]]
    if not count:
        return {f"GradCAM {level}": own for level, own in enumerate(after, 1)}
    frames = {}
    for level, (before, own) in enumerate(zip(maps[:count], after, strict=True), 1):
        frames[f"GradCAM {level}, before {network.between}"] = _heat(before)
        frames[f"GradCAM {level}, after {network.between}"] = own
    return frames


def _inputs(
    cubes: Cubes, tile: Tile, places: list[int], periods: list[str], scale: Scale, beyond: str | None
) -> tuple[list[torch.Tensor], NDArray[np.uint8]]:
    """Standardised images (1, C, H, W), and the label (H, W)."""
    standardise = Standardise(scale)
    pixels, masks = cubes.inputs(tile, places)
    images = [standardise(torch.from_numpy(image)[None]) for image in pixels]
    if beyond:
        images += [
            standardise(torch.from_numpy(cubes.neighbourhood(tile, place, beyond))[None]) for place in places
        ]
    if len(places) == 1:
        return images, masks[0]
    return images, cubes.label(tile, periods[places[0]], periods[places[1]])


def _heat(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in 0..1 as colours (H, W, 3)."""
    return np.asarray(mpl.colormaps["inferno"](np.clip(values, 0, 1))[..., :3] * 255).astype(np.uint8)


def _saved(picture: NDArray[np.uint8], path: Path) -> str:
    factor = max(1, ENLARGED // picture.shape[1])
    Image.fromarray(picture).resize(
        (picture.shape[1] * factor, picture.shape[0] * factor), Image.Resampling.NEAREST
    ).save(path)
    return _inlined(path)


def _inlined(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _curves(run: Path, task: str, path: Path) -> None:
    """F1, precision and recall by interval (or period), and the precision-recall curve."""
    table, curve = pd.read_csv(run / "scores.csv"), pd.read_csv(run / "curve.csv")
    column = "interval" if task == "change" else "period"
    figure = Figure(figsize=(8.5, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, style in (("f1", "-o"), ("precision", "--"), ("recall", ":")):
        left.plot(table[column].astype(str), table[name], style, label=name, markersize=3)
    left.set(xlabel=column, ylim=(0, 1.02))
    left.legend(frameon=False)
    right.plot(curve.recall, curve.precision, color="#3b6fb6")
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
