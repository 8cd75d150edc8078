import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from minebench import data
from minebench.data.cache import CachedCubes
from minebench.errors import InputError, NotMadeYet
from minebench.masks import change_label
from models.training.batches import BatchSampler, Steps, change_of, pairs_of, read_by_processes
from models.training.objective import Standardise
from models.training.settings import Settings


@pytest.fixture
def folder(built: Path) -> Path:
    return built / "data/tiny"


def test_batches_hold_what_the_dataset_holds(folder: Path) -> None:
    source = BatchSampler(folder, "change", "train", Settings(batch=4))
    pairs = data.open(folder, "pairs", "train")
    standardise = Standardise(source.scale)
    batch = source.read(np.arange(4), None)
    for i in range(4):
        item = pairs[i]
        assert torch.allclose(standardise(batch.images[i]), torch.stack([item["a"], item["b"]]), atol=1e-6)
        assert torch.equal(batch.masks[i, 0], item["label"])
        assert batch.names[i] == f"{item['tile_id']} {item['t1']} {item['t2']}"


def test_every_step_comes_once_and_depends_on_its_number_alone(folder: Path) -> None:
    source = BatchSampler(folder, "change", "train", Settings(batch=4, crop=32))
    every = [batch.names for batch in source.batches(0, 7)]
    assert len(every) == 7
    assert [batch.names for batch in source.batches(5, 7)] == every[5:]
    assert torch.equal(source.batch(3).images, source.batch(3).images)
    # An epoch takes every item at most once; two processes share it.
    epoch = source.steps_an_epoch()
    names = [name for batch in source.batches(0, epoch) for name in batch.names]
    assert len(set(names)) == len(names)
    halves = [
        name
        for rank in (0, 1)
        for batch in source.batches(0, source.steps_an_epoch(2), rank, 2)
        for name in batch.names
    ]
    assert len(set(halves)) == len(halves)


def test_processes_read_the_same_batches(folder: Path) -> None:
    source = BatchSampler(folder, "change", "train", Settings(batch=4, crop=32))
    source.batch(0)  # the threads of this process are under way before others are forked
    found = list(read_by_processes(Steps(source, 2, 7, 1, 2)))
    assert len(found) == 5
    for step, batch in enumerate(found, start=2):
        wanted = source.batch(step, 1, 2)
        assert batch.names == wanted.names
        assert torch.equal(batch.images, wanted.images)
        assert torch.equal(batch.masks, wanted.masks)


def test_signals_of_a_process_that_reads_are_not_its_parents(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(self: Steps, place: int) -> list[object]:
        return [signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.set_wakeup_fd(-1)]

    monkeypatch.setattr(Steps, "__getitem__", heard)
    source = BatchSampler(folder, "change", "train", Settings(batch=4))
    told, tell = socket.socketpair()
    tell.setblocking(False)
    before = signal.set_wakeup_fd(tell.fileno())
    try:
        assert list(read_by_processes(Steps(source, 0, 2, 0, 1))) == [[True, -1]] * 2
        assert signal.set_wakeup_fd(before) == tell.fileno()
    finally:
        signal.set_wakeup_fd(before)
        told.close()
        tell.close()


def test_what_a_process_cannot_read_is_a_sentence(project: Path) -> None:
    source = BatchSampler(project / "data/tiny", "change", "train", Settings(batch=4))
    shutil.rmtree(project / "data/tiny/cubes")
    source.dataset.cubes.opened.clear()
    with pytest.raises(NotMadeYet, match=r"cannot be read: run `minebench compose` and `annotate`\.$"):
        list(read_by_processes(Steps(source, 0, 2, 0, 1)))


def test_drawing_by_change_and_by_interval(folder: Path) -> None:
    pairs = pd.read_parquet(folder / "index/pairs.parquet")
    settings = Settings(batch=64, balance_intervals=True)
    source = BatchSampler(folder, "change", "train", settings)
    drawn = source._drawn(0, 0, 1, np.random.default_rng(0))
    shares = np.bincount(source.interval[drawn])[1:] / 64
    # Of three years two pairs are one year apart and one two years.
    assert np.allclose(shares, 0.5, atol=0.2)
    settings = Settings(batch=64, changed_share=1.0)
    source = BatchSampler(folder, "change", "train", settings)
    assert source.positive[source._drawn(0, 0, 1, np.random.default_rng(0))].all()
    assert (pairs.changed > 0).any()


def test_the_cache_gives_the_same_batches_and_is_made_anew_for_other_cubes(project: Path) -> None:
    folder = project / "data/tiny"
    plain, cached = (BatchSampler(folder, "change", "train", Settings(batch=5, cache_gb=gb)) for gb in (0, 1))
    assert isinstance(cached.dataset.cubes, CachedCubes)
    for step in range(3):
        first, second = plain.batch(step), cached.batch(step)
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.masks, second.masks)
    assert len(list((folder / "cache").iterdir())) == 1
    shard = next((folder / "cubes").glob("*.zarr/mine/zarr.json"))
    for path in (folder / "cubes").glob("*.zarr/mine/zarr.json"):
        path.write_bytes(path.read_bytes() + b"\n")
    assert shard.is_file()
    BatchSampler(folder, "change", "train", Settings(batch=5, cache_gb=1))
    assert len(list((folder / "cache").iterdir())) == 2
    small = BatchSampler(folder, "change", "train", Settings(cache_gb=1e-6))
    assert not isinstance(small.dataset.cubes, CachedCubes)


def test_change_of_masks_is_the_label() -> None:
    rng = np.random.default_rng(0)
    masks = rng.choice(np.array([0, 1, 255], np.uint8), (2, 4, 8, 8))
    pairs = pairs_of(4)
    found = change_of(torch.from_numpy(masks), pairs)
    for n in range(2):
        for k, (i, j) in enumerate(pairs):
            assert (found[n, k].numpy() == change_label(masks[n, i], masks[n, j])).all()
    assert len(pairs_of(10)) == 45
    assert len(set(pairs_of(10, 7))) == 7


def test_standardising_on_the_device_is_the_datasets(folder: Path) -> None:
    pairs = data.open(folder, "pairs", "train")
    pixels = np.random.default_rng(0).integers(0, 5000, (2, 5, 16, 16)).astype(np.uint16)
    pixels[0, :, :4] = 0
    found = Standardise(pairs.scale)(torch.from_numpy(pixels))
    assert np.allclose(found.numpy(), pairs.scale.apply(pixels), atol=1e-6)


def test_a_split_without_pairs_is_a_sentence(project: Path) -> None:
    folder = project / "data/tiny"
    pairs = pd.read_parquet(folder / "index/pairs.parquet")
    pairs[pairs.split != "train"].to_parquet(folder / "index/pairs.parquet")
    with pytest.raises(InputError, match="train split has no pairs: its sites keep fewer than two periods"):
        BatchSampler(folder, "change", "train", Settings())
