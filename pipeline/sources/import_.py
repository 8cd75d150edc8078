"""Files that somebody published, as `minebench ingest` found them: taken as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from minebench.errors import InputError
from pipeline.core.config import Part
from pipeline.sensors.profile import Profile
from pipeline.sources import protocol
from pipeline.sources.protocol import Setting, Source, Upstream

if TYPE_CHECKING:
    from pipeline.published.formats.layout import Layout

TERMS = {
    "euromine": ("CC-BY-4.0", "https://doi.org/10.14278/rodare.4656"),
    "minenetcd256": ("see the publisher", "https://huggingface.co/datasets/ericyu/MineNetCD256"),
    "oms2cd": ("see the publisher", "https://github.com/Dibz15/OpenMineChangeDetection"),
}


class Described(Part):
    """What the files of the layout `folders` do not say of themselves."""

    dataset: str
    """Its name in the list of licences."""
    licence: str = "unknown"
    url: str = ""
    dates: str = "unknown"
    """Days of the two images, such as 2012,2016 (`pipeline.published.formats.folders`)."""
    threshold: int = Field(default=0, ge=0, lt=255)
    """The largest number in a mask that means no change."""
    pixel: Literal["known", "unknown"] = "known"
    """Whether sensor.resolution is the pixel; where it is unknown, areas are numbers of pixels."""
    notes: tuple[str, ...] = ()
    """What of the published files was left out, or taken for granted."""


class Options(protocol.Options):
    """Nothing is searched, chosen or resampled: every stage takes from the files what it would
    otherwise make."""

    is_published: ClassVar[bool] = True
    name: Literal["import"]
    layout: Literal["minenetcd256", "oms2cd", "euromine", "folders"]
    path: Path
    described: Described | None = None
    """Of the layout `folders` alone."""

    @property
    def knows_pixel(self) -> bool:
        return self.described is None or self.described.pixel == "known"

    @property
    def is_of_mines(self) -> bool:
        return self.layout in TERMS

    @model_validator(mode="after")
    def _check(self) -> Options:
        if (self.layout == "folders") != (self.described is not None):
            raise ValueError("source: described goes with layout: folders, and with no other")
        return self

    def open(self, setting: Setting) -> Source:
        raise InputError("An imported benchmark has no source to search: its files are all there is.")

    def published(self, root: Path) -> Layout:
        from pipeline.published.formats.readers import opened

        path = self.path if self.path.is_absolute() else root / self.path
        if self.described is None:
            return opened(self.layout, path)
        return opened(self.layout, path, dates=self.described.dates, threshold=self.described.threshold)

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        if self.described is not None:
            own = self.described
            return [Upstream(own.dataset, "images, labels and splits", own.licence, "", own.url)]
        terms, url = TERMS[self.layout]
        return [Upstream(self.layout, "images, labels and splits", terms, "", url)]
