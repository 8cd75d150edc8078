"""What evaluation costs: all pairs of a tile, and the consistency of masks. Ratios within one run.

    python bench/evaluate.py         on a CUDA GPU where there is one, else on the CPU

All 45 pairs of a tile of 10 dates (160 x 160, 10 bands), encoded once a date, against the model called
on the same pairs in groups of the same size; the largest difference of the logits in float32 beside it.
Consistency: CA-TIoU of the 45 pairs of 1,000 tiles of 160 x 160 against a loop over boolean arrays.
"""

import os
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch

import models
from minebench.metrics.confusion import temporal_consistency
from models.evaluation.inference import PAIRS_AT_ONCE, pair_logits

DATES, SIDE, BANDS, ROUNDS = 10, 160, 10, 3
PAIRS = list(combinations(range(DATES), 2))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Best of ROUNDS."""
    found = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found)


@torch.no_grad()
def encode_once(device: torch.device) -> None:
    print(f"{'45 pairs of a tile':<24}{'pair by pair':>14}{'encode once':>14}{'ratio':>8}{'difference':>14}")
    for name in ("fc-siam-diff", "bit", "tinycd", "minenetcd-swin-t"):
        torch.manual_seed(0)
        network = models.create(name, in_channels=BANDS).to(device).eval()
        images = torch.randn(DATES, BANDS, SIDE, SIDE, device=device)

        def single(network=network, images=images) -> torch.Tensor:  # type: ignore[no-untyped-def]
            groups = [PAIRS[i : i + PAIRS_AT_ONCE] for i in range(0, len(PAIRS), PAIRS_AT_ONCE)]
            return torch.cat(
                [network(images[[a for a, _ in g]], images[[b for _, b in g]])[:, 0] for g in groups]
            )

        def once(network=network, images=images) -> torch.Tensor:  # type: ignore[no-untyped-def]
            return pair_logits(network, images, PAIRS)

        difference = float((single() - once()).abs().max())
        slow, fast = seconds(single, device), seconds(once, device)
        print(f"{name:<24}{slow:>12.2f} s{fast:>12.2f} s{slow / fast:>8.2f}{difference:>14.1e}", flush=True)


def loop(pred: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    table = {}
    for i, j in PAIRS:
        stable = true[i] == true[j]
        table[i, j] = (pred[i] & pred[j] & stable).sum() / ((pred[i] | pred[j]) & stable).sum()
    near = [table[i, i + 1] for i in range(DATES - 1)]
    return float(np.mean(near)), float(np.mean(list(table.values())))


def consistency() -> None:
    rng = np.random.default_rng(0)
    pred, true = (rng.random((DATES, 1000, SIDE, SIDE), np.float32) > 0.6 for _ in range(2))
    cpu = torch.device("cpu")
    assert loop(pred, true) == temporal_consistency(pred, true)
    slow, fast = (
        seconds(lambda: loop(pred, true), cpu),
        seconds(lambda: temporal_consistency(pred, true), cpu),
    )
    print(f"\n{'CA-TIoU, 1,000 tiles':<24}{slow:>12.2f} s{fast:>12.2f} s{slow / fast:>8.1f}  (equal)")


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{name}; torch {torch.__version__}\n")
    encode_once(device)
    consistency()


if __name__ == "__main__":
    main()
