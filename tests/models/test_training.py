import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from models import data, train
from models.errors import InputError, WorkError
from models.evaluate import evaluate, predict_pairs
from models.train import Settings
from tests.conftest import contents, run


def test_pair_items(built: Path) -> None:
    pairs = data.open(built / "data/tiny", "pairs", "train")
    item = pairs[0]
    assert item["a"].shape == item["b"].shape == (5, 64, 64)
    assert item["label"].shape == (64, 64)
    assert set(torch.unique(item["label"]).tolist()) <= {0, 1, 255}
    row = pairs.pairs.iloc[0]
    assert (item["tile_id"], item["t1"], item["t2"]) == (row.tile_id, row.t1, row.t2)


def test_labels_count_what_the_index_says(built: Path) -> None:
    for split in ("train", "val", "test"):
        pairs = data.open(built / "data/tiny", "pairs", split)
        for i in range(0, len(pairs), 3):
            label, row = pairs[i]["label"], pairs.pairs.iloc[i]
            assert int((label == 1).sum()) == row.changed
            assert int((label == 255).sum()) == row.unknown


def test_series_items_and_training_scale(built: Path) -> None:
    series = data.open(built / "data/tiny", "series", "train")
    images = torch.cat([series[i]["images"] for i in range(len(series))])
    assert images.shape[1:] == (5, 64, 64)
    # Clear pixels of the training split, and nothing else, set the scale.
    valid = images[(images != 0).all(dim=1, keepdim=True).expand_as(images)]
    assert float(valid.mean()) == pytest.approx(0, abs=0.02)
    assert float(valid.std()) == pytest.approx(1, abs=0.05)
    item = series[0]
    assert item["masks"].shape == (len(item["periods"]), 64, 64)


