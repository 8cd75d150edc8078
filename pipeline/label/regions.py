"""An image, or a pair of them stacked, as a hierarchy of regions, from single pixels to the whole.

A watershed hierarchy by area (Cousty and Najman 2011, doi 10.1007/978-3-642-21569-8_24; Perret et al. 2019,
doi 10.1016/j.softx.2019.100335) over the graph of neighbouring pixels, whose edges weigh how much the
standardised bands differ: what an annotator clicks in or out.
"""

from dataclasses import dataclass
from typing import Any

import higra
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.features import shapes

GROWTH = 1.3
"""How much larger the next coarser region is at least: between them there are hundreds of a pixel more."""
PIXELS = rasterio.Affine.identity()


@dataclass(frozen=True)
class Regions:
    """Regions by number, the pixels (in C order) first and the whole image last. `order` lists the pixels so
    that each region is a run of them, from `first` to before `last`."""

    shape: tuple[int, int]
    parents: NDArray[np.int64]
    order: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each region."""
        return self.last - self.first

    def at(self, row: int, column: int, area: float) -> int:
        """The smallest region around a pixel that has at least so many pixels, or the whole."""
        region = row * self.shape[1] + column
        while self.last[region] - self.first[region] < area and self.parents[region] != region:
            region = int(self.parents[region])
        return region

    def coarser(self, region: int) -> int:
        """Pixels of the next region around one that is noticeably larger, or of itself where it is the
        whole."""
        own = int(self.last[region] - self.first[region])
        wider = self.at(*divmod(int(self.order[self.first[region]]), self.shape[1]), area=own * GROWTH)
        return int(self.last[wider] - self.first[wider])

    def finer(self, row: int, column: int, area: float) -> int:
        """Pixels of the largest region around a pixel that is noticeably smaller than `area`."""
        region = row * self.shape[1] + column
        found = 1
        while self.parents[region] != region:
            region = int(self.parents[region])
            own = int(self.last[region] - self.first[region])
            if own * GROWTH > area:
                break
            found = own
        return found

    def pixels(self, region: int) -> NDArray[np.int64]:
        """Places (C order) of a region's pixels."""
        return self.order[self.first[region] : self.last[region]]

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """The sum of `values` (y, x) over each region."""
        running = np.concatenate([[0], np.cumsum(values.ravel()[self.order])])
        return running[self.last] - running[self.first]

    def segments(self, least: int) -> NDArray[np.int64]:
        """Of each pixel (y, x) the first region around it that has at least so many pixels."""
        region = np.arange(self.order.size)
        while (small := self.areas[region] < min(least, region.size)).any():
            region[small] = self.parents[region[small]]
        return region.reshape(self.shape)


def build(bands: NDArray[Any]) -> Regions:
    """The regions of an image (band, y, x), 0 where it has no data; of a pair the bands of both."""
    shape = bands.shape[1:]
    graph = higra.get_4_adjacency_graph(shape)
    tree, _ = higra.watershed_hierarchy_by_area(graph, _differences(graph, standardised(bands)))
    parents, areas = tree.parents(), higra.attribute_area(tree).astype(np.int64)
    # Where each region's run begins: where its parent's does, after its elder siblings.
    by_parent = np.argsort(parents[:-1], kind="stable")
    before = np.cumsum(areas[by_parent]) - areas[by_parent]
    eldest = np.r_[True, np.diff(parents[by_parent]) != 0]
    within = np.zeros(len(parents), np.int64)
    within[by_parent] = before - np.maximum.accumulate(np.where(eldest, before, 0))
    first = higra.propagate_sequential_and_accumulate(tree, within, higra.Accumulators.sum).astype(np.int64)
    order = np.empty(tree.num_leaves(), np.int64)
    order[first[: order.size]] = np.arange(order.size)
    return Regions((int(shape[0]), int(shape[1])), np.asarray(parents, np.int64), order, first, first + areas)


def standardised(bands: NDArray[Any]) -> NDArray[np.float32]:
    """Bands (band, y, x) with a mean of 0 and a deviation of 1 where there is data, 0 elsewhere."""
    found = np.zeros(bands.shape, np.float32)
    for band, into in zip(bands, found, strict=True):
        seen = band > 0
        if seen.any():
            values = band[seen].astype(np.float32)
            into[seen] = (values - values.mean()) / max(float(values.std()), 1e-6)
    return found


def _differences(graph: Any, bands: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Distances of neighbouring pixels (Euclidean), in steps of the largest: whole numbers sort faster."""
    one, other = graph.edge_list()
    total = np.zeros(len(one), np.float32)
    for band in bands:
        values = band.ravel()
        total += np.square(values[one] - values[other])
    distances = np.sqrt(total)
    return (distances * (65535 / max(float(distances.max()), 1e-6))).astype(np.uint16)


def outline(pixels: NDArray[np.int64], shape: tuple[int, int]) -> list[list[list[float]]]:
    """Rings ([column, row] of corners) around pixels (places in C order), outer ones and holes."""
    if not pixels.size:
        return []
    rows, columns = np.divmod(pixels, shape[1])
    top, left = int(rows.min()), int(columns.min())
    window = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.uint8)
    window[rows - top, columns - left] = 1
    return rings(window, rasterio.Affine.translation(left, top))


def rings(mask: NDArray[np.uint8], transform: rasterio.Affine = PIXELS) -> list[list[list[float]]]:
    """Rings around the pixels of a mask (y, x)."""
    found = shapes(mask, mask=mask > 0, transform=transform)
    return [[[float(x), float(y)] for x, y in ring] for shape, _ in found for ring in shape["coordinates"]]
