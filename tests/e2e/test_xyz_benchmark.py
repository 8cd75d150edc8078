"""A whole benchmark from web tiles, through the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.conftest import RECIPE, make_project, run
from tests.standins.base import Running, running


@pytest.fixture(scope="module")
def tiles(built: Path) -> Iterator[Running]:
    with running("tiles", str(built / "data" / "tiny" / "archive")) as server:
        yield server


def test_a_benchmark_from_tiles(tmp_path: Path, tiles: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles.set()
    template = f"{tiles.url}/keyed/{{key}}/archive/{{release}}/{{z}}/{{x}}/{{y}}"
    source = (f"source: {{name: xyz, template: '{template}', "
              "key_from: TILE_KEY, releases: {'2021-08-01': '2021', '2022-08-01': '2022'}, zoom: 15, "
              "attribution: Nobody, terms: 'https://example.org/terms', per_second: 500}")  # fmt: skip
    text = RECIPE.replace("source: {name: synthetic, seed: 3, scenes_per_period: 4}", source)
    text = text.replace("bands: [B02, B03, B04, B08, B11]", "bands: [R, G, B]\n  dtype: uint8")
    text = text.replace("rgb: [B04, B03, B02]", "rgb: [R, G, B]").replace("resolution: 10", "resolution: 5")
    text = text.replace("snap: 20", "snap: 5").replace("labels: {source: archive}", "labels: {source: none}")
    text = text.replace("  season: {north: [6, 8], south: [12, 2]}\n", "").replace(
        "buffer_m: 90, min_size_m: 960", "min_size_m: 640, buffer_m: 50"
    )
    project = make_project(tmp_path / "p", text.replace('end: "2023"', 'end: "2022"'))
    assert run("sites", cwd=project).returncode == 0
    done = run("fetch", cwd=project)
    assert done.returncode == 2
    assert "the environment has no TILE_KEY" in done.stderr
    assert "terms of use: https://example.org/terms" in done.stderr
    monkeypatch.setenv("TILE_KEY", "secret-tile-key")
    done = run("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    for stage in ("compose", "annotate", "tile", "catalog"):
        assert run(stage, cwd=project).returncode == 0
    # Shown once; and a second run with the cache emptied of scenes asks for no tile again.
    tiles.set()
    (project / "data" / "tiny" / "scenes").rename(project / "old")
    done = run("fetch", cwd=project)
    assert "terms" not in done.stderr
    assert tiles.asked() == []
    monkeypatch.setenv("TILE_KEY", "wrong-key")
    for path in (project / "data" / "tiny" / "tiles").iterdir():
        if path.is_dir():
            path.rename(project / f"old-{path.name}")
    (project / "data" / "tiny" / "scenes").rename(project / "older")
    done = run("fetch", "--refresh", cwd=project)
    assert done.returncode == 1
    assert "is refused (HTTP 403)" in done.stderr
    assert "wrong-key" not in done.stderr
    collection = next((project / "catalogs" / "tiny" / "stac").glob("*/collection.json"))
    described = json.loads(collection.read_text())
    assert described["providers"][0]["name"] == "Nobody"
    assert any(link["rel"] == "license" for link in described["links"])
    for path in (*project.glob("data/**/*"), *project.glob("catalogs/**/*")):
        assert not path.is_file() or b"secret-tile-key" not in path.read_bytes(), path
    cube = xr.open_zarr(next((project / "data" / "tiny" / "cubes").iterdir()), mask_and_scale=False)
    assert cube.image.dtype == np.uint8
    assert (cube.image.values > 0).mean() > 0.8
