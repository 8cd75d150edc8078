"""The Satellite Embedding from COGs and their index: what is listed, how it is read, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from odc.geo.geobox import GeoBox

from minebench.cube import encoding
from minebench.errors import InputError, Unusable
from pipeline.geo import geodesy, grid
from pipeline.geo.remote import Unsigned
from pipeline.sensors import alphaearth
from pipeline.sources.protocol import Setting
from pipeline.sources.source_coop import HOST, Options, aef_cogs, aef_index
from pipeline.sources.source_coop.aef_cogs import CogSource
from pipeline.web import client
from tests.standins import aef
from tests.standins.base import Running, running

WEST = grid.geobox(32632, 500_000, 5_600_000, 96, 96, 10)
EAST = grid.geobox(32632, 500_960, 5_600_000, 96, 96, 10)
BESIDE = WEST.to_crs("EPSG:32633", resolution=10)
GRIDS = {"west": WEST, "east": EAST, "beside": BESIDE}
START, END = date(2020, 1, 1), date(2021, 1, 1)


def numbers(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Numbers of 64 bands, 0 and -127 among them, and a corner without data."""
    found = np.random.default_rng(seed).integers(-127, 128, (64, *shape)).astype(np.int8)
    found[:, :10, :20] = -128
    return found


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    return {name: numbers(box.shape, seed) for seed, (name, box) in enumerate(GRIDS.items())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pixels: dict[str, np.ndarray]) -> Path:
    """COGs side by side, one of the next zone, one of a year later, and one that is listed alone."""
    folder = tmp_path_factory.mktemp("aef")
    rows = [aef.put(folder, name, 2020, pixels[name], box) for name, box in GRIDS.items()]
    rows.append({**rows[0], "path": rows[0]["path"].replace("2020", "2021"), "year": 2021})
    aef.index(rows).to_parquet(folder / "aef_index.parquet")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running("cogs", str(folder)) as standin:
        yield standin


def opened(tmp_path: Path, index: str, **more: Any) -> CogSource:
    sensor = SimpleNamespace(bands=encoding.BANDS, resolution=10)
    setting = Setting(tmp_path, tmp_path / "data", sensor, alphaearth.ANNUAL, None)  # type: ignore[arg-type]
    return CogSource(Options(name="source_coop", index=index, **more), setting)


def area_of(box: GeoBox) -> shapely.Geometry:
    return geodesy.to_lonlat(shapely.box(*box.boundingbox.bbox), 32632)


@pytest.mark.parametrize(
    ("box", "ids"),
    [
        (WEST[20:60, 20:60], ["west"]),
        (WEST[20:60, 80:96], ["east", "west"]),
        (GeoBox((40, 80), WEST[20:60, 56:].affine, WEST.crs), ["east", "west"]),
        (GeoBox((40, 80), WEST[80:, 10:].affine, WEST.crs), ["beside", "west"]),
        (grid.geobox(32632, 600_000, 5_600_000, 10, 10, 10), []),
    ],
    ids=["one", "up to the edge", "two", "beyond its zone's COGs", "none"],
)
def test_the_sites_own_zone_is_listed(box: GeoBox, ids: list[str], folder: Path, tmp_path: Path) -> None:
    source = opened(tmp_path, str(folder / "aef_index.parquet"))
    found = source.search(area_of(box), START, END)
    assert [scene.id for scene in found] == ids
    assert {(str(scene.time.date()), scene.dated_by) for scene in found} <= {
        ("2020-07-02", alphaearth.DATED_BY)
    }


def test_years_are_the_periods(folder: Path, tmp_path: Path) -> None:
    source = opened(tmp_path, str(folder / "aef_index.parquet"))
    area = area_of(WEST[20:60, 20:60])
    years = [
        [scene.time.year for scene in source.search(area, date(first, 1, 1), date(last, 1, 1))]
        for first, last in ((2018, 2020), (2020, 2021), (2020, 2022), (2021, 2022))
    ]
    assert years == [[], [2020], [2020, 2021], [2021]]


