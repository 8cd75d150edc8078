"""A Google Earth Engine image collection: Sentinel-2, embeddings, or any other with a band mapping."""

from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.core.config import Fraction
from pipeline.sensors import airborne, alphaearth, sentinel2
from pipeline.sensors import known as sensors
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Mask, Profile, Sensor
from pipeline.sources import stac
from pipeline.sources.earthengine import quota
from pipeline.sources.protocol import Remote, Setting, Source, Upstream

SENTINEL_2 = "COPERNICUS/S2"
EMBEDDINGS = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"
DATASETS = "https://developers.google.com/earth-engine/datasets/catalog"
CLOUD_SCORE = Upstream(
    "Cloud Score+", "which pixels are clear", "CC-BY-4.0",
    "Pasquarella et al. (2023): Comprehensive quality assessment of optical satellite imagery using weakly "
    "supervised video learning. CVPR Workshops.",
    "https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_CLOUD_SCORE_PLUS_V1_S2_HARMONIZED",
)  # fmt: skip
ALPHA_EARTH = Upstream(
    "Satellite Embedding V1", "embeddings", "CC-BY-4.0",
    "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind. "
    "Brown et al. (2025): AlphaEarth Foundations. arXiv 2507.22291.",
    f"{DATASETS}/GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL",
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
    """Whether a period without any Level-2A scene that is clear enough takes Level-1C ones (top of
    atmosphere)."""
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
    def is_embedding(self) -> bool:
        return self.collection == EMBEDDINGS

    @property
    def mask(self) -> Mask | None:
        """What tells clear from cloudy, by `cloud`."""
        return {"scl": sentinel2.SCL, "cloud_score_plus": sentinel2.CLOUD_SCORE, "none": None}[self.cloud]

    def profile(self, sensor: Sensor) -> Profile:
        if "NAIP" in self.collection:
            return airborne.NAIP
        if self.is_embedding:
            return alphaearth.ANNUAL
        return sentinel2.of_cloud_rule(self.mask) if self.is_sentinel2 else sensors.unmasked(sensor)

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        if not self.is_sentinel2:
            if self.cloud != "none":
                raise ValueError("source.cloud: only Sentinel-2 has cloud classes; set cloud: none")
            if self.is_embedding:
                self._check_embedding(sensor)
            elif missing := set(sensor.bands) - set(self.bands):
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

    def _check_embedding(self, sensor: Sensor) -> None:
        if self.bands:
            raise ValueError(
                "source.bands: an embedding's bands go by their own names, A00 to A63; remove it"
            )
        alphaearth.check(sensor)
        if self.composite == "server":
            raise ValueError("source.composite: embeddings are finished as they are; set it to here")

    def open(self, setting: Setting) -> Source:
        # The client takes a second to import, and most stages need no more than these options.
        if self.is_embedding:
            from pipeline.sources.earthengine.embeddings import EmbeddingSource

            return EmbeddingSource(self, setting.sensor, setting.clear.numbers)
        from pipeline.sources.earthengine.images import EarthEngineSource

        return EarthEngineSource(self, setting.sensor, setting.clear.numbers)

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        # The server's medians follow the recipe's classes: there they decide the pixels.
        clear = setting.clear.numbers
        decides = self.composite == "server" and clear != sentinel2.USUALLY_CLEAR
        return [*super().asked(site_id, setting), *([list(clear)] if decides else [])]

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return 1 if self.bands else max(1, int((last - first).days // (profile.revisit_days or 5)))

    def allowance(self, requests: int) -> str:
        if self.composite == "server":
            return f"EECU-hours for medians cannot be told beforehand; they are {quota.of_a_month()}"
        return quota.in_words(requests)

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        if "NAIP" in self.collection:
            return [stac.NAIP]
        if self.is_embedding:
            return [ALPHA_EARTH]
        if not self.is_sentinel2:
            page = f"{DATASETS}/{self.collection.replace('/', '_')}"
            return [Upstream(self.collection, "images", "see the collection's page", self.collection, page)]
        scores = [CLOUD_SCORE] if self.cloud == "cloud_score_plus" else []
        return [stac.notice(profile, years), *scores]

    def licence(self) -> str:
        return ALPHA_EARTH.licence if self.is_embedding else super().licence()
