"""A list of sources as one `source`: each is asked only for what those before it lack.

    source:
      - {name: stac, href: "https://earth-search.aws.element84.com/v1", collections: [sentinel-2-l2a]}
      - {name: earthengine}

`pipeline.scenes.gaps` decides when the next source is asked, and for which days.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from pydantic import SerializeAsAny, model_serializer, model_validator

from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources import protocol
from pipeline.sources.protocol import Setting, Upstream


class Options(protocol.Options):
    """The options of the sources, in the order in which they are searched."""

    is_service: ClassVar[bool] = True
    sources: tuple[SerializeAsAny[protocol.Options], ...]

    @model_validator(mode="after")
    def _check(self) -> Options:
        for source in self.sources:
            if source.is_synthetic or source.is_published:
                raise ValueError(f"{source.name} cannot be one of several sources; make it the only one")
        return self

    @model_serializer
    def _as_written(self) -> list[dict[str, Any]]:
        return [source.model_dump(mode="json", by_alias=True) for source in self.sources]

    @property
    def members(self) -> dict[str, protocol.Options]:
        labels: dict[str, protocol.Options] = {}
        for source in self.sources:
            count = sum(other.name == source.name for other in labels.values())
            labels[f"{source.name}-{count + 1}" if count else source.name] = source
        return labels

    @property
    def parallel(self) -> int | None:
        """Parallel requests of the first source that has such a limit."""
        limits = (getattr(source, "parallel", None) for source in self.sources)
        return next(filter(None, limits), None)

    def profile(self, sensor: Sensor) -> Profile:
        return self.sources[0].profile(sensor)

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        for position, source in enumerate(self.sources, 1):
            its_profile = source.profile(sensor)
            if sensor.profile is None and its_profile != self.profile(sensor):
                raise ValueError(
                    f"source {position}, {source.name}, gives {its_profile.title}, and the first gives "
                    f"{self.profile(sensor).title}: the sources of a list must give one sensor with one kind "
                    "of mask"
                )
            try:
                source.check(sensor, profile, clear)
            except ValueError as error:
                raise ValueError(f"source {position}, {source.name}: {error}") from None

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        return [source.asked(site_id, setting) for source in self.sources]

    def announce(self, setting: Setting) -> None:
        for source in self.sources:
            source.announce(setting)

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return self.sources[0].expected(first, last, profile)

    def requests_a_second(self) -> float:
        return min(source.requests_a_second() for source in self.sources)

    def allowance(self, requests: int) -> str:
        return next(filter(None, (source.allowance(requests) for source in self.sources)), "")

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        upstreams = [each for source in self.sources for each in source.attribution(profile, years)]
        return list(dict.fromkeys(upstreams))

    def licence(self) -> str:
        licences = {source.licence() for source in self.sources}
        return licences.pop() if len(licences) == 1 else "other"

    def providers(self) -> list[dict[str, Any]]:
        return [provider for source in self.sources for provider in source.providers()]