def test_pixels_are_copied(
    folder: Path, server: Running, tmp_path: Path, pixels: dict[str, np.ndarray]
) -> None:
    """Of any site's grid in the zone, from the disk and over HTTP; -128 becomes 0, and 0 becomes 128."""
    site = GeoBox((60, 90), WEST[5:, 3:].affine, WEST.crs)
    held = (pixels["west"][:, 5:65, 3:93] ^ -128).view(np.uint8)
    for index in (str(folder / "aef_index.parquet"), f"{server.url}/open/aef_index.parquet"):
        source = opened(tmp_path, index)
        scene = source.search(area_of(site), START, END)[0]
        read = source.read(scene, encoding.BANDS, site)
        assert read.dtype == np.uint8
        assert (read == held).all()
        assert (read[:, :5, :17] == 0).all()
        assert (source.read(scene, ["A63", "A01"], site) == held[[63, 1]]).all()
        far = GeoBox((60, 90), EAST[5:, 3:].affine, WEST.crs)
        assert not source.read(scene, ["A00"], far).any()
        again = source.find(scene.href)
        assert again == scene
        assert again.assets["A63"] == scene.assets["A63"]
        assert source.native(scene, "A00") == WEST


def test_a_cog_that_is_gone_or_another_is_unusable(folder: Path, server: Running, tmp_path: Path) -> None:
    for index in (str(folder / "aef_index.parquet"), f"{server.url}/open/aef_index.parquet"):
        source = opened(tmp_path, index)
        (listed,) = source.search(area_of(WEST[20:60, 20:60]), date(2021, 1, 1), date(2022, 1, 1))
        with pytest.raises(Unusable, match=r"2021/32N/west\.tiff"):
            source.read(listed, ["A00"], WEST)
    moved = replace(listed.assets["A00"], grid=WEST.pad(4))
    with pytest.raises(Unusable, match="does not have the pixels"):
        source.read(replace(listed, href="2020/32N/west.tiff", assets={"A00": moved}), ["A00"], WEST.pad(4))


def test_the_index_is_read_in_part_and_once(server: Running, folder: Path, tmp_path: Path) -> None:
    table = gpd.read_parquet(folder / "aef_index.parquet").set_geometry("geom")
    rng = np.random.default_rng(0)
    heavy = gpd.GeoDataFrame(table.loc[np.repeat([3], 400)].assign(fid=range(400)))
    heavy["geom"] = [shapely.LineString(line) for line in rng.random((400, 400, 2))]
    heavy["year"] = heavy["year"].astype(str)
    heavy.to_parquet(folder / "heavy.parquet", compression=None, row_group_size=100)
    size = (folder / "heavy.parquet").stat().st_size
    server.set()
    for _ in range(2):
        source = opened(tmp_path, f"{server.url}/open/heavy.parquet")
        area = area_of(WEST[20:60, 20:60])
        assert len(source.search(area, date(2021, 1, 1), date(2022, 1, 1))) == 1
    asked = server.asked()
    assert size > 2_000_000
    assert sum(entry[3] for entry in asked) < 0.2 * size
    assert len({tuple(entry[1:5]) for entry in asked}) == len(asked)


def test_a_changed_index_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = tmp_path / "aef_index.parquet"
    table = gpd.read_parquet(folder / "aef_index.parquet")
    area = area_of(WEST[20:60, 20:60])
    said = []
    for rows in (table, table, table[:2], table[:2]):
        rows.to_parquet(index)
        source = opened(tmp_path, str(index))
        for _ in range(2):
            source.search(area, START, END)
        said.append(capsys.readouterr().err.count("has changed since this benchmark last read it"))
    assert said == [0, 0, 1, 0]


def test_both_sides_of_the_antimeridian_are_found(tmp_path: Path) -> None:
    left = grid.geobox(32660, 600_000, 7_300_000, 8192, 8192, 10)
    right = grid.geobox(32601, 320_000, 7_300_000, 8192, 8192, 10)
    rows = [aef.put(tmp_path, name, 2020, np.zeros((1, 8, 8), np.int8), box[:8, :8]) for name, box in
            (("left", left), ("right", right))]  # fmt: skip
    for row, box in zip(rows, (left, right), strict=True):
        row |= dict(zip(aef_index.BOUNDS, box.boundingbox.bbox, strict=True))
    aef.index(rows).to_parquet(tmp_path / "aef_index.parquet")
    index = aef_index.read(str(tmp_path / "aef_index.parquet"), Unsigned(), 1)
    across = geodesy.to_lonlat(shapely.box(*left.boundingbox.bbox), 32660)
    assert across.bounds[2] - across.bounds[0] > 359
    assert [cog.name for cog in index.near(across, 2020, 2020)] == [
        "2020/1N/right.tiff",
        "2020/60N/left.tiff",
    ]
    assert [cog.grid.shape for cog in index.near(across, 2020, 2020)] == [(8192, 8192)] * 2


