"""Read Google's annual Satellite Embedding from COGs on Source Cooperative, without an account."""

from datetime import date
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import field_validator

from pipeline.sensors import alphaearth
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources.earthengine import ALPHA_EARTH
from pipeline.sources.protocol import Remote, Setting, Source, Upstream

HOST = "https://data.source.coop/tge-labs/aef/v1/annual"
SOURCE_COOPERATIVE = Upstream(
    "Source Cooperative, tge-labs/aef", "copy of the embeddings", "CC-BY-4.0",
    "Copy of the AlphaEarth Foundations annual embeddings as COGs by Taylor Geospatial, hosted by Source "
    "Cooperative; not officially supported by Google.",
    "https://source.coop/tge-labs/aef",
)  # fmt: skip
BLOCK_MB = 0.45
"""Compressed size, in MB, of a block of 1024 x 1024 pixels of one band, as in files of 2024 in zone 31N."""


class Options(Remote):
    """The recipe's options: where the index of the COGs is, and where the COGs are if not beside it."""

    personal: ClassVar[frozenset[str]] = frozenset(
        {"parallel", "s3_endpoint", "s3_region", "requester_pays", "no_sign_request"}
    )
    name: Literal["source_coop"]
    index: str = f"{HOST}/aef_index.parquet"
    """Address (http, https, s3) or path of a GeoParquet file with one row per COG."""
    cogs: str | None = None
    """Address or folder with the COGs as <year>/<zone>/<name>.tiff; default: the folder of the index."""
    s3_endpoint: str | None = None
    """Endpoint of the S3 service for s3:// addresses; as in `source: stac`."""
    s3_region: str | None = None
    """Region of the bucket of an s3:// address."""
    requester_pays: bool = False
    """Whether you agree to pay AWS for what you read from requester-pays buckets."""
    no_sign_request: bool = False
    """Whether s3:// addresses are read without keys, as public buckets such as Source Cooperative's allow."""

    @field_validator("index")
    @classmethod
    def _check_index(cls, index: str) -> str:
        if PurePosixPath(index).suffix != ".parquet":
            raise ValueError(
                f"{index} is no Parquet file; name the index that ends in .parquet, which has the same rows "
                "as the .gpkg and the .csv"
            )
        return index

    @property
    def folder(self) -> str:
        """Address or path of the folder that contains one folder per year."""
        return (self.cogs or self.index.rpartition("/")[0] or ".").rstrip("/")

    def profile(self, sensor: Sensor) -> Profile:
        return alphaearth.ANNUAL

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        alphaearth.check(sensor)

    def open(self, setting: Setting) -> Source:
        from pipeline.sources.source_coop.aef_cogs import CogSource

        return CogSource(self, setting)

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return max(1, int((last - first).days // 365))

    def allowance(self, requests: int) -> str:
        size = requests * BLOCK_MB / 1000
        if not requests:
            return ""
        return f"about {size:,.1f} GB are downloaded, as COGs are read in whole blocks of 1024 x 1024 pixels"

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        return [ALPHA_EARTH, *([SOURCE_COOPERATIVE] if "source.coop/" in self.folder else [])]

    def licence(self) -> str:
        return ALPHA_EARTH.licence
