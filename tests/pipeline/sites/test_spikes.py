"""Spikes are cut, whatever their direction and length; a polygon without any keeps its area."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate

from pipeline.geo import geodesy
from pipeline.sites import spikes

EPSG, PIXEL = 32633, 10.0
BODY = shapely.box(440_000, 5_720_000, 441_000, 5_720_800)


def cut(*shapes: shapely.Geometry, mine: list[int] | None = None) -> list[shapely.Geometry]:
    """Shapes in UTM without their spikes, in UTM; the same object where nothing was cut."""
    drawn = [geodesy.project(shape, EPSG, 4326) for shape in shapes]
    left = spikes.without(drawn, mine or [*range(len(shapes))], PIXEL)
    return [
        shape if new is old else geodesy.project(new, 4326, EPSG)
        for shape, new, old in zip(shapes, left, drawn, strict=True)
    ]


def arm(length: float, width: float, turn: float) -> shapely.Geometry:
    """A strip that begins 50 m within the body and leaves it for `length` metres at its right edge."""
    strip = shapely.box(440_950, 5_720_400 - width / 2, 441_000 + length, 5_720_400 + width / 2)
    return rotate(strip, turn, origin=(441_000, 5_720_400), use_radians=False)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(15, 20_000), st.floats(1e-6, 1), st.floats(-60, 60), st.floats(0, 360),
)  # fmt: skip
def test_a_spike_is_cut(length: float, share: float, turn: float, north: float) -> None:
    width = share * min(0.9 * PIXEL, length / 12)
    spiky = rotate(BODY.union(arm(length, width, turn)), north, origin=BODY.centroid)
    (left,) = cut(spiky)
    body = rotate(BODY, north, origin=BODY.centroid)
    # A slanting arm leaves a foot that is wider than it is itself.
    assert left.area == pytest.approx(body.area, rel=1e-3)
    assert left.buffer(-0.01).within(body.buffer(3 * PIXEL))


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 40), st.floats(60, 3000), st.randoms(use_true_random=False))
def test_a_polygon_without_spikes_stays(corners: int, radius: float, random) -> None:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * np.array([random.uniform(0.7, 1) for _ in angle])
    shape = translate(
        shapely.Polygon(np.column_stack([reach * np.cos(angle), reach * np.sin(angle)])), 440_000, 5_720_000
    )
    # Thick throughout: rounded by two pixels.
    thick = shape.buffer(-2 * PIXEL).buffer(2 * PIXEL)
    if not thick.is_empty:
        assert cut(thick)[0] is thick


def test_holes_that_are_thinner_than_a_pixel_apart_stay() -> None:
    holes = [shapely.box(440_100 + 40 * i, 5_720_100, 440_132 + 40 * i, 5_720_700) for i in range(5)]
    shape = BODY.difference(shapely.union_all(holes))
    assert cut(shape)[0] is shape


def test_what_is_no_spike_stays() -> None:
    road = shapely.box(441_000, 5_720_400, 441_500, 5_720_408)
    two = shapely.union_all([BODY, road, translate(BODY, 1_500)])
    trench = shapely.box(0, 0, 500, 6)
    stub = BODY.union(shapely.box(441_000, 5_720_400, 441_040, 5_720_408))
    wide = BODY.union(shapely.box(441_000, 5_720_400, 444_000, 5_720_412))
    for shape in (two, translate(trench, 440_000, 5_720_000), stub, wide, BODY):
        assert cut(shape)[0] is shape


def test_a_spike_that_crosses_itself_is_a_polygon_of_its_own_and_goes() -> None:
    crossed = shapely.Polygon([
        (440_000, 5_720_000), (441_000, 5_720_000), (441_000, 5_720_399), (443_000, 5_720_402),
        (445_000, 5_720_400), (443_000, 5_720_399), (441_000, 5_720_401), (441_000, 5_720_800),
        (440_000, 5_720_800),
    ])  # fmt: skip
    parts = list(shapely.get_parts(shapely.make_valid(crossed)))
    assert len(parts) > 1
    left = cut(*parts, mine=[1] * len(parts))
    assert shapely.union_all(left).area == pytest.approx(BODY.area, rel=1e-3)
    assert shapely.union_all(left).bounds[2] < 441_050
    # Of another mine it is a trench.
    assert any(own.bounds[2] > 442_000 for own in cut(*parts, mine=[*range(len(parts))]))


def test_no_mines() -> None:
    assert list(spikes.without([], [], PIXEL)) == []
