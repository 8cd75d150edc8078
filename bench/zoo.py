"""What each model costs: a training step, its memory, and predicting. One model after another.

    python bench/zoo.py [MODEL ...]      on a CUDA GPU where there is one, else on the CPU

Images of 256 x 256 with three bands, as MineNetCD's, with each model's own loss; on a GPU 16 items a step, in
bf16, elsewhere 2, in float32. Items are pairs, or images of a footprint model (four dates for U-TAE).
Predicting is of items, not of series, whose dates a Siamese model encodes once.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable

import numpy as np
import torch

import models
from minebench.data.datasets import Scale
from models import registry
from models.training.objective import Objective
from models.training.optimiser import optimiser_of
from models.training.settings import Settings

SIDE, BANDS, SECONDS = 256, 3, 1.0
SCALE = Scale(np.full(BANDS, 2500, np.float32), np.full(BANDS, 1400, np.float32))


def rate(work: Callable[[], object], items: int, device: torch.device) -> float:
    """Items a second, after two rounds."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        work()
    wait()
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        work()
        wait()
        done += items
    return done / (time.perf_counter() - begun)


def one(name: str, device: torch.device, items: int) -> str:
    torch.manual_seed(0)
    task = registry.task_of(name)
    with device:
        network = models.create(name, in_channels=BANDS)
    size = sum(p.numel() for p in network.parameters()) / 1e6
    series = network.sees_series
    settings = Settings.of({"series": series, "weights": None, "augment": ["flip"]}, name)
    objective = Objective(network, task, SCALE, settings).to(device).train()
    optimiser = optimiser_of(network, settings, device)
    dates = 4 if series else 2 if task == "change" else 1
    if network.context:
        dates = 4
    images = torch.randint(1, 5000, (items, dates, BANDS, SIDE, SIDE), device=device).to(torch.uint16)
    masks = torch.randint(0, 2, (items, dates if series else 1, SIDE, SIDE), device=device, dtype=torch.uint8)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = objective(images, masks)
        loss.backward()
        optimiser.step()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trained = rate(step, items, device)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    network.eval()
    standard = objective.standardise(images)
    given = [standard] if series else list(standard.unbind(dim=1))

    @torch.no_grad()
    def predict() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda"):
            network(*given)

    return f"{name:<28}{size:>8.1f}{trained:>10.1f}{memory:>10.1f}{rate(predict, items, device):>12.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", help="all that are trained, without it")
    given = parser.parse_args().models or [
        name
        for task in registry.REGISTRY
        for name in models.names(task)
        if not registry.class_of(name).classical
    ]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{place}; torch {torch.__version__}\n")
    print(f"{'items/s':<28}{'M':>8}{'trained':>10}{'peak GiB':>10}{'predicted':>12}")
    for name in given:
        try:
            line = one(name, device, 16 if device.type == "cuda" else 2)
        except torch.OutOfMemoryError:
            line = f"{name:<28}{'out of memory':>28}"
        print(line, flush=True)
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
