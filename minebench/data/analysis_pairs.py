"""Pairs of the analysis sets (`pipeline.index.analysis_sets`): windows that are made coarser or shifted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from minebench.data.datasets import Pairs, names, read_table
from minebench.errors import InputError, UnknownName
from minebench.index import Tile
from minebench.masks import UNKNOWN

SETS = ("neighbourhood", "scale", "object_size", "misregistration", "size_scale")


class AnalysisPairs(Pairs):
    """Pairs of an analysis set (index/analysis), with the items of `Pairs` and `level`.

    Each row of the table is a window, and may have

    - a region: the label is 255 outside it;
    - a scale: both images are reduced by block means and enlarged again (bilinear);
    - a shift (dy, dx): the second image's content is moved down and right by so many pixels; the site, or
      beyond its edge its mirror image, fills the gap.

    Scale and shift also apply to the neighbourhoods.
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        row: Any = self.table.iloc[index]
        window = Tile(
            row.tile_id, row.site_id, "", row.y0, row.x0, row.height, row.width, row.pad_y, row.pad_x
        )
        dates = self.dates(window, row)
        pixels, _ = self.cubes.inputs(window, dates)
        shift = getattr(row, "dy", 0), getattr(row, "dx", 0)
        if any(shift):
            pixels = np.stack([pixels[0], self._moved(window, dates[1], *shift)])
        scale = int(getattr(row, "scale", 1))
        item = {key: rescaled(image, scale) for key, image in self.scaled(pixels).items()}
        label = only_region(self.cubes.label(window, row.t1, row.t2), row)
        second = replace(window, y0=window.y0 - shift[0], x0=window.x0 - shift[1])
        around = self._around([window, second], dates, scale)
        return {**item, "label": torch.from_numpy(label), **around, **names(row), "level": row.level}

    def _around(self, windows: list[Tile], dates: list[int], scale: int) -> dict[str, Tensor]:
        """Return `a_context` and `b_context` of the two dates' windows at a scale; {} without neighbours."""
        if self.neighbours is None:
            return {}
        names = ("a_context", "b_context")
        views = list(zip(windows, dates, strict=True))
        if scale == 1:
            reduced = [self.cubes.neighbourhood(*view, self.neighbours) for view in views]
            return dict(zip(names, self.scaled(np.stack(reduced)).values(), strict=True))
        wide = np.stack([self.cubes.neighbours(*view, self.neighbours) for view in views])
        has_data = torch.from_numpy((wide != 0).any(axis=1, keepdims=True)).float()
        images = self.scaled(wide).values()
        return {
            name: thirds(rescaled(image, scale), mask)
            for name, image, mask in zip(names, images, has_data, strict=True)
        }

    def _moved(self, window: Tile, date: int, dy: int, dx: int) -> NDArray[Any]:
        """Return the image (channel, y, x) with its content moved by `dy` pixels down and `dx` right."""
        if window.pad_y or window.pad_x:
            pixels, _ = self.cubes.inputs(window, [date])
            return np.roll(pixels[0], (dy, dx), axis=(1, 2))
        corner = window.y0 - dy, window.x0 - dx
        return self.cubes.window(window.site_id, date, *corner, *window.shape, "mirror")


def rescaled(image: Tensor, scale: int) -> Tensor:
    """Return an image (C, H, W) reduced by `scale` and enlarged to its size again."""
    if scale == 1:
        return image
    size = (max(1, image.shape[1] // scale), max(1, image.shape[2] // scale))
    small = F.interpolate(image[None], size=size, mode="area")
    return F.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0]


def thirds(image: Tensor, has_data: Tensor) -> Tensor:
    """Return an image (C, H, W) reduced to a third of its sides by means of pixels with data; 0 without any.

    Parameters
    ----------
    image
        The image.
    has_data
        1 where there is data, else 0 (1, H, W).
    """
    share = F.avg_pool2d(has_data, 3)
    return torch.where(share > 0, F.avg_pool2d(image * has_data, 3) / share.clamp_min(1e-6), 0.0)


def only_region(label: NDArray[np.uint8], row: Any) -> NDArray[np.uint8]:
    """Return the label (y, x) with 255 outside the row's region, unchanged if the row has none."""
    if not hasattr(row, "region_size"):
        return label
    masked = np.full_like(label, UNKNOWN)
    y, x, size = int(row.region_y), int(row.region_x), int(row.region_size)
    masked[y : y + size, x : x + size] = label[y : y + size, x : x + size]
    return masked


def rows_of(benchmark_dir: Path, analysis: str, level: str | None) -> pd.DataFrame:
    """Return the rows of an analysis set, of one level or of all. InputError if it has no such level."""
    if analysis not in SETS:
        raise UnknownName(f"'{analysis}' is not an analysis set; choose one of {', '.join(SETS)}.")
    rows = read_table(benchmark_dir, f"analysis/{analysis}")
    chosen = rows if level is None else rows[rows.level == level]
    if chosen.empty:
        levels = ", ".join(rows.level.unique()) or "it is empty for this benchmark"
        raise InputError(f"The analysis set {analysis} has nothing at level '{level}'; levels: {levels}.")
    return chosen
