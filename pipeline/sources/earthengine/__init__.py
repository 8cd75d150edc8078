"""A Google Earth Engine image collection: Sentinel-2, or any other with a band mapping."""

from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.core.parts import Fraction
from pipeline.sensors import airborne, sentinel2
from pipeline.sensors import known as sensors
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Mask, Profile, Sensor
from pipeline.sources import stac
from pipeline.sources.protocol import Remote, Setting, Source, Upstream

SENTINEL_2 = "COPERNICUS/S2"
DATASETS = "https://developers.google.com/earth-engine/datasets/catalog"
NAIP = Upstream(
    "NAIP", "images", "public domain", "USDA Farm Service Agency, National Agriculture Imagery Program.",
    "https://naip-usdaonline.hub.arcgis.com",
)  # fmt: skip
CLOUD_SCORE = Upstream(
    "Cloud Score+", "which pixels are clear", "CC-BY-4.0",
    "Pasquarella et al. (2023): Comprehensive quality assessment of optical satellite imagery using weakly "
    "supervised video learning. CVPR Workshops.",
    "https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_CLOUD_SCORE_PLUS_V1_S2_HARMONIZED",
)  # fmt: skip


class Options(Remote):
    """Collection, cloud rule, and who asks."""

    personal: ClassVar[frozenset[str]] = frozenset({"parallel", "project", "service_account_key", "url"})
    level_1c: ClassVar[str] = "COPERNICUS/S2_HARMONIZED"
    name: Literal["earthengine"]
    collection: str = "COPERNICUS/S2_SR_HARMONIZED"
    bands: dict[str, str] = Field(default_factory=dict)
    """Band name to the collection's own; Sentinel-2's are known (B02 is B2 there)."""
    cloud: Literal["scl", "cloud_score_plus", "none"] = "scl"
    """What tells clear from cloudy; `none`: every pixel with data is clear, as in aerial images."""
    cloud_score: Fraction = 0.6
    """Cloud Score+ (cs_cdf) from which a pixel is clear."""
    level1c: Literal["never", "where_no_l2a", "always"] = "never"
    """Whether a period without any Level-2A scene takes Level-1C ones (top of atmosphere)."""
    composite: Literal["here", "server"] = "here"
    """`server` asks for finished medians (fewer bytes, near but not equal numbers)."""
    project: str | None = None
    """Cloud project; default: EARTHENGINE_PROJECT, GOOGLE_CLOUD_PROJECT, or the credentials' own."""
    service_account_key: Path | None = None
    """JSON key file; default: what `earthengine authenticate` or gcloud stored."""
    url: str = "https://earthengine-highvolume.googleapis.com"
    parallel: int = Field(default=40, ge=1, le=100)

    @model_validator(mode="after")
    def _check(self) -> "Options":
        if self.level1c != "never" and self.cloud != "cloud_score_plus":
            raise ValueError("level1c needs cloud: cloud_score_plus, because Level-1C has no scene classes")
        if self.level1c != "never" and self.composite == "server":
            raise ValueError("level1c and composite: server do not go together")
        return self

    @property
    def is_sentinel2(self) -> bool:
        return self.collection.startswith(SENTINEL_2)

    @property
    def mask(self) -> Mask | None:
        """What tells clear from cloudy, by `cloud`."""
        return {"scl": sentinel2.SCL, "cloud_score_plus": sentinel2.CLOUD_SCORE, "none": None}[self.cloud]

    def profile(self, sensor: Sensor) -> Profile:
        if "NAIP" in self.collection:
            return airborne.NAIP
        return sentinel2.of_cloud_rule(self.mask) if self.is_sentinel2 else sensors.unmasked(sensor)

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        if not self.is_sentinel2:
            if self.cloud != "none":
                raise ValueError("source.cloud: only Sentinel-2 has cloud classes; set cloud: none")
            if missing := set(sensor.bands) - set(self.bands):
                raise ValueError(
                    f"source.bands does not say which band of the images is {min(missing)}; add it"
                )
        if self.composite == "server" and clear.margin:
            raise ValueError(
                "selection.cloud_margin: medians made by Earth Engine have no margin around clouds; "
                "set it to 0, or source.composite to here"
            )
        if self.collection == self.level_1c and self.cloud == "scl":
            raise ValueError("source.cloud: Level-1C has no scene classes; set cloud: cloud_score_plus")

    def open(self, setting: Setting) -> Source:
        # The client takes a second to import, and most stages need no more than these options.
        from pipeline.sources.earthengine.images import EarthEngineSource

        return EarthEngineSource(self, setting.sensor, setting.clear.numbers)

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        # The server's medians follow the recipe's classes: there they decide the pixels.
        clear = setting.clear.numbers
        decides = self.composite == "server" and clear != sentinel2.USUALLY_CLEAR
        return [*super().asked(site_id, setting), *([list(clear)] if decides else [])]

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return 1 if self.bands else max(1, int((last - first).days // (profile.revisit_days or 5)))

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        if "NAIP" in self.collection:
            return [NAIP]
        if not self.is_sentinel2:
            page = f"{DATASETS}/{self.collection.replace('/', '_')}"
            return [Upstream(self.collection, "images", "see the collection's page", self.collection, page)]
        scores = [CLOUD_SCORE] if self.cloud == "cloud_score_plus" else []
        return [stac.notice(profile, years), *scores]
