"""Scores of a change model on an analysis set: how it takes a coarser scale, a region near the tile's
edge, small objects, or images that do not lie on one another."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage

from minebench.data import opening
from minebench.data.analysis_pairs import AnalysisPairs
from minebench.errors import InputError
from minebench.files import replacing
from minebench.index import LEVELS, UNALTERED
from minebench.metrics.confusion import scores
from minebench.metrics.histogram import BINS, Histogram
from minebench.progress import progress
from models import registry
from models.evaluation.evaluate import as_probability
from models.evaluation.inference import Network
from models.evaluation.score_change import Change
from models.evaluation.stacks import Stacks
from models.training.checkpoint import load_run, run_folder

BATCH = 16
OBJECT_PX = (5, 20, 100, 500)
"""Upper ends of the sizes of changed objects, pixels; the last size is of all larger ones."""
FOUND = 0.5
"""Share of an object's pixels that must be predicted for it to be found."""


@torch.no_grad()
def analyse(
    benchmark_dir: Path, model: str, name: str, fold: str | None = None, threshold: float | str = 0.5
) -> pd.DataFrame:
    """Scores by level of an analysis set, in order, at `threshold` (as `evaluate` takes it); also in
    analysis/<run>/<set>.csv. A pixel counts in every tile that has it. What is made coarser or shifted is
    scored unaltered as well. A ring's scores are the means of its four corners' (INSINet, 3.1.2), its counts
    their sums. Of object_size there is also analysis/<run>/objects.csv (`Objects`). `regions` in the table's
    attrs is how many regions a neighbourhood set has."""
    if registry.task_of(model) != "change":
        raise InputError(f"Analysis sets are made of pairs, and {model} is not a change model.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = run_folder(benchmark_dir, model, fold)
    network, scale, saved = load_run(benchmark_dir, model, fold, device)
    if "smoothing" in saved:
        raise InputError(f"Analysis sets are made of pairs, and {model} looks at whole series.")
    pairs = opening.open(
        benchmark_dir, "pairs", "test", scale, neighbours=network.context, fold=fold, analysis=name
    )
    assert isinstance(pairs, AnalysisPairs)

    def on_validation() -> Histogram:
        stacks = Stacks(benchmark_dir, "val", scale, device, fold, network.context)
        return Change(benchmark_dir, Network(network), stacks, 0.5).run().histogram

    cut = as_probability(threshold, on_validation)
    regions = _regions(pairs.table)
    pairs.table = pd.concat([_unaltered(pairs.table), pairs.table], ignore_index=True)
    counted: dict[str, dict[str, Histogram]] = {}
    corners = pairs.table.corner.tolist() if "corner" in pairs.table else [""] * len(pairs)
    objects = Objects()
    with progress(f"analyse {name}", len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), BATCH):
            items = [pairs[i] for i in range(start, min(start + BATCH, len(pairs)))]
            names = ["a", "b", *(["a_context", "b_context"] if network.context else [])]
            images = [torch.stack([item[name] for item in items]).to(device) for name in names]
            found = torch.sigmoid(network(*images)[:, 0]).cpu()
            for item, corner, probability in zip(items, corners[start:], found, strict=False):
                of_level = counted.setdefault(item["level"], {})
                of_level.setdefault(corner, Histogram()).add(probability, item["label"])
                if name == "object_size":
                    objects.add((probability >= cut).numpy(), item["label"].numpy() == 1)
            advance(len(items))
    rows = [{"level": level, **_mean(counted[level], cut)} for level in LEVELS if level in counted]
    table = pd.DataFrame(rows)
    table.attrs["regions"] = regions
    written = {name: table, **({"objects": objects.table()} if name == "object_size" else {})}
    for file, content in written.items():
        with replacing(Path(benchmark_dir) / "analysis" / run.name / f"{file}.csv") as temporary:
            content.to_csv(temporary, index=False, float_format="%.6f")
    return table


class Objects:
    """Changed objects (8-connected, cut at their tile's edge) by size: how many there are, how many were
    found, and the recall of their pixels."""

    def __init__(self) -> None:
        self.counts = np.zeros((len(OBJECT_PX) + 1, 4), np.int64)

    def add(self, predicted: NDArray[np.bool_], changed: NDArray[np.bool_]) -> None:
        """Count one pair's maps (H, W)."""
        parts, count = ndimage.label(changed, structure=np.ones((3, 3)))
        pixels = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        hits = np.bincount(parts[predicted].ravel(), minlength=count + 1)[1:]
        sizes = np.searchsorted(OBJECT_PX, pixels, side="left")
        of_each = np.stack([np.ones_like(pixels), hits >= FOUND * pixels, pixels, hits], axis=1)
        np.add.at(self.counts, sizes, of_each)

    def table(self) -> pd.DataFrame:
        """pixels (a size's smallest and largest), objects, found (their share), recall (of their pixels)."""
        ends = [1, *(end + 1 for end in OBJECT_PX)]
        names = [f"{low} to {high}" for low, high in zip(ends, OBJECT_PX, strict=False)] + [
            f"{ends[-1]} or more"
        ]
        objects, found, pixels, hits = self.counts.T.astype(float)
        with np.errstate(invalid="ignore"):
            shares = {"found": found / objects, "recall": hits / pixels}
        return pd.DataFrame({"pixels": names, "objects": self.counts[:, 0], **shares})


def _mean(corners: dict[str, Histogram], cut: float) -> dict[str, Any]:
    """The means of the corners' scores, of those that have one, and the sums of their counts."""
    at_cut = {corner: histogram.at(math.ceil(cut * BINS)) for corner, histogram in corners.items()}
    each = [
        {**scores(at_cut[corner]), "ap": histogram.average_precision()}
        for corner, histogram in corners.items()
    ]
    counts = pd.DataFrame([vars(own) for own in at_cut.values()]).sum()
    return {str(name): value for own in (pd.DataFrame(each).mean(), counts) for name, value in own.items()}


def _unaltered(rows: pd.DataFrame) -> pd.DataFrame:
    """The same pairs without what is done to them; none where nothing is."""
    plain = {name: value for name, value in (("scale", 1), ("dy", 0), ("dx", 0)) if name in rows}
    if not plain or ("scale" in rows and rows.scale.eq(1).any()):
        return rows[:0]
    return rows[rows.level == rows.level.iloc[0]].assign(level=UNALTERED, **plain)


def _regions(rows: pd.DataFrame) -> int | None:
    """Of a neighbourhood set: places on the ground that are shown at several places of a window."""
    if "region_y" not in rows:
        return None
    places = rows.assign(y=rows.y0 + rows.region_y, x=rows.x0 + rows.region_x)
    return len(places[["site_id", "t1", "t2", "y", "x"]].drop_duplicates())
