"""Files that somebody published, as `minebench ingest` found them: taken as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pipeline.core.errors import InputError
from pipeline.sensors.profile import Profile
from pipeline.sources import protocol
from pipeline.sources.protocol import Setting, Source, Upstream

if TYPE_CHECKING:
    from pipeline.sources.import_.layouts import Layout

TERMS = {
    "euromine": ("CC-BY-4.0", "https://doi.org/10.14278/rodare.4656"),
    "minenetcd256": ("see the publisher", "https://huggingface.co/datasets/ericyu/MineNetCD256"),
    "oms2cd": ("see the publisher", "https://github.com/Dibz15/OpenMineChangeDetection"),
}


class Options(protocol.Options):
    """Nothing is searched, chosen or resampled: every stage takes from the files what it would
    otherwise make."""

    is_published: ClassVar[bool] = True
    name: Literal["import"]
    layout: Literal["minenetcd256", "oms2cd", "euromine"]
    path: Path

    def open(self, setting: Setting) -> Source:
        raise InputError("An imported benchmark has no source to search: its files are all there is.")

    def read(self, root: Path) -> Layout:
        """The published files, ready to be read. InputError where their folder is not there."""
        from pipeline.sources.import_.readers import opened

        return opened(self.layout, self.path if self.path.is_absolute() else root / self.path)

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        terms, url = TERMS[self.layout]
        return [Upstream(self.layout, "images, labels and splits", terms, "", url)]
