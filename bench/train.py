"""What training waits for: reading pairs, and a step. Ratios within one run, each timed best of three.

    python bench/train.py            on a CUDA GPU where there is one, else on the CPU

Reading: pairs of two images (160 x 160, 10 bands, uint16) and two masks, drawn at random, warm cache.
  geotiff    a deflated GeoTIFF for each image and mask of a tile, through rasterio, one thread
  zarr       the cubes through zarr-python, one thread
  shards     the cubes through models.shards, one thread
  batches    models.batches: shards, threads, into a batch
  memory map models.cache: batches from decoded tiles
Steps: forward, loss, backward and optimiser on a batch that is on the device.
Waiting, on a GPU: training as `minebench train` does it, beside the same steps on one batch that is on
the device; batches of 32. `threads` is what it would wait if threads of its own process read; `kernels`
the share of the time in which the GPU computes at all.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import rasterio
import torch
import zarr
from bench_data import make  # type: ignore[import-not-found]

import models
from models.training.batches import Batch, BatchSampler
from models.training.objective import Objective
from models.training.settings import Settings
from models.training.train import Loop, optimiser_of

BATCH, ROUNDS = 32, 3
WARM = 15
"""Steps in which memory for batches is still being taken."""
FORMS: dict[str, dict[str, object]] = {
    "plain float32": {},
    "channels last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "bf16, channels last": {"precision": "bf16", "channels_last": True},
    "torch.compile": {"compile": True},
    "bf16, torch.compile": {"precision": "bf16", "compile": True},
}


def rate(work: Callable[[], int]) -> float:
    """Units a second, best of ROUNDS."""
    found = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        done = work()
        found.append(done / (time.perf_counter() - begun))
    return max(found)


def geotiffs(folder: Path, source: BatchSampler, into: Path) -> Callable[[int], None]:
    """One file an image and one a mask, and a reader of a pair."""
    into.mkdir()
    cubes = source.dataset.cubes
    for tile in source.tiles:
        pixels, masks = cubes.read(tile)
        for date, (image, mask) in enumerate(zip(pixels, masks, strict=True)):
            for name, array in (("i", image), ("m", mask[None])):
                with rasterio.open(
                    into / f"{tile.tile_id}_{date}_{name}.tif", "w", driver="GTiff", height=160, width=160,
                    count=len(array), dtype=array.dtype, compress="deflate", predictor=2,
                ) as file:  # fmt: skip
                    file.write(array)

    def read(item: int) -> None:
        tile, dates = source.items[item]
        for date in dates:
            for name in "im":
                with rasterio.open(into / f"{tile.tile_id}_{date}_{name}.tif") as file:
                    file.read()

    return read


def through_zarr(folder: Path, source: BatchSampler) -> Callable[[int], None]:
    groups = {
        tile.site_id: zarr.open_group(folder / "cubes" / f"{tile.site_id}.zarr", mode="r")
        for tile in source.tiles
    }
    arrays = {
        (site, name): group[name]
        for site, group in groups.items()
        for name in ("reflectance", "mine", "clear")
    }

    def read(item: int) -> None:
        tile, dates = source.items[item]
        y, x = slice(tile.y0, tile.y0 + 160), slice(tile.x0, tile.x0 + 160)
        for date in dates:
            np.asarray(arrays[tile.site_id, "reflectance"][date, :, y, x])
            for name in ("mine", "clear"):
                np.asarray(arrays[tile.site_id, name][date, y, x])

    return read


def reading(folder: Path, count: int) -> None:
    settings = Settings(batch=BATCH, threads=1, cache_gb=0)
    source = BatchSampler(folder, "change", "train", settings)
    rng = np.random.default_rng(0)

    def one_by_one(read: Callable[[int], None], items: int) -> float:
        return rate(lambda: len([read(int(i)) for i in rng.integers(0, len(source), items)]))

    def batches(**changes: object) -> float:
        own = BatchSampler(folder, "change", "train", replace(settings, **changes))  # type: ignore[arg-type]
        steps = max(2, count // BATCH)
        return rate(lambda: sum(len(batch.names) for batch in own.batches(0, steps)))

    found = {
        "geotiff": one_by_one(geotiffs(folder, source, folder / "tif"), count // 4),
        "zarr": one_by_one(through_zarr(folder, source), count // 8),
        "shards": one_by_one(lambda i: source.read(np.array([i]), None) and None, count),
        "batches, 1 thread": batches(),
        "batches, 2 threads": batches(threads=2),
        "batches, 8 threads": batches(threads=8),
        "memory map, 2 threads": batches(threads=2, cache_gb=64.0),
    }
    print(f"{'reading':<24}{'pairs/s':>10}{'x geotiff':>11}{'x zarr':>9}")
    for name, value in found.items():
        print(f"{name:<24}{value:>10.0f}{value / found['geotiff']:>11.1f}{value / found['zarr']:>9.1f}")


def step_rate(
    folder: Path, model: str, device: torch.device, settings: Settings, seconds: float = 4.0, unit: int = 1
) -> float:
    """Items, times `unit`, that are trained on in a second."""
    task = models.task_of(model)
    source = BatchSampler(folder, task, "train", settings)
    batch = source.batch(0).to(device)
    torch.manual_seed(0)
    network = models.create(model, in_channels=10, **settings.options).to(device)
    if settings.channels_last:
        network.to(memory_format=torch.channels_last)
    objective = Objective(network, task, source.scale, settings).to(device).train()
    optimiser = optimiser_of(network, settings, device)
    if settings.compile:
        objective.compile()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16"):
            loss = objective(batch.images, batch.masks)
        loss.backward()
        optimiser.step()

    def some() -> int:
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            step()
            done += len(batch.names) * unit
        if device.type == "cuda":
            torch.cuda.synchronize()
        return done

    step()
    return rate(some)


def steps(folder: Path, device: torch.device) -> None:
    size = 32 if device.type == "cuda" else 2
    plain = Settings(batch=size, augment=("flip",), crop=None if device.type == "cuda" else 128)
    print(f"\n{'a step, pairs/s':<24}" + "".join(f"{model:>20}" for model in ("fc-siam-diff", "tinycd")))
    base: dict[str, float] = {}
    for name, changes in FORMS.items():
        line = f"{name:<24}"
        for model in ("fc-siam-diff", "tinycd"):
            found = step_rate(folder, model, device, replace(plain, **changes))  # type: ignore[arg-type]
            base.setdefault(model, found)
            line += f"{found:>12.1f} ({found / base[model]:.2f}x)"
        print(line, flush=True)


def series(folder: Path, device: torch.device) -> None:
    """A tile's whole series, each date encoded once, against the same pairs one by one."""
    crop = None if device.type == "cuda" else 96
    print(f"\n{'training, pairs/s':<24}{'pair by pair':>14}{'whole series':>14}{'ratio':>8}")
    for model in ("fc-siam-diff", "minenetcd-resnet18"):
        single = Settings(batch=9, augment=("flip",), crop=crop)
        whole = Settings(batch=1, augment=("flip",), crop=crop, series=True)
        one = step_rate(folder, model, device, single)
        many = step_rate(folder, model, device, whole, unit=45)
        print(f"{model:<24}{one:>14.1f}{many:>14.1f}{many / one:>8.2f}", flush=True)


