"""Predictions of whole sites: overlapping windows, blended, so that no seam shows.

A window's weight falls from its middle to its edge. Memory is that of one site's maps.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minebench.cube.windows import Cubes
from minebench.index import Tile, starts
from models.base import Model
from models.evaluation.inference import mask_logits, pair_logits
from models.smoothing import Smoothing
from models.training.objective import Standardise

OVERLAP = 0.5
"""Share of a window's side that the next one begins earlier."""
AT_ONCE = 1 << 22
"""Pixels of all dates that are smoothed at a time."""


def windows(site_id: str, shape: tuple[int, int], side: int) -> list[Tile]:
    """Windows of `side` pixels that cover a site and overlap, the last ones shifted back to end at its
    edge; one that is larger than the site is padded."""
    step = max(1, int(side * (1 - OVERLAP)))
    rows, columns = (starts(length, side, step) for length in shape)
    height, width = (min(length, side) for length in shape)
    corners = [(y0, x0) for y0 in rows for x0 in columns]
    return [Tile("", site_id, "", y0, x0, height, width, side - height, side - width) for y0, x0 in corners]


@torch.no_grad()
def probability(
    network: Model, cubes: Cubes, site_id: str, side: int, standardise: Standardise, device: torch.device,
    pairs: list[tuple[int, int]] | None, beyond: str | None = None, smoothing: Smoothing | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Probabilities (K, H, W) over a whole site: of change for each of `pairs`, or without them of
    footprint for each date; with `smoothing` both are of a footprint model. NaN where an image has no clear
    observation.

    `side` is the window's: the size of tile that the model was trained on.
    """
    of_dates = None if smoothing else pairs
    found = _blended(network, cubes, site_id, side, standardise, device, of_dates, beyond)
    if smoothing:
        found = _smoothed(found, cubes, site_id, smoothing, pairs)
    for k, unseen in enumerate(_unseen(cubes, site_id, pairs)):
        found[k][unseen] = np.nan
    return found


def _smoothed(
    found: NDArray[np.float32], cubes: Cubes, site_id: str, smoothing: Smoothing,
    pairs: list[tuple[int, int]] | None,
) -> NDArray[np.float32]:  # fmt: skip
    """Footprint probabilities (T, H, W) smoothed over time, some rows at a time, or the change that comes of
    them."""
    labels, (dates, height, width) = cubes.periods(site_id), found.shape
    result = np.empty((dates if pairs is None else len(pairs), height, width), np.float32)
    seen = np.stack([~unseen for unseen in _unseen(cubes, site_id, None)])
    step = max(1, AT_ONCE // (dates * width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        logits, known = torch.logit(torch.from_numpy(found[:, rows])), torch.from_numpy(seen[:, rows])
        if pairs is None:
            result[:, rows] = smoothing.marginals(logits, known, labels).numpy()
        else:
            result[:, rows] = smoothing.changes(logits, known, labels, pairs).numpy()
    return result


def _blended(
    network: Model, cubes: Cubes, site_id: str, side: int, standardise: Standardise, device: torch.device,
    pairs: list[tuple[int, int]] | None, beyond: str | None,
) -> NDArray[np.float32]:  # fmt: skip
    """Probabilities (K, H, W) of windows, blended."""
    cube = cubes.cube(site_id)
    shape = (cube.pixels.shape[-2], cube.pixels.shape[-1])
    count = len(cube.periods) if pairs is None else len(pairs)
    total, weight = np.zeros((count, *shape), np.float32), np.zeros(shape, np.float32)
    ramp = _ramp(side)
    for window in windows(site_id, shape, side):
        logits = _of_window(network, cubes, window, standardise, device, pairs, beyond)
        y, x = slice(window.y0, window.y0 + window.height), slice(window.x0, window.x0 + window.width)
        own = ramp[: window.height, : window.width]
        inside = torch.sigmoid(logits)[:, : window.height, : window.width].cpu().numpy()
        total[:, y, x] += inside * own
        weight[y, x] += own
    return total / weight


def _of_window(
    network: Model, cubes: Cubes, window: Tile, standardise: Standardise, device: torch.device,
    pairs: list[tuple[int, int]] | None, beyond: str | None,
) -> Tensor:  # fmt: skip
    pixels, _ = cubes.inputs(window)
    images = standardise(torch.from_numpy(pixels).to(device))
    if pairs is None:
        return mask_logits(network, images)
    around = None
    if network.context and beyond:
        near = np.stack([cubes.neighbourhood(window, date, beyond) for date in range(len(pixels))])
        around = standardise(torch.from_numpy(near).to(device))
    return pair_logits(network, images, pairs, around)


def _unseen(cubes: Cubes, site_id: str, pairs: list[tuple[int, int]] | None) -> Iterator[NDArray[np.bool_]]:
    """Pixels without a clear observation on the date, or on either date of a pair."""
    cube: Any = cubes.cube(site_id)
    shape = cube.clear.shape[1:]
    seen = [cube.clear.window(date, 0, 0, *shape) > 0 for date in range(len(cube.periods))]
    for dates in pairs if pairs is not None else [(date, date) for date in range(len(seen))]:
        yield ~(seen[dates[0]] & seen[dates[1]])


def _ramp(side: int) -> NDArray[np.float32]:
    """Weights (side, side) that fall linearly from the middle to nearly 0 at the edge."""
    along = np.minimum(np.arange(side) + 1, np.arange(side)[::-1] + 1).astype(np.float32)
    return np.minimum.outer(along, along) / along.max()
