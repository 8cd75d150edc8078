"""Several sources in one recipe: what is made of their options, and who reads what."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox

from minebench.errors import InputError, WorkError
from pipeline.recipe import Recipe
from pipeline.scenes import attribution
from pipeline.sources.opened import Opened
from pipeline.sources.protocol import Scene
from tests.conftest import RECIPE

AREA, GRID = shapely.box(0, 0, 1, 1), GeoBox((1, 1), Affine.identity(), "EPSG:32633")
FIRST, LAST = date(2020, 1, 1), date(2021, 1, 1)
EARTH_SEARCH = {
    "name": "stac", "href": "https://earth-search.aws.element84.com/v1", "collections": ["sentinel-2-l2a"],
}  # fmt: skip
PLANETARY = {**EARTH_SEARCH, "href": "https://planetarycomputer.microsoft.com/api/stac/v1"}
EARTH_ENGINE = {"name": "earthengine", "cloud": "scl"}


class Source:
    """A source that lists scenes of these names, and reads its own number."""

    def __init__(self, number: int, *names: str, mask: str | None = "SCL") -> None:
        self.number, self.names, self.mask_band, self.parallel = number, names, mask, number

    def search(self, *_: Any) -> list[Scene]:
        return [Scene(name, datetime(2020, 7, 1, tzinfo=UTC), {}, "stac", href=name) for name in self.names]

    def find(self, href: str) -> Scene:
        return next(scene for scene in self.search() if scene.href == href)

    def native(self, *_: Any) -> GeoBox:
        return GRID

    def read(self, *_: Any) -> Any:
        return np.array([[[self.number]]])

    def requests(self, *_: Any) -> int:
        return self.number


def recipe(source: Any, profile: str | None = None) -> Recipe:
    content = yaml.safe_load(RECIPE)
    sensor = {**content["sensor"], "profile": profile}
    return Recipe.model_validate(
        {**content, "labels": {"source": "none"}, "sensor": sensor, "source": source}
    )


def test_a_scene_is_read_from_the_source_that_listed_it() -> None:
    opened = Opened({"stac": Source(1), "stac-2": Source(2, "a", "b")})
    scenes = opened.search(AREA, FIRST, LAST)
    assert [(scene.id, scene.source) for scene in scenes] == [("a", "stac-2"), ("b", "stac-2")]
    assert opened.listed("stac", AREA, FIRST, LAST) == []
    assert opened.read(scenes[0], ["B02"], GRID).item() == 2
    assert opened.find("stac-2", "b") == scenes[1]
    assert opened.parallel == 2
    with pytest.raises(WorkError, match="names source earthengine, and the recipe has stac, stac-2"):
        opened.find("earthengine", "b")


def test_sources_of_which_some_have_no_mask_are_refused() -> None:
    with pytest.raises(InputError, match="must have the same mask"):
        Opened({"stac": Source(1), "local": Source(2, mask=None)})


def test_labels_are_names_numbered_where_they_repeat() -> None:
    source = recipe([EARTH_SEARCH, EARTH_ENGINE, PLANETARY]).source
    assert list(source.members) == ["stac", "earthengine", "stac-2"]
    assert source.name == "stac, earthengine"


def test_a_list_of_one_is_that_source() -> None:
    assert recipe([EARTH_SEARCH]) == recipe(EARTH_SEARCH)


def test_a_list_is_written_as_it_was_read() -> None:
    listed = recipe([EARTH_SEARCH, PLANETARY])
    written = listed.model_dump(mode="json")["source"]
    assert [one["href"] for one in written] == [EARTH_SEARCH["href"], PLANETARY["href"]]
    assert recipe(written) == listed


def test_only_sources_that_gave_something_are_attributed() -> None:
    images = {"name": "local", "path": "exports", "pattern": "(?P<date>.*)", "bands": {"B02": 1}}
    listed = recipe([EARTH_SEARCH, PLANETARY])
    years = pd.DataFrame(
        {"source": ["stac", "stac-2"], "selected": True, "day": ["2020-07-01", "2021-07-01"]}
    )
    copernicus = [each for each in attribution.used(listed, years) if "Copernicus" in each.name]
    assert [each.citation for each in copernicus] == ["Contains modified Copernicus Sentinel data 2020-2021."]
    mixed = recipe([EARTH_SEARCH, images], "sentinel-2-l2a")
    for label, name in (("stac", "Copernicus Sentinel-2"), ("local", "Images in exports")):
        assert attribution.used(mixed, years[:1].assign(source=label))[0].name == name
