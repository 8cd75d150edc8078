import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation

from pipeline.cubes import composite
from pipeline.scenes.selection import clear_pixels, grown
from pipeline.sensors.classes import ClearRule

# Few distinct numbers, so that ties, zeros and both ends of the range come up often.
numbers = st.sampled_from([0, 1, 2, 7, 1000, 1001, 65534])


def reference_median(stack: np.ndarray, clear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The obvious loop over pixels."""
    image = np.zeros(stack.shape[1:], np.uint16)
    count = np.zeros(stack.shape[1:], np.uint8)
    for index in np.ndindex(*image.shape):
        values = sorted(int(v) for v, c in zip(stack[:, *index], clear[:, *index], strict=True) if c and v)
        count[index] = len(values)
        if values:
            image[index] = (values[(len(values) - 1) // 2] + values[len(values) // 2]) // 2
    return image, count


@st.composite
def stacks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 13), st.sampled_from([2, 4]), st.sampled_from([2, 6])))
    stack = draw(arrays(np.uint16, shape, elements=numbers))
    return stack, draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))


@settings(deadline=None)
@given(stacks())
def test_median_is_the_loops(case: tuple[np.ndarray, np.ndarray]) -> None:
    stack, clear = case
    image, count = composite.median(stack, clear, stack.shape[1:])
    expected, expected_count = reference_median(stack, clear)
    assert (image == expected).all()
    assert (count == expected_count).all()


@settings(deadline=None)
@given(stacks())
def test_half_size_masks_cover_two_by_two_pixels(case: tuple[np.ndarray, np.ndarray]) -> None:
    stack, clear = case
    half = clear[:, ::2, ::2]
    image, _ = composite.median(stack, half, stack.shape[1:])
    assert (image == reference_median(stack, half.repeat(2, 1).repeat(2, 2))[0]).all()


def reference_upsampled(coarse: np.ndarray) -> np.ndarray:
    """Weights of pixel centres, nodata without weight, nothing inside a nodata pixel."""
    height, width = 2 * (coarse.shape[0] - 2), 2 * (coarse.shape[1] - 2)
    fine = np.zeros((height, width), np.uint16)
    for y, x in np.ndindex(height, width):
        i, j = y // 2 + 1, x // 2 + 1
        k, m = i + (1 if y % 2 else -1), j + (1 if x % 2 else -1)
        parts = [(coarse[i, j], 9), (coarse[i, m], 3), (coarse[k, j], 3), (coarse[k, m], 1)]
        weight = sum(w for v, w in parts if v)
        total = sum(int(v) * w for v, w in parts if v)
        fine[y, x] = (total + weight // 2) // weight if coarse[i, j] else 0
    return fine


@settings(deadline=None)
@given(arrays(np.uint16, (5, 6), elements=numbers))
def test_interpolation_never_mixes_nodata_in(coarse: np.ndarray) -> None:
    assert (composite.upsampled(coarse, (6, 8)) == reference_upsampled(coarse)).all()


@settings(deadline=None)
@given(
    arrays(np.uint16, (4, 4, 5), elements=numbers), arrays(np.uint8, (4, 2, 3), elements=st.integers(0, 1))
)
def test_coarse_band_is_interpolated_then_composed(coarse: np.ndarray, clear: np.ndarray) -> None:
    fine = np.stack([reference_upsampled(image) for image in coarse])
    image, count = composite.median(coarse, clear, (4, 6))
    expected, expected_count = reference_median(fine, clear.repeat(2, 1).repeat(2, 2))
    assert (image == expected).all()
    assert (count == expected_count).all()


@settings(deadline=None)
@given(
    arrays(np.uint16, (5, 3, 2, 4), elements=numbers), arrays(np.uint8, (5, 2, 4), elements=st.integers(0, 1))
)
def test_medoid_is_the_observation_nearest_to_all_others(stack: np.ndarray, clear: np.ndarray) -> None:
    image, count = composite.medoid(stack, np.zeros((5, 0, 3, 4), np.uint16), clear, (2, 4))
    for y, x in np.ndindex(2, 4):
        valid = [t for t in range(5) if clear[t, y, x] and stack[t, :, y, x].all()]
        assert count[y, x] == len(valid)
        if not valid:
            assert (image[:, y, x] == 0).all()
            continue
        pixel = stack[:, :, y, x].astype(float)
        cost = {t: sum(np.linalg.norm(pixel[t] - pixel[u]) for u in valid) for t in valid}
        chosen = [t for t in valid if (stack[t, :, y, x] == image[:, y, x]).all()]
        assert min(cost[t] for t in chosen) == pytest.approx(min(cost.values()))


@pytest.mark.parametrize("count", range(1, 40))
def test_comparators_sort(count: int) -> None:
    rows = np.random.default_rng(count).integers(0, 9, (count, 200))
    for low, high in zip(*composite.comparators(count), strict=True):
        rows[low], rows[high] = np.minimum(rows[low], rows[high]), np.maximum(rows[low], rows[high])
    assert (np.diff(rows, axis=0) >= 0).all()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="neither"):
        composite.median(np.ones((2, 5, 5), np.uint16), np.ones((2, 4, 4), np.uint8), (4, 4))
    with pytest.raises(ValueError, match="clear is"):
        composite.median(np.ones((2, 4, 4), np.uint16), np.ones((3, 4, 4), np.uint8), (4, 4))


@settings(deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 6))
def test_grown_is_a_dilation_with_a_disc(pixels: np.ndarray, radius: int) -> None:
    reach = np.arange(-radius, radius + 1)
    disc = np.hypot(*np.meshgrid(reach, reach)) <= radius + 0.5
    assert (grown(pixels, radius) == binary_dilation(pixels, disc)).all()


def test_margin_grows_from_cloud_and_not_from_nodata() -> None:
    classes = np.full((9, 9), 4, np.uint8)
    classes[:, 0] = 0
    classes[4:6, 4] = 9
    clear = clear_pixels(classes, ClearRule((4, 5, 6, 7), 1))
    assert not clear[:, 0].any()
    assert clear[:, 1].all()
    assert not clear[3:7, 4].any()
    assert clear[1, 4]
    # A lone pixel flagged inside the land is not clear itself, but takes no margin.
    classes[4:6, 4] = [9, 4]
    assert clear_pixels(classes, ClearRule((4, 5, 6, 7), 1)).sum() == 9 * 8 - 1
