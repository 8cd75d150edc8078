import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rasterio
import xarray as xr

from tests.conftest import MINEBENCH, run


@pytest.fixture(scope="module")
def served(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: `browse` writes what its viewer reads."""
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("browse") / "project"))


@pytest.fixture(scope="module")
def address(served: Path) -> Iterator[str]:
    """The real command, in a process of its own: GDAL holds this one's lock while it waits."""
    words = [MINEBENCH, "browse", "--port", "0"]
    with subprocess.Popen(words, cwd=served, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1].rstrip("/")
        process.terminate()


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_page_and_what_it_reads(address: str) -> None:
    status, body, headers = get(address + "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"tiny (synthetic)" in body
    for name in ("viewer/main.js", "viewer/page.css", "viewer/vendor/ol.js"):
        assert get(f"{address}/{name}")[0] == 200
    sites = json.loads(get(f"{address}/data/tiny/viewer/sites.json")[1])
    assert len(sites["rows"]) == 3
    own = json.loads(get(f"{address}/data/tiny/viewer/sites/{sites['rows'][0][0]}.json")[1])
    for image in own["images"]:
        for name in image["files"]:
            assert get(f"{address}/catalogs/tiny/stac/{own['id']}/{image['period']}/{name}")[0] == 200


def test_ranges_and_origins(address: str, served: Path) -> None:
    whole = (served / "catalogs/tiny/stac/catalog.json").read_bytes()
    url = address + "/catalogs/tiny/stac/catalog.json"
    status, body, headers = get(url, Origin="https://elsewhere.example")
    assert (status, body, headers["access-control-allow-origin"]) == (200, whole, "*")
    assert get(url, Range="bytes=2-5")[:2] == (206, whole[2:6])
    assert get(url, Range="bytes=-4")[:2] == (206, whole[-4:])
    assert get(url, Range="bytes=10-")[:2] == (206, whole[10:])
    assert get(url, Range=f"bytes={len(whole)}-")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/params.yaml",
        "/catalogs/tiny/recipe.yaml",
        "/catalogs/",
        "/../../etc/passwd",
        "/catalogs/tiny/stac/%2e%2e/recipe.yaml",
        "/catalogs/tiny/stac/..%2frecipe.yaml",
        "/viewer/..%2fbrowse.py",
        "/viewer/../../recipe.py",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert get(address + path)[0] == 404


def test_gdal_and_zarr_read_through_it(address: str, served: Path) -> None:
    visual = sorted((served / "catalogs/tiny/stac").glob("*/2021/visual.tif"))[0].relative_to(served)
    with (
        rasterio.open(f"/vsicurl/{address}/{visual.as_posix()}") as there,
        rasterio.open(served / visual) as here,
    ):
        assert (there.read() == here.read()).all()
    store = sorted((served / "data/tiny/cubes").glob("*.zarr"))[0].relative_to(served)
    there = xr.open_zarr(f"{address}/{store.as_posix()}", mask_and_scale=False)
    here = xr.open_zarr(served / store, mask_and_scale=False)
    assert (there.mine.to_numpy() == here.mine.to_numpy()).all()


def test_a_taken_port_is_said(address: str, served: Path) -> None:
    done = run("browse", "--port", address.rsplit(":", 1)[1], cwd=served)
    assert done.returncode == 1
    assert "cannot be used" in done.stderr


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", ""])
def test_other_names_of_this_machine_are_refused(address: str, host: str) -> None:
    """A page elsewhere whose name is made to point here reads nothing."""
    assert get(address + "/catalogs/tiny/stac/catalog.json", Host=host)[0] in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000"])
def test_its_own_names_are_answered(address: str, host: str) -> None:
    assert get(address + "/", Host=host)[0] == 200


@pytest.mark.parametrize("kind", ["loop", "out", "long", "nul"])
def test_strange_paths_are_not_found(address: str, served: Path, kind: str) -> None:
    inside = served / "catalogs/tiny/stac"
    links = {"loop": "strange-loop", "out": "../../recipe.yaml"}
    if kind in links:
        (inside / f"strange-{kind}").symlink_to(links[kind])
    path = {"loop": "strange-loop", "out": "strange-out", "long": "x" * 5000, "nul": "a%00b"}[kind]
    try:
        assert get(f"{address}/catalogs/tiny/stac/{path}")[0] == 404
    finally:
        (inside / f"strange-{kind}").unlink(missing_ok=True)


def test_logs_and_unpublished_weights_are_not_served(address: str, served: Path) -> None:
    for name in ("logs/fetch.log", "runs/secret/model.pt", "archive/catalog.json"):
        path = served / "data/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert get(f"{address}/data/tiny/{name}")[0] == 404
    shutil.rmtree(served / "data/tiny/runs/secret")


def test_ranges_that_cannot_be_are_refused(address: str, served: Path) -> None:
    empty = served / "data/tiny/index/empty"
    empty.touch()
    try:
        assert get(f"{address}/data/tiny/index/empty")[:2] == (200, b"")
        assert get(f"{address}/data/tiny/index/empty", Range="bytes=0-")[0] in (400, 416)
        huge = "9" * 5000
        assert get(f"{address}/catalogs/tiny/stac/catalog.json", Range=f"bytes={huge}-")[0] in (400, 416)
    finally:
        empty.unlink()


def test_two_hundred_at_once_are_all_answered(address: str) -> None:
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(get, [f"{address}/catalogs/tiny/stac/catalog.json"] * 200))
    assert {status for status, _, _ in found} == {200}