def pace(loop: Loop, batches: Iterator[Batch]) -> float:
    """Pairs a second after the first steps."""
    done, begun = 0, 0.0
    for number, batch in enumerate(batches):
        if number == WARM:
            torch.cuda.synchronize()
            begun = time.perf_counter()
        loop._step(batch)
        done += BATCH * (number >= WARM)
    torch.cuda.synchronize()
    return done / (time.perf_counter() - begun)


def kernels(loop: Loop, batches: Iterator[Batch]) -> float:
    """The share of the time of these batches in which the GPU computes."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    loop._step(next(batches))
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profile:
        begun = time.perf_counter()
        for batch in batches:
            loop._step(batch)
        torch.cuda.synchronize()
        took = time.perf_counter() - begun
    # Not the copies: those go on beside it.
    busy = sum(row.self_device_time_total for row in profile.key_averages() if "Mem" not in row.key)
    return busy / 1e6 / took


def waiting(folder: Path, model: str, name: str, seconds: float = 2.0) -> None:
    """One line: how fast a model is trained, and what it waits for."""
    device = torch.device("cuda")
    settings = replace(Settings(batch=BATCH, threads=4, augment=("flip",)), **FORMS[name])  # type: ignore[arg-type]
    source = BatchSampler(folder, "change", "train", settings)
    network = models.create(model, in_channels=10, **settings.options)
    with tempfile.TemporaryDirectory() as run:
        loop = Loop(Path(run), folder, model, network, source, None)
        one = source.batch(0).to(device)
        torch.cuda.reset_peak_memory_stats()
        steps = WARM + max(10, int(seconds * pace(loop, repeat(one, WARM + 5)) / BATCH))
        memory = torch.cuda.max_memory_allocated() / 2**30
        still = max(pace(loop, repeat(one, steps)) for _ in range(2))
        ours = max(pace(loop, source.batches(0, steps, device=device)) for _ in range(2))
        threads = pace(loop, (batch.to(device) for batch in source.batches(0, steps)))
        busy = kernels(loop, source.batches(0, 11, device=device))
    print(f"{model:<18}{name:<22}{still:>10.0f}{ours:>8.0f}{1 - ours / still:>9.1%}"
          f"{1 - threads / still:>10.1%}{busy:>9.0%}{memory:>11.1f}", flush=True)  # fmt: skip


def waiting_of_all(folder: Path, forms: list[str]) -> None:
    print(f"\n{'pairs/s':<40}{'no data':>10}{'fed':>8}{'waits':>9}{'threads':>10}{'kernels':>9}"
          f"{'peak, GiB':>11}")  # fmt: skip
    for name in forms:
        for model in ("tinycd", "minenetcd-swin-t"):
            waiting(folder, model, name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=2048, help="pairs read in a round")
    parser.add_argument("--only", choices=("reading", "steps", "series", "waiting"))
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{name}; torch {torch.__version__}\n")
    scratch = Path(tempfile.mkdtemp())
    try:
        folder = make(scratch / "b", sites=1 if given.only == "waiting" else 3, tiles_a_side=4)
        if given.only in (None, "reading"):
            reading(folder, given.pairs)
        if given.only in (None, "steps"):
            steps(folder, device)
        if given.only in (None, "series"):
            series(folder, device)
        if given.only in (None, "waiting") and device.type == "cuda":
            waiting_of_all(folder, given.forms)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
