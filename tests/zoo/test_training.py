"""Each model trains two steps on a small benchmark and is scored."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models import registry
from models.evaluation.evaluate import evaluate
from models.training import train
from models.training.settings import Settings
from tests.zoo.names import EVERY, HEAVY, OPTIONS, marked

SIBLING = {
    "minenetcd-resnet18", "tfi-gr", "icifnet", "afcf3d", "snunet", "hanet", "mspsnet", "fcnpp", "resunet",
    "sqnet", "linknet", "segformer-b1", "fc-ef", "fc-siam-conc", "a2net", "dminet",
}  # fmt: skip
"""Those that go through `train` and `evaluate` by the same lines as another; `test_networks` has a step of
training of each."""
QUICK = [name for name in EVERY if name not in HEAVY and name not in SIBLING] + ["mask2former-swin-t"]


@pytest.fixture(scope="module")
def small(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny benchmark's data, of each split only the first tile in which something changes."""
    data = tmp_path_factory.mktemp("small") / "tiny"
    shutil.copytree(built / "data/tiny", data, ignore=shutil.ignore_patterns("archive", "scenes"))
    index = data / "index"
    pairs = pd.read_parquet(index / "pairs.parquet")
    kept = set(pairs[pairs.changed > 0].groupby("split").tile_id.first())
    assert len(kept) == 3
    for name in ("tiles", "tile_periods", "pairs"):
        table = pd.read_parquet(index / f"{name}.parquet")
        table[table.tile_id.isin(kept)].to_parquet(index / f"{name}.parquet")
    return data


@pytest.mark.parametrize("model", marked(EVERY, QUICK))
def test_every_model_trains_and_is_scored(small: Path, model: str) -> None:
    given = {"weights": None, "steps": 2, "batch": 2, "validate_every": 2, "validation_items": 1}
    # A tile and its neighbourhood cannot both be cropped.
    given["crop"] = None if registry.class_of(model).context else 32
    given["options"] = OPTIONS.get(model, {})
    path = train.train(small, model, Settings.of(given, model))
    assert path.is_file()
    result = evaluate(small, model)
    assert sum(result["pixels"].values()) > 0
    assert json.loads((path.parent / "timing.json").read_text())
    if not registry.class_of(model).classical:
        losses = pd.read_csv(path.parent / "live/plots/metrics/val_loss.tsv", sep="\t").val_loss
        assert len(losses)
        assert np.isfinite(losses).all()
