"""Items of a benchmark's dataset: pairs and series, their labels and their scale."""

from pathlib import Path

import pytest
import torch

from minebench import data
from minebench.errors import InputError, WorkError
from tests.conftest import run


def test_pair_items(built: Path) -> None:
    pairs = data.open(built / "data/tiny", "pairs", "train")
    item = pairs[0]
    assert item["a"].shape == item["b"].shape == (5, 64, 64)
    assert item["label"].shape == (64, 64)
    assert set(torch.unique(item["label"]).tolist()) <= {0, 1, 255}
    row = pairs.table.iloc[0]
    assert (item["tile_id"], item["t1"], item["t2"]) == (row.tile_id, row.t1, row.t2)


def test_labels_count_what_the_index_says(built: Path) -> None:
    for split in ("train", "val", "test"):
        pairs = data.open(built / "data/tiny", "pairs", split)
        for i in range(0, len(pairs), 3):
            label, row = pairs[i]["label"], pairs.table.iloc[i]
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
    recipe.write_text(recipe.read_text().replace("tiling: {size: 64}", "tiling: {size: 128}"))
    done = run("tile", cwd=project)
    assert done.returncode == 0, done.stderr
    pairs = data.open(project / "data/tiny", "pairs", "train")
    item, row = pairs[0], pairs.table.iloc[0]
    assert item["label"].shape == (128, 128)
    assert (item["label"][98:] == 255).all()
    assert (item["a"][:, 98:, :98] == item["a"][:, :30, :98]).all()
    assert int((item["label"] == 1).sum()) == row.changed


def test_unknown_task_split_and_missing_index(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'triples' is not a task"):
        data.open(built / "data/tiny", "triples")
    with pytest.raises(InputError, match="no tiles in split 'dev'"):
        data.open(built / "data/tiny", "pairs", "dev")
    with pytest.raises(WorkError, match="run `minebench tile`"):
        data.open(tmp_path, "pairs")
