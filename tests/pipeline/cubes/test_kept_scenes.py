"""Kept files stay open while a period is made, and no longer."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.cubes import kept_scenes
from pipeline.cubes.kept_scenes import KeptScenes
from pipeline.geo import raster
from pipeline.scenes.store import SceneStore


@pytest.fixture
def kept(built: Path) -> tuple[SceneStore, recipe.Recipe, str]:
    benchmark = BenchmarkPaths("tiny", built)
    loaded = recipe.load(benchmark.recipe)
    folder = next(path for path in benchmark.data.glob("scenes/*") if path.is_dir())
    store = SceneStore(folder)
    rows = store.rows()
    assert rows is not None
    return store, loaded, str(rows.scene_id[rows.selected].iloc[0])


def test_a_file_is_opened_once_and_closed_in_the_end(kept, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    store, loaded, scene = kept
    opened = []
    real = rasterio.open
    monkeypatch.setattr(kept_scenes.rasterio, "open", lambda path: opened.append(real(path)) or opened[-1])
    with KeptScenes(store, loaded.profile) as reader:
        found = [reader.band(scene, band) for band in loaded.sensor.bands]
        into = np.empty(reader.shape(scene, "B04"), np.uint16)
        reader.band(scene, "B04", out=into)
        assert (into == found[loaded.sensor.bands.index("B04")]).all()
        assert len(opened) == len(store.bands(scene))
    assert all(file.closed for file in opened)


def test_few_stay_open_and_none_that_failed(kept, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    store, loaded, scene = kept
    monkeypatch.setattr(kept_scenes, "MOST_OPEN", 1)
    with KeptScenes(store, loaded.profile) as reader:
        for band in loaded.sensor.bands:
            reader.band(scene, band)
        assert len(reader.idle) == 1
        with pytest.raises(ValueError, match="shape"):
            reader.band(scene, "B04", out=np.empty((2, 2, 2, 2), np.uint16))
        assert len(reader.idle) <= 1
        assert not any(file.closed for _, file in reader.idle)


@pytest.mark.parametrize("settings", [raster.GDAL, kept_scenes.CACHE])
def test_gdals_cache_holds_more_than_a_block(settings: dict[str, object]) -> None:
    """rasterio takes bytes: 64 were once meant to be megabytes."""
    from rasterio._env import get_gdal_config

    with rasterio.Env(**settings):
        assert int(get_gdal_config("GDAL_CACHEMAX")) > 2**23