def _without(column: str) -> Any:
    return lambda table, path: table.drop(columns=column).to_parquet(path)


def _with_path(text: str) -> Any:
    return lambda table, path: table.assign(path=text).to_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without("utm_west"), "has no column utm_west; use the published aef_index.parquet"),
        (
            _with_path("s3://b/2020/32N/a.vrt"),
            "row 0 has the path s3://b/2020/32N/a.vrt for 2020; paths must",
        ),
        (_with_path("s3://b/2019/32N/a.tiff"), "row 0 has the path s3://b/2019/32N/a.tiff for 2020; paths"),
        (lambda table, path: path.write_text("<html>Please log in</html>"), "cannot be read as a GeoParquet"),
        (lambda table, path: path.write_text(""), "cannot be read as a GeoParquet"),
        (lambda table, path: table.assign(year="new").to_parquet(path), "cannot be read as a GeoParquet"),
        (lambda table, path: None, "there is no file"),
    ],
    ids=["column", "path", "year", "page", "empty", "type", "gone"],
)
def test_what_is_no_index_is_said(spoil: Any, says: str, folder: Path, tmp_path: Path) -> None:
    spoil(gpd.read_parquet(folder / "aef_index.parquet"), tmp_path / "i.parquet")
    source = opened(tmp_path, "i.parquet")
    with pytest.raises(InputError, match=r"^source\.index: ") as caught:
        source.search(area_of(WEST), START, END)
    assert says in str(caught.value)


def test_an_index_that_is_not_on_the_web_is_said(server: Running, tmp_path: Path) -> None:
    source = opened(tmp_path, f"{server.url}/open/other.parquet")
    with pytest.raises(InputError, match=r"source.index: http.*/open/other.parquet is not there"):
        source.search(area_of(WEST), START, END)
    server.set({"kind": "short", "match": "aef_index", "each": 9})
    source = opened(tmp_path, f"{server.url}/open/aef_index.parquet")
    aef_cogs._last_read.clear()
    with pytest.raises(client.Refused, match="sent other bytes than asked for"):
        source.search(area_of(WEST), START, END)
    server.set()


@pytest.mark.parametrize(
    ("given", "cog"),
    [
        ({}, f"{HOST}/2024/31N/x-0-0.tiff"),
        ({"index": "https://mirror.org/aef/i.parquet"}, "https://mirror.org/aef/2024/31N/x-0-0.tiff"),
        ({"index": "i.parquet"}, "{root}/2024/31N/x-0-0.tiff"),
        ({"index": "/data/aef/i.parquet"}, "/data/aef/2024/31N/x-0-0.tiff"),
        ({"index": "i.parquet", "cogs": HOST}, f"{HOST}/2024/31N/x-0-0.tiff"),
        (
            {"index": "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/aef_index.parquet"},
            "https://s3.us-west-2.amazonaws.com/us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/2024/31N/"
            "x-0-0.tiff",
        ),
    ],
    ids=["public", "mirror", "disk", "absolute", "index here", "bucket"],
)
def test_cogs_lie_beside_the_index_or_where_the_recipe_says(
    given: dict[str, str], cog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    options = Options(name="source_coop", **given)  # type: ignore[arg-type]
    source = opened(tmp_path, options.index, **({"cogs": options.cogs} if options.cogs else {}))
    href, signer = source._address(f"{options.folder}/2024/31N/x-0-0.tiff")
    assert href == cog.format(root=tmp_path)
    assert isinstance(signer, Unsigned)
    notices = [upstream.name for upstream in options.attribution(alphaearth.ANNUAL, "")]
    assert notices[0] == "Satellite Embedding V1"
    assert ("Source Cooperative, tge-labs/aef" in notices) == ("source.coop" in cog)
    assert options.licence() == "CC-BY-4.0"


def test_a_private_bucket_needs_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(InputError, match=r"source\.index: s3://ours/i.parquet is in bucket ours: set AWS_"):
        opened(tmp_path, "s3://ours/i.parquet").search(area_of(WEST), START, END)


def test_the_standins_index_has_the_real_ones_columns(folder: Path) -> None:
    real = {"fid", "geom", "crs", "path", "year", "utm_zone", *aef_index.BOUNDS}
    real |= {"wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north"}
    schema = pq.read_schema(folder / "aef_index.parquet")
    assert set(schema.names) == real
    assert b"geo" in schema.metadata
