"""Regions hold one another, and every one is a run of pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import label

from pipeline.label import regions
from pipeline.label.regions import Regions


def image(seed: int, height: int, width: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 60, (3, height, width)).astype(np.uint16)


sizes = st.tuples(st.integers(0, 99), st.integers(2, 14), st.integers(2, 14))


@settings(max_examples=40, deadline=None)
@given(sizes, st.data())
def test_a_region_is_connected_and_lies_in_the_coarser_one(
    size: tuple[int, int, int], data: st.DataObject
) -> None:
    found = regions.build(image(*size))
    pixels = found.shape[0] * found.shape[1]
    assert sorted(found.order) == list(range(pixels))
    region = data.draw(st.integers(0, len(found.parents) - 1))
    own, parent = set(found.pixels(region)), set(found.pixels(int(found.parents[region])))
    assert own <= parent
    mask = np.zeros(pixels, bool)
    mask[list(own)] = True
    assert label(mask.reshape(found.shape))[1] == 1
    assert found.areas[region] == len(own)


@settings(max_examples=40, deadline=None)
@given(sizes, st.data())
def test_the_region_at_a_pixel_is_the_smallest_of_its_size(
    size: tuple[int, int, int], data: st.DataObject
) -> None:
    found = regions.build(image(*size))
    height, width = found.shape
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    area = data.draw(st.integers(1, height * width))
    region = found.at(row, column, area)
    around = [r for r in range(len(found.parents)) if row * width + column in found.pixels(r)]
    assert found.areas[region] == min(found.areas[r] for r in around if found.areas[r] >= area)
    assert found.finer(row, column, int(found.areas[region])) <= found.areas[region]
    coarser = found.coarser(region)
    assert coarser >= found.areas[region] * regions.GROWTH or coarser == height * width


@settings(max_examples=20, deadline=None)
@given(sizes)
def test_sums_are_of_the_regions_pixels(size: tuple[int, int, int]) -> None:
    found = regions.build(image(*size))
    values = np.random.default_rng(1).integers(0, 9, found.shape)
    sums = found.sums(values)
    for region in range(0, len(found.parents), 7):
        assert sums[region] == values.ravel()[found.pixels(region)].sum()


def test_an_outline_gives_its_pixels_again() -> None:
    mask = np.ones((9, 12), bool)
    mask[3:5, 4:8] = False  # a hole
    mask[:2, :3] = False
    rings = regions.outline(np.flatnonzero(mask), mask.shape)
    drawn = rasterize([{"type": "Polygon", "coordinates": rings}], out_shape=mask.shape)
    assert (drawn == mask).all()
    assert regions.outline(np.array([], np.int64), mask.shape) == []


def test_a_field_in_front_of_another_is_a_region() -> None:
    pixels = np.full((2, 40, 40), 1000, np.uint16)
    pixels[:, 10:22, 12:30] = 3000
    pixels += np.random.default_rng(0).integers(0, 50, pixels.shape).astype(np.uint16)
    found = regions.build(pixels)
    field = np.zeros((40, 40), bool)
    field[10:22, 12:30] = True
    assert set(found.pixels(found.at(15, 20, 200))) == set(np.flatnonzero(field))


@pytest.mark.parametrize("constant", [0, 5])
def test_a_plain_image_has_regions_too(constant: int) -> None:
    found: Regions = regions.build(np.full((2, 5, 6), constant, np.uint16))
    assert found.areas[-1] == 30
    assert (found.segments(1000) == len(found.parents) - 1).all()
