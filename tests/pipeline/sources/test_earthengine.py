"""The Earth Engine source against its stand-in, in this process: what it finds, and what a pixel is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from minebench.errors import WorkError
from pipeline.recipe import Selection
from pipeline.scenes import selection
from pipeline.scenes.selection import Candidate
from pipeline.scenes.status import Status, fate
from pipeline.sensors import classes, sentinel2
from pipeline.sensors.profile import Sensor
from pipeline.sources.earthengine import Options, footprint, login
from pipeline.sources.earthengine.images import EarthEngineSource
from pipeline.sources.protocol import Scene
from pipeline.web import client
from tests.e2e.test_earthengine import key_file
from tests.standins import archive
from tests.standins.base import Running, running

SENSOR = Sensor(bands=("B02", "B03", "B04", "B08", "B11"), rgb=("B04", "B03", "B02"), resolution=10, snap=20)
CLEAR = (4, 5, 6, 7)
MISSED = 21
Item = dict[str, Any]


@pytest.fixture(scope="module")
def items(built: Path) -> dict[str, Item]:
    return {item["id"]: item for item in archive.items(built / "data" / "tiny" / "archive")}


@contextmanager
def served(built: Path, *words: str) -> Iterator[Running]:
    with running("earthengine", str(built / "data" / "tiny" / "archive"), *words) as standin:
        yield standin


@pytest.fixture(scope="module")
def narrow(built: Path) -> Iterator[Running]:
    with served(built, f"missed={MISSED}") as standin:
        yield standin


def opened(folder: Path, url: str, **more: Any) -> EarthEngineSource:
    options = Options(name="earthengine", url=url, service_account_key=key_file(folder, url), **more)
    return EarthEngineSource(options, SENSOR, CLEAR)


def found(source: EarthEngineSource, item: Item) -> Scene:
    """The scene of an item, as a search of its place finds it."""
    area = shapely.geometry.shape(item["geometry"]).centroid.buffer(0.001)
    year = int(item["properties"]["datetime"][:4])
    scenes = source.search(area, date(year, 1, 1), date(year + 1, 1, 1))
    return next(scene for scene in scenes if scene.id == item["id"])


@pytest.mark.parametrize("level", ["never", "always"])
def test_ground_beyond_the_swath_is_no_data_and_thick_cloud_is_cloud(
    level: str, narrow: Running, items: dict[str, Item], tmp_path: Path
) -> None:
    """Where the image is masked the score is 0, as it is in thick cloud."""
    source = opened(tmp_path, narrow.url, cloud="cloud_score_plus", level1c=level)
    cloudiest = max(items.values(), key=lambda item: (pixels(item, "true_mask") == 1).mean())
    t, shape = cloudiest["assets"]["scl"]["proj:transform"], cloudiest["assets"]["scl"]["proj:shape"]
    grid = GeoBox(tuple(shape), Affine(*t[:6]), cloudiest["properties"]["proj:code"])
    mask = source.read(found(source, cloudiest), ["SCL"], grid)[0]
    truth = pixels(cloudiest, "true_mask")
    assert (mask[:, :MISSED] == classes.NODATA).all()
    assert (truth == 1).any()
    assert (mask[:, MISSED:] == np.where(truth == 0, 4, classes.CLOUD)[:, MISSED:]).all()
    assert source.requests(["SCL"], grid) == 2
    # An AOI that the swath missed: no data, and no cloud.
    west = Candidate(found(source, cloudiest), date(2021, 7, 1))
    seen = sentinel2.CLOUD_SCORE.decode(source.read(west.scene, ["SCL"], grid[:, : MISSED - 1])[0])
    selection.measure(west, seen, np.ones_like(seen, bool), Selection())
    assert west.fate == fate(Status.NO_DATA)
    assert west.cloud == 0


def test_footprints_without_bounds_are_found_and_read_as_no_data_elsewhere(
    built: Path, items: dict[str, Item], tmp_path: Path
) -> None:
    with served(built, "unbounded", "page=100") as standin:
        source = opened(tmp_path, standin.url)
        here, *_ = items.values()
        year = int(here["properties"]["datetime"][:4])
        area = shapely.geometry.shape(here["geometry"]).centroid.buffer(0.001)
        scenes = source.search(area, date(year, 1, 1), date(year + 1, 1, 1))
        assert {scene.id for scene in scenes} == {name for name in items if str(year) in when(items[name])}
        t, shape = here["assets"]["scl"]["proj:transform"], here["assets"]["scl"]["proj:shape"]
        grid = GeoBox(tuple(shape), Affine(*t[:6]), here["properties"]["proj:code"])
        with_data = {scene.id for scene in scenes if source.read(scene, ["SCL"], grid).any()}
    codes = {items[name]["properties"]["proj:code"] for name in with_data}
    assert codes == {here["properties"]["proj:code"]}
    assert not any(scene.flaw for scene in scenes)


def when(item: Item) -> str:
    return item["properties"]["datetime"]


AREA = shapely.box(14, 51, 14.1, 51.1)
RING = [[13.0, 50.0], [15.0, 50.0], [15.0, 52.0], [13.0, 52.0], [13.0, 50.0]]
INFINITE = [["-Infinity", "-Infinity"], ["Infinity", "-Infinity"], ["Infinity", "Infinity"]]
FOOTPRINTS = {
    "polygon": ({"type": "Polygon", "coordinates": [RING], "geodesic": False}, True),
    "ring around it": ({"type": "LinearRing", "coordinates": RING}, True),
    "ring elsewhere": ({"type": "LinearRing", "coordinates": [[x + 9, y] for x, y in RING]}, False),
    "polygon elsewhere": ({"type": "Polygon", "coordinates": [[[x, y - 9] for x, y in RING]]}, False),
    "two polygons": ({"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [0, 1]]], [RING]]}, True),
    "crosses itself": ({"type": "Polygon", "coordinates": [[RING[i] for i in (0, 2, 1, 3, 0)]]}, True),
    "unbounded, in words": ({"type": "Polygon", "coordinates": [INFINITE]}, True),
    "unbounded, in numbers": ({"type": "LinearRing", "coordinates": [[-np.inf, -90], [np.inf, -90]]}, True),
    "unreadable": ({"type": "Sphere", "coordinates": []}, True),
    "too short": ({"type": "LinearRing", "coordinates": [[1, 2]]}, True),
    "none": (None, True),
}  # fmt: skip


@pytest.mark.parametrize("name", FOOTPRINTS)
def test_footprints_of_all_forms(name: str) -> None:
    geometry, touches = FOOTPRINTS[name]
    assert footprint.touches(geometry, AREA) == touches


def test_what_requests_take_of_a_month() -> None:
    told = Options(name="earthengine").allowance(7200)
    assert told.startswith("about 2.0 EECU-hours if a request needs 1 EECU-second (assumed")
    assert Options(name="earthengine").allowance(3).startswith("less than 0.1 EECU-hours")
    medians = Options(name="earthengine", composite="server").allowance(7200)
    assert "cannot be told" in medians
    assert "150 (Community, the default)" in medians


QUOTA = (
    "Quota exceeded for quota metric 'Number of read requests' and limit 'Number of read requests per minute "
    "per user' of service 'earthengine.googleapis.com' for consumer 'project_number:1'"
)


def test_which_quota_is_used_up_is_told() -> None:
    class Failed(WorkError):
        status = 429

    def call() -> None:
        raise Failed(f"earthengine.googleapis.com failed 7 times: HTTP 429: {QUOTA}.")

    with pytest.raises(WorkError, match=r"lower source\.parallel") as caught:
        login.calling(call, "COPERNICUS/S2_SR_HARMONIZED/x")
    assert QUOTA in str(caught.value)
    assert str(caught.value).startswith("COPERNICUS/S2_SR_HARMONIZED/x: a quota")


def test_other_failures_are_told_as_they_are() -> None:
    error = WorkError("earthengine.googleapis.com failed 7 times: HTTP 503.")

    def call() -> None:
        raise error

    with pytest.raises(WorkError) as caught:
        login.calling(call, "x")
    assert caught.value is error


def test_only_computed_answers_may_take_minutes_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    silences: list[float] = []

    def request(*_: Any, silence: float, **__: Any) -> client.Answer:
        silences.append(silence)
        return client.Answer(200, {}, b"")

    monkeypatch.setattr(client, "request", request)
    for path in ("image:computePixels?alt=json", "assets/COPERNICUS/x:getPixels", "assets:listAssets"):
        login.Transport(1).request(f"https://earthengine.googleapis.com/v1/projects/p/{path}")
    assert silences == [login.COMPUTED_S, client.SILENCE_S, client.SILENCE_S]
    assert login.COMPUTED_S > 5 * 60


def pixels(item: Item, key: str) -> np.ndarray:
    return archive.pixels(item["assets"][key]["path"])[0]
