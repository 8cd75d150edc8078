"""What `evaluate` counts and with which threshold."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from sklearn.metrics import average_precision_score

from minebench import data
from minebench.data import datasets
from minebench.errors import InputError
from minebench.metrics.histogram import Histogram
from models.evaluation.evaluate import as_probability, evaluate
from models.training import train
from models.training.checkpoint import load
from tests.conftest import contents, run
from tests.models.evaluation.test_counted_once import known
from tests.models.training.few_steps import settings_of


def test_evaluate_counts_every_known_pixel_once(compared: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("archive", "scenes")
    benchmark = Path(shutil.copytree(compared / "data/tiny", tmp_path / "tiny", ignore=ignored))
    for model in ("fc-siam-diff", "unet"):
        metrics = json.loads((benchmark / "runs" / model / "metrics.json").read_text())
        assert metrics["trivial"]["all_background"]["f1"] == 0
    pairs = pd.read_parquet(benchmark / "index/pairs.parquet")
    test = pairs[pairs.split == "test"]
    found = json.loads((benchmark / "runs/fc-siam-diff/metrics.json").read_text())
    pixels = found["pixels"]
    assert sum(pixels.values()) == sum(known(benchmark, "change", once=True).values())
    for name in ("scores", "sites"):
        table = pd.read_csv(benchmark / f"runs/fc-siam-diff/{name}.csv")
        assert table[["tp", "fp", "fn", "tn"]].sum().to_dict() == pixels
    counts = pd.read_parquet(benchmark / "runs/fc-siam-diff/counts.parquet")
    assert counts[["tp", "fp", "fn", "tn"]].to_numpy().sum() == sum(pixels.values())
    unet = json.loads((benchmark / "runs/unet/metrics.json").read_text())
    change = unet["post_classification"]["pixels"]
    assert change["tp"] + change["fn"] == pixels["tp"] + pixels["fn"]
    before = {name: held for name, held in contents(benchmark / "runs").items() if "timing" not in name}
    evaluate(benchmark, "unet")
    after = {name: held for name, held in contents(benchmark / "runs").items() if "timing" not in name}
    assert before == after
    by_tile = evaluate(benchmark, "fc-siam-diff", count="tiles")
    assert sum(by_tile["pixels"].values()) == len(test) * 64 * 64 - test.unknown.sum()
    assert by_tile["pixels"]["tp"] + by_tile["pixels"]["fn"] == test.changed.sum()


def test_scores_are_those_of_whole_arrays(project: Path) -> None:
    """The evaluation, once more, by hand: predictions of each pair by itself, all pixels in one array."""
    benchmark = project / "data/tiny"
    train.train(benchmark, "fc-siam-diff", settings_of("fc-siam-diff", loss="bce-dice", learning_rate=0.01))
    result = evaluate(benchmark, "fc-siam-diff", threshold=0.3, count="tiles")
    network, saved = load(benchmark / "runs/fc-siam-diff/model.pt")
    scale = datasets.Scale(np.array(saved["mean"], np.float32), np.array(saved["std"], np.float32))
    pairs = data.open(benchmark, "pairs", "test", scale)
    with torch.no_grad():
        found = [torch.sigmoid(network(item["a"][None], item["b"][None]))[0, 0] for item in pairs]
    p, true = torch.stack(found).numpy(), np.stack([item["label"].numpy() for item in pairs])
    known = true != 255
    predicted, truth = p[known] > 0.3, true[known] == 1
    assert result["pixels"]["tp"] == pytest.approx((predicted & truth).sum(), abs=3)
    assert result["pixels"]["fp"] == pytest.approx((predicted & ~truth).sum(), abs=3)
    assert result["threshold"] == 0.3
    assert result["ap"] == pytest.approx(average_precision_score(truth, p[known]), abs=5e-3)


def test_thresholds_from_validation_and_wrong_ones(project: Path) -> None:
    benchmark = project / "data/tiny"
    train.train(benchmark, "unet", settings_of("unet"))
    chosen = evaluate(benchmark, "unet", threshold="validation")["threshold"]
    on_validation = evaluate(benchmark, "unet", "val", threshold=chosen)
    for other in (0.2, 0.5, 0.8):
        assert on_validation["f1"] >= evaluate(benchmark, "unet", "val", threshold=other)["f1"] - 1e-3
    for path in (benchmark / "cubes").glob("*.zarr"):
        zarr.open_group(path, mode="r+")["mine"][:] = 0
    with pytest.raises(InputError, match="validation split has nothing to find"):
        evaluate(benchmark, "unet", threshold="validation")
    for wrong in ("often", "0", "1.5"):
        with pytest.raises(InputError, match="between 0 and 1, or validation"):
            evaluate(benchmark, "unet", threshold=wrong)
    done = run("evaluate", "--model", "unet", "--threshold", "often", cwd=project)
    assert done.returncode == 2
    assert "between 0 and 1, or validation" in done.stderr


def test_a_checkpoint_of_another_model_or_of_other_bands(project: Path) -> None:
    benchmark = project / "data/tiny"
    path = train.train(benchmark, "unet", settings_of("unet"))
    (benchmark / "runs/fc-siam-diff").mkdir()
    shutil.copy(path, benchmark / "runs/fc-siam-diff/model.pt")
    done = run("evaluate", "--model", "fc-siam-diff", cwd=project)
    assert done.returncode == 2
    assert "holds unet, not fc-siam-diff" in done.stderr
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "bands": ["B01", *saved["bands"][1:]]}, path)
    done = run("evaluate", "--model", "unet", cwd=project)
    assert done.returncode == 2
    assert "was trained on the bands B01 B03" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fold_is_trained_and_scored_beside_the_recipes_split(project: Path) -> None:
    folder = project / "data/tiny"
    settings = settings_of("fc-siam-diff", steps=2, fold="country/DEU")
    path = train.train(folder, "fc-siam-diff", settings)
    assert path.parent.name == "fc-siam-diff@country-DEU"
    result = evaluate(folder, "fc-siam-diff", fold="country/DEU", count="tiles")
    tiles, pairs = (pd.read_parquet(folder / f"index/{name}.parquet") for name in ("tiles", "pairs"))
    sites = pd.read_parquet(folder / "index/sites.parquet")
    german = tiles.tile_id[tiles.site_id.isin(sites.site_id[sites.country == "DEU"])]
    own = pairs[pairs.tile_id.isin(german)]
    assert result["fold"] == "country/DEU"
    assert sum(result["pixels"].values()) == 64 * 64 * len(own) - own.unknown.sum()
    assert not (folder / "runs/fc-siam-diff").exists()


@pytest.mark.parametrize("given", [None, [], {}, "half", 0, 1, float("nan"), "inf"])
def test_a_threshold_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="give a probability between 0 and 1, or validation"):
        as_probability(given, Histogram)  # type: ignore[arg-type]
