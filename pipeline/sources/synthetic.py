"""The synthetic archive, which `minebench archive` makes for the recipe's sites."""

from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from minebench import receipts
from minebench.errors import NotMadeYet
from pipeline.sensors import airborne, sentinel2
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources import local, protocol
from pipeline.sources.protocol import Setting, Source, Upstream

FOLDER = "archive"
"""Under the benchmark's data."""
LISTED = "dates.csv"
WORLD = "minebench:world"
"""Field of a site's collection.json: what its scenes are made of, periods apart."""


class Options(protocol.Options):
    """A known truth, for trying a recipe out."""

    personal: ClassVar[frozenset[str]] = frozenset({"first_year"})  # the world knows it
    is_synthetic: ClassVar[bool] = True
    name: Literal["synthetic"]
    seed: int = 0
    scenes_per_period: int = Field(default=6, ge=1, le=73)
    first_year: int | None = None
    """When the mines have their listed outlines; default: the first period's year. Named, an earlier
    period can be added without changing the world of the others."""

    def profile(self, sensor: Sensor) -> Profile:
        return airborne.AERIAL if sensor.encoding.is_picture else sentinel2.L2A

    def open(self, setting: Setting) -> Source:
        archive = setting.data / FOLDER
        if setting.sensor.encoding.is_picture:
            bands = {band: number for number, band in enumerate(setting.sensor.bands, 1)}
            listed = local.Options(name="local", path=archive, dates=archive / LISTED, bands=bands)
            return local.LocalSource(listed, Path())
        from pipeline.sources.stac.items import StacSource

        return StacSource(_catalog(archive), "synthetic", setting.profile, setting.sensor.bands)

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        collection = setting.data / FOLDER / site_id / "collection.json"
        if not collection.is_file():
            raise NotMadeYet(f"The synthetic archive has no {site_id}: run `minebench archive` first.")
        world = receipts.read(collection).get(WORLD)
        return [*super().asked(site_id, setting), world]

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return self.scenes_per_period

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        made = "Made by minebench; synthetic, not observations."
        return [Upstream("Synthetic archive", "images and labels", "CC0-1.0", made)]

    def licence(self) -> str:
        return "CC0-1.0"


def _catalog(archive: Path) -> Any:
    from pipeline.sources import stac

    return stac.Options(name="stac", href=str(archive / "catalog.json"))