def test_a_small_scene_is_padded_by_repetition_and_padding_is_unknown(project: Path) -> None:
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("tiling: {size: 64}", "tiling: {size: 224}"))
    for stage in ("compose", "annotate", "tile"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    pairs = data.open(project / "data/tiny", "pairs", "train")
    item, row = pairs[0], pairs.pairs.iloc[0]
    assert item["label"].shape == (224, 224)
    assert (item["label"][180:] == 255).all()
    assert (item["a"][:, 180:, :180] == item["a"][:, :44, :180]).all()
    assert int((item["label"] == 1).sum()) == row.changed


def test_unknown_task_split_and_missing_index(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'triples' is not a task"):
        data.open(built / "data/tiny", "triples")
    with pytest.raises(InputError, match="no tiles in split 'dev'"):
        data.open(built / "data/tiny", "pairs", "dev")
    with pytest.raises(WorkError, match="run `minebench tile`"):
        data.open(tmp_path, "pairs")


SETTINGS = {"steps": 6, "batch": 2, "crop": 32, "validate_every": 2, "validation_items": 4}


@pytest.mark.parametrize(("model", "options"), [("fc-siam-diff", {"width": 4}), ("unet", {"width": 4})])
def test_a_resumed_run_ends_with_the_same_numbers(project: Path, model: str, options: dict) -> None:
    benchmark = project / "data/tiny"
    settings = Settings(**SETTINGS, options=options)
    weights = train.load(train.train(benchmark, model, settings))[1]
    history = (benchmark / "runs" / model / "train.csv").read_text()
    shutil.rmtree(benchmark / "runs")
    stop_after = 4
    original = train._step

    def interrupted(state: train.Checkpoint, *rest: object) -> None:
        if state.step == stop_after + 1:
            raise KeyboardInterrupt
        original(state, *rest)

    train._step = interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            train.train(benchmark, model, settings)
    finally:
        train._step = original
    assert (benchmark / "runs" / model / "checkpoint.pt").is_file()
    again = train.load(train.train(benchmark, model, settings))[1]
    assert (benchmark / "runs" / model / "train.csv").read_text() == history
    assert all(torch.equal(weights["weights"][name], again["weights"][name]) for name in weights["weights"])
    assert not (benchmark / "runs" / model / "checkpoint.pt").exists()


def test_unknown_pixels_change_no_loss() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1, 1, 8, 8), torch.randint(0, 2, (1, 8, 8), dtype=torch.uint8)
    label[0, 4:] = 255
    other = logits.clone()
    other[0, 0, 4:] = 50
    assert train.loss_of(logits, label, 2.0) == train.loss_of(other, label, 2.0)


def test_evaluate_counts_every_known_pixel_once(project: Path) -> None:
    benchmark = project / "data/tiny"
    for model in ("fc-siam-diff", "unet"):
        done = run("train", "--model", model, cwd=project)
        assert done.returncode == 0, done.stderr
        done = run("evaluate", "--model", model, cwd=project)
        assert done.returncode == 0, done.stderr
        metrics = json.loads((benchmark / "runs" / model / "metrics.json").read_text())
        assert metrics["trivial"]["all_background"]["f1"] == 0
    pairs = pd.read_parquet(benchmark / "index/pairs.parquet")
    test = pairs[pairs.split == "test"]
    found = json.loads((benchmark / "runs/fc-siam-diff/metrics.json").read_text())["pixels"]
    assert sum(found.values()) == len(test) * 64 * 64 - test.unknown.sum()
    assert found["tp"] + found["fn"] == test.changed.sum()
    table = pd.read_csv(benchmark / "runs/fc-siam-diff/scores.csv")
    assert table[["tp", "fp", "fn", "tn"]].sum().to_dict() == {k: found[k] for k in ("tp", "fp", "fn", "tn")}
    before = contents(benchmark / "runs")
    evaluate(benchmark, "unet")
    assert contents(benchmark / "runs") == before


def test_encode_once_predicts_as_pair_by_pair(project: Path) -> None:
    benchmark = project / "data/tiny"
    train.train(benchmark, "fc-siam-diff", Settings(**SETTINGS, options={"width": 4}))
    network, _ = train.load(benchmark / "runs/fc-siam-diff/model.pt")
    images = torch.randn(4, 5, 64, 64)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    maps = predict_pairs(network, images, pairs, torch.device("cpu"))
    with torch.no_grad():
        single = [network(images[i][None], images[j][None])[0, 0] for i, j in pairs]
    differ = maps != (torch.stack(single) > 0).numpy()
    # Where the two differ at all the logit is a rounding away from 0.
    assert np.abs(torch.stack(single).numpy()[differ]).max(initial=0) < 1e-4


def test_bad_settings_checkpoints_and_labels(project: Path) -> None:
    benchmark = project / "data/tiny"
    with pytest.raises(InputError, match="has no setting 'epochs'"):
        Settings.of({"epochs": 3}, "unet")
    with pytest.raises(WorkError, match="run `minebench train` first"):
        train.load(benchmark / "runs/unet/model.pt")
    (benchmark / "runs/unet").mkdir(parents=True)
    (benchmark / "runs/unet/model.pt").write_bytes(b"junk")
    with pytest.raises(InputError, match="is not a minebench model"):
        train.load(benchmark / "runs/unet/model.pt")
    with pytest.raises(WorkError, match="loss is not a number"):
        train.train(
            benchmark, "unet", Settings(**{**SETTINGS, "steps": 30}, learning_rate=1e30, options={"width": 4})
        )
    for path in (benchmark / "cubes").glob("*.zarr"):
        zarr.open_group(path, mode="r+")["mine"][:] = 0
    assert run("tile", cwd=project).returncode == 0
    done = run("train", "--model", "unet", cwd=project)
    assert done.returncode == 2
    assert "no footprint to learn from" in done.stderr


def test_a_fold_is_trained_and_scored_beside_the_recipes_split(project: Path) -> None:
    folder = project / "data/tiny"
    settings = Settings(steps=2, batch=2, crop=32, validate_every=2, validation_items=2, fold="country/DEU",
                        options={"width": 4})  # fmt: skip
    path = train.train(folder, "fc-siam-diff", settings)
    assert path.parent.name == "fc-siam-diff@country-DEU"
    result = evaluate(folder, "fc-siam-diff", fold="country/DEU")
    tiles, pairs = (pd.read_parquet(folder / f"index/{name}.parquet") for name in ("tiles", "pairs"))
    sites = pd.read_parquet(folder / "index/sites.parquet")
    german = tiles.tile_id[tiles.site_id.isin(sites.site_id[sites.country == "DEU"])]
    own = pairs[pairs.tile_id.isin(german)]
    assert result["fold"] == "country/DEU"
    assert sum(result["pixels"].values()) == 64 * 64 * len(own) - own.unknown.sum()
    assert not (folder / "runs/fc-siam-diff").exists()
