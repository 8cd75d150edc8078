"""How long measuring one date's shift takes, and how far off it is, against the plain way.

    python bench/coregister.py [--sizes 256 620 1300]

Synthetic land of four bands, moved by known fractions of a pixel. `plain` does the same in the plain
way: every band's texture of both dates, complex transforms of every half-overlapping window, one after the
other, the reference's made anew for each date. One thread.
"""

import argparse
import time

import numpy as np
from scipy.fft import fft2, fftfreq, ifft2
from scipy.ndimage import gaussian_filter, shift, uniform_filter

from pipeline.scenes.coregister import CLEAR_SHARE, WINDOW, Reference
from pipeline.scenes.peaks import AGREE

DATES = 4


def land(side: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = rng.uniform(0, 1, (4, side // 12 + 2, side // 12 + 2)).repeat(12, 1).repeat(12, 2)
    fields = fields[:, :side, :side]
    return gaussian_filter(1000 + 2000 * fields + rng.normal(0, 60, fields.shape), (0, 1, 1)).astype(
        np.uint16
    )


def texture(image: np.ndarray) -> np.ndarray:
    found = []
    for band in image.astype(np.float32):
        detail = band - gaussian_filter(band, 2.3)
        contrast = np.sqrt(np.maximum(uniform_filter(detail * detail, 31), 0)) + 1
        found.append(gaussian_filter(np.clip(detail / contrast, -2, 2), 0.45))
    return np.stack(found)


def plain(reference: np.ndarray, moving: np.ndarray, clear: np.ndarray) -> tuple[float, float]:
    first, second = texture(reference) * clear, texture(moving) * clear
    taper = np.outer(*[np.hanning(WINDOW + 2)[1:-1]] * 2)
    found = []
    for y in range(0, clear.shape[0] - WINDOW + 1, WINDOW // 2):
        for x in range(0, clear.shape[1] - WINDOW + 1, WINDOW // 2):
            part = np.s_[..., y : y + WINDOW, x : x + WINDOW]
            if clear[part].mean() >= CLEAR_SHARE:
                found.append(peak(first[part] * taper, second[part] * taper))
    shifts = np.array(found)
    agreeing = np.abs(shifts - np.median(shifts, axis=0)).max(axis=1) < AGREE
    down, right = shifts[agreeing].mean(axis=0)
    return float(down), float(right)


def peak(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    spectrum = (np.conj(fft2(first)) * fft2(second)).sum(axis=0)
    steps, fine = np.arange(-4, 5), np.arange(-20, 21) / 20
    near = ifft2(spectrum).real[np.ix_(steps, steps)]
    whole = steps[list(np.unravel_index(near.argmax(), near.shape))]
    angle = 2j * np.pi * fftfreq(WINDOW)
    down, right = (np.exp(np.outer(at + fine, angle)) for at in whole)
    around = (down @ spectrum @ right.T).real
    return whole + fine[list(np.unravel_index(around.argmax(), around.shape))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 620, 1300])
    print(
        f"{'side':>6} {'plain, ms':>10} {'ours, ms':>9} {'ratio':>7} {'plain off':>10} {'ours off, px':>13}"
    )
    for side in parser.parse_args().sizes:
        compare(side)


def compare(side: int) -> None:
    rng = np.random.default_rng(side)
    image, clear = land(side, side), np.ones((side, side), bool)
    clear[: side // 5, : side // 5] = False  # a cloud
    moves = rng.uniform(-1.5, 1.5, (DATES, 2))
    dates = [shift(image, (0, *move), order=3, mode="nearest") for move in moves]
    slow, far = timed(lambda moved: plain(image, moved, clear), dates, moves)
    begun = time.perf_counter()
    reference = Reference.of(image, clear)
    made = (time.perf_counter() - begun) / DATES  # each date's part of the reference
    fast, near = timed(lambda moved: vector(reference.measure(moved, clear)), dates, moves)
    fast += made
    print(
        f"{side:>6} {1000 * slow:>10.1f} {1000 * fast:>9.1f} {slow / fast:>6.1f}x {far:>10.3f} {near:>13.3f}"
    )


def vector(offset):  # type: ignore[no-untyped-def]
    return offset.down, offset.right


def timed(measure, dates, moves):  # type: ignore[no-untyped-def]
    """Seconds a date (the median), and the median error in pixels."""
    seconds, errors = [], []
    for moved, move in zip(dates, moves, strict=True):
        begun = time.perf_counter()
        found = measure(moved)
        seconds.append(time.perf_counter() - begun)
        errors.append(np.hypot(*np.subtract(found, move)))
    return float(np.median(seconds)), float(np.median(errors))


if __name__ == "__main__":
    main()
