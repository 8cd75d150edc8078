"""The library: `minebench.open` and what it gives, on a disk and over HTTP; its documented examples run."""

import doctest
import inspect
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray  # noqa: F401  (the accessor .rio)
import uvicorn
import xarray as xr
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

import minebench
from minebench import benchmark as module
from tests.conftest import run

PUBLIC = (minebench, module)


@pytest.fixture(scope="module")
def opened(compared: Path) -> minebench.Benchmark:
    return minebench.open(compared / "data/tiny")


@pytest.fixture(scope="module")
def address(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The published benchmark on a static server of this machine."""
    folder = tmp_path_factory.mktemp("published") / "out"
    done = run("publish", str(folder), cwd=compared)
    assert done.returncode == 0, done.stderr
    listening = socket.create_server(("127.0.0.1", 0))
    files = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    server = uvicorn.Server(uvicorn.Config(files, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("source", PUBLIC, ids=lambda source: source.__name__)
def test_examples_in_docstrings_run(
    source: ModuleType, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/demo").symlink_to(compared / "data/tiny")
    monkeypatch.chdir(tmp_path)
    names = {"minebench": minebench, "benchmark": minebench.open("data/demo")}
    results = doctest.testmod(source, extraglobs=names)
    assert results.attempted > 0
    assert results.failed == 0


def test_public_names_are_documented() -> None:
    assert set(minebench.__all__) <= {*dir(minebench), "Benchmark", "Run"}
    for name in minebench.__all__:
        value = getattr(minebench, name)
        assert inspect.getdoc(value), name
        if inspect.isclass(value):
            members = [
                member for key, member in vars(value).items()
                if not key.startswith("_") and not isinstance(member, int)
            ]  # fmt: skip
            assert all(member.__doc__ for member in members), name


def test_the_library_stands_alone_and_imports_nothing_heavy_before_it_is_used(tmp_path: Path) -> None:
    """Beside a training repository's own `models` and `pipeline`."""
    for name in ("models", "pipeline"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('another project is imported')\n")
    program = "import minebench, sys; print({'pandas', 'torch', 'models', 'pipeline'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_tables_have_geometry_where_they_have_one(opened: minebench.Benchmark) -> None:
    assert isinstance(opened.sites, gpd.GeoDataFrame)
    assert opened.tiles.crs.to_epsg() == 4326
    for table in (opened.sites, opened.scenes, opened.periods, opened.tiles, opened.pairs):
        assert len(table)
    assert opened.sites is opened.sites
    with pytest.raises(FileNotFoundError, match=r"none\.parquet is missing"):
        opened.table("none")


def test_without_geopandas_geometry_is_wkb(compared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    sites = minebench.open(compared / "data/tiny").sites
    assert not isinstance(sites, gpd.GeoDataFrame)
    assert gpd.GeoSeries.from_wkb(sites.geometry).area.gt(0).all()


def test_a_cube_has_its_crs_and_coordinates(opened: minebench.Benchmark) -> None:
    site = opened.sites.iloc[0]
    cube = opened.cube(site.site_id)
    assert cube.reflectance.dims == ("time", "band", "y", "x")
    assert cube.rio.crs.to_epsg() == site.epsg
    assert cube.rio.transform().c == site.left
    assert cube.reflectance.variable._data.__class__.__name__ == "MemoryCachedArray", (
        "read before it is asked"
    )
    with pytest.raises(ValueError, match=r"tiny has no site 'nowhere'; it has "):
        opened.cube("nowhere")


def test_a_dataset_gives_chosen_bands_and_what_they_were_standardised_with(
    opened: minebench.Benchmark,
) -> None:
    every = opened.dataset("pairs", split="train")
    chosen = opened.dataset("pairs", split="train", bands=["B04", "B02"])
    assert every.bands == ["B02", "B03", "B04", "B08", "B11"]
    assert (every[0]["b"][[2, 0]] == chosen[0]["b"]).all()
    assert chosen.mean.tolist() == every.mean[[2, 0]].tolist()
    assert len(chosen.table) == len(chosen)
    row = chosen.table.iloc[0]
    cube = opened.cube(row.tile_id.rsplit("_", 2)[0]).sel(band=["B04", "B02"])
    stored = cube.reflectance.isel(time=cube.attrs["periods"].index(row.t1), y=slice(64), x=slice(64)) * 1e4
    restored = chosen[0]["a"].numpy() * chosen.std[:, None, None] + chosen.mean[:, None, None]
    seen = ~np.isnan(stored).any("band").to_numpy()
    assert np.allclose(restored[:, seen], stored.to_numpy()[:, seen], atol=0.01)
    series = opened.dataset("series", split="test", bands=["B11"])
    assert series[0]["images"].shape[1] == 1
    with pytest.raises(ValueError, match=r"There is no band 'B99' here; bands: B02, "):
        opened.dataset(bands=["B99"])


def test_runs_have_scores_and_predictions(opened: minebench.Benchmark, compared: Path) -> None:
    assert list(opened.runs) == ["cva", "fc-siam-diff", "unet"]
    assert 0 <= opened.runs["cva"].metrics["f1"] <= 1
    change = opened.runs["fc-siam-diff"]
    folder = next(path.parent for path in compared.glob("data/tiny/predictions/fc-siam-diff/*/receipt.json"))
    shares = change.predictions(folder.name)
    with rasterio.open(folder / f"{shares.period.item(0)}.tif") as file:
        numbers = file.read(1)
        assert shares.rio.crs == file.crs
        assert shares.rio.transform() == file.transform
    assert np.array_equal(shares[0].fillna(2.55).to_numpy(), numbers.astype(np.float32) / np.float32(100))
    with pytest.raises(KeyError, match="tiny has no run 'nix'; it has cva, fc-siam-diff, unet"):
        opened.runs["nix"]
    with pytest.raises(FileNotFoundError, match=r"has nothing of nowhere: run `minebench predict"):
        change.predictions("nowhere")


def test_a_published_benchmark_reads_alike_from_its_address(
    address: str, opened: minebench.Benchmark
) -> None:
    remote = minebench.open(address)
    assert remote.name == "tiny"
    pd.testing.assert_frame_equal(remote.pairs, opened.pairs)
    assert remote.sites.site_id.tolist() == opened.sites.site_id.tolist()
    assert list(remote.runs) == list(opened.runs)
    assert remote.runs["unet"].metrics == opened.runs["unet"].metrics
    site = opened.tiles[opened.tiles.split == "test"].site_id.iloc[0]
    xr.testing.assert_identical(remote.cube(site).load(), opened.cube(site).load())
    predicted = remote.runs["unet"].predictions(site)
    xr.testing.assert_identical(predicted, opened.runs["unet"].predictions(site))
    with pytest.raises(ValueError, match="is on the web, and datasets read from a disk"):
        remote.dataset()
    with pytest.raises(ValueError, match=r"has no RELEASE\.json"):
        minebench.open(f"{address}/catalogs")


def test_a_server_that_does_not_answer_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(minebench.WorkError, match=r"RELEASE\.json cannot be read \(ClientConnector"):
        minebench.open(f"http://127.0.0.1:{port}")


def test_folders_that_are_no_benchmark_are_a_sentence(
    compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert minebench.open(compared).name == "tiny"
    with monkeypatch.context() as patch:
        patch.chdir(compared / "data/tiny")
        assert minebench.open(".").name == "tiny"
    with pytest.raises(ValueError, match="is not a benchmark's folder; give data/<name>"):
        minebench.open(tmp_path)
    for name in ("one", "two"):
        (tmp_path / "data" / name / "index").mkdir(parents=True)
    with pytest.raises(ValueError, match="it holds one, two: give the name of one"):
        minebench.open(tmp_path)
    assert minebench.open(tmp_path, "two").name == "two"
