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
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
    """The regions of an image (band, y, x), 0 where it has no data; of a pair the bands of both.

    The hierarchy stands on basins, not on pixels: it is the same watershed, four times as fast, and an area
    is that of whole basins.
    """
    height, width = bands.shape[1:]
    across, down = _differences(standardised(bands))
    basins = _basins(across, down)
    tree = _hierarchy(basins, across, down)
    # Where each region's run begins: where its parent's does, after its elder siblings.
    parents, areas = tree.parents(), np.bincount(basins.ravel(), minlength=tree.num_leaves())
    areas = higra.accumulate_sequential(tree, areas, higra.Accumulators.sum).astype(np.int64)
    by_parent = np.argsort(parents[:-1], kind="stable")
    before = np.cumsum(areas[by_parent]) - areas[by_parent]
    eldest = np.r_[True, np.diff(parents[by_parent]) != 0]
    within = np.zeros(len(parents), np.int64)
    within[by_parent] = before - np.maximum.accumulate(np.where(eldest, before, 0))
    first = higra.propagate_sequential_and_accumulate(tree, within, higra.Accumulators.sum).astype(np.int64)
    order = np.argsort(first[basins.ravel()], kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(order.size)
    return Regions(
        shape=(int(height), int(width)),
        parents=np.concatenate([basins.ravel(), parents]).astype(np.int64) + order.size,
        order=order,
        first=np.concatenate([places, first]),
        last=np.concatenate([places + 1, first + areas]),
    )


def standardised(bands: NDArray[Any]) -> NDArray[np.float32]:
    """Bands (band, y, x) with a mean of 0 and a deviation of 1 where there is data, 0 elsewhere."""
    found = np.zeros(bands.shape, np.float32)
    for band, into in zip(bands, found, strict=True):
        seen = band > 0
        if seen.any():
            values = band[seen].astype(np.float32)
            into[seen] = (values - values.mean()) / max(float(values.std()), 1e-6)
    return found


def _differences(bands: NDArray[np.float32]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Distances (Euclidean) of the pixels beside one another and of those below one another, in steps of the
    largest: whole numbers sort faster."""
    height, width = bands.shape[1:]
    across = np.zeros((height, width - 1), np.float32)
    down = np.zeros((height - 1, width), np.float32)
    for band in bands:
        across += np.square(band[:, 1:] - band[:, :-1])
        down += np.square(band[1:] - band[:-1])
    across, down = np.sqrt(across), np.sqrt(down)
    step = max(float(across.max(initial=0)), float(down.max(initial=0)), 1e-6) / 65535
    return (across / step).astype(np.uint16), (down / step).astype(np.uint16)


def _basins(across: NDArray[np.uint16], down: NDArray[np.uint16]) -> NDArray[np.int32]:
    """The basin of each pixel (y, x): a drop of water runs to the neighbour that differs least, and so on
    (watershed cuts; Cousty et al. 2009, doi 10.1109/TPAMI.2008.173). Pixels that do not differ share one."""
    height, width = down.shape[0] + 1, across.shape[1] + 1
    pixels = np.arange(height * width).reshape(height, width)
    near = np.full((4, height, width), 1 << 16, np.int32)
    near[0, :, :-1] = near[1, :, 1:] = across
    near[2, :-1] = near[3, 1:] = down
    steepest = pixels + np.array([1, -1, width, -width])[near.argmin(axis=0)]
    level, below = pixels[:, :-1][across == 0], pixels[:-1][down == 0]
    one = np.concatenate([pixels.ravel(), level, below])
    other = np.concatenate([steepest.ravel(), level + 1, below + width])
    flow = coo_array((np.ones(one.size, np.bool_), (one, other)), shape=(pixels.size, pixels.size))
    return np.asarray(connected_components(flow, directed=False)[1], np.int32).reshape(height, width)


def _hierarchy(basins: NDArray[np.int32], across: NDArray[np.uint16], down: NDArray[np.uint16]) -> Any:
    """The watershed hierarchy by area over basins, each pair of them as far apart as its nearest pixels."""
    count = int(basins.max()) + 1
    if count == 1:
        return higra.Tree(np.zeros(1, np.int64))
    one = np.concatenate([basins[:, :-1].ravel(), basins[:-1].ravel()]).astype(np.int64)
    other = np.concatenate([basins[:, 1:].ravel(), basins[1:].ravel()]).astype(np.int64)
    distances = np.concatenate([across.ravel(), down.ravel()])
    apart = one != other
    pairs = (np.minimum(one, other) * count + np.maximum(one, other))[apart]
    sorting = np.argsort(pairs, kind="stable")
    new = np.flatnonzero(np.diff(pairs[sorting], prepend=-1))
    nearest = np.minimum.reduceat(distances[apart][sorting], new)
    graph = higra.UndirectedGraph(count)
    graph.add_edges(*np.divmod(pairs[sorting][new], count))
    areas = np.bincount(basins.ravel()).astype(np.float64)
    return higra.watershed_hierarchy_by_area(graph, nearest, vertex_area=areas)[0]


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
