import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models import registry
from models.evaluation.evaluate import evaluate
from models.training import train
from models.training.settings import Settings
from tests.models.zoo import EVERY, OPTIONS, by_size


@pytest.mark.parametrize("model", by_size(EVERY))
def test_every_model_trains_and_is_scored(project: Path, model: str) -> None:
    benchmark = project / "data/tiny"
    given = {"weights": None, "steps": 2, "batch": 2, "validate_every": 2, "validation_items": 2}
    given["options"] = OPTIONS.get(model, {})
    path = train.train(benchmark, model, Settings.of(given, model))
    assert path.is_file()
    result = evaluate(benchmark, model)
    assert sum(result["pixels"].values()) > 0
    assert json.loads((path.parent / "timing.json").read_text())
    if not registry.class_of(model).classical:
        assert np.isfinite(
            pd.read_csv(path.parent / "live/plots/metrics/val_loss.tsv", sep="\t").val_loss
        ).all()
