"""MineNetCD256, written from the tiny benchmark, is read by its own loader's library and by `ingest`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.export import export
from pipeline.published import ingest
from tests.pipeline.export.exporting import exported, truth


@pytest.fixture(scope="module")
def written(tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, export.Exported]:
    out = tmp_path_factory.mktemp("export") / "out"
    return out, exported(tiny, "minenetcd256", out)


def test_minenetcd256_is_read_by_datasets_as_ucd_does(tiny, written, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    from datasets import load_dataset

    out, done = written
    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "val", "test"}
    for split, labels in ((name, truth(tiny, name)) for name in loaded):
        assert loaded[split].column_names == ["imageA", "imageB", "label"]
        assert len(loaded[split]) == done.written[split] == len(labels)
        for row, (name, label) in zip(loaded[split], labels.items(), strict=True):
            assert np.array_equal(np.asarray(row["label"]) == 255, label == 1)
            stored = Image.open(out / split / "A" / f"{name}.png")
            assert np.array_equal(np.asarray(row["imageA"]), np.asarray(stored))
            assert row["imageA"].size == row["label"].size
    # UCD: ToTensor()(label).squeeze().long(), so that only 255 becomes 1.
    assert set(np.unique(loaded["train"][0]["label"])) <= {0, 255}


def test_what_minenetcd256_exports_comes_in_again(tiny, written, tmp_path: Path) -> None:
    out, _ = written
    benchmark, loaded = ingest.prepare("again", "minenetcd256", out, tmp_path)
    assert loaded.sensor.resolution == 10  # as the export says, and not the published 1.2
    ingest.run(benchmark, loaded, 2)
    before, after = (pd.read_parquet(b.table("pairs")) for b in (tiny[0], benchmark))
    for split in ("train", "val", "test"):
        assert after[after.split == split].changed.sum() == before[before.split == split].changed.sum()
