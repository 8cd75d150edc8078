"""A STAC API, or a static catalog, of any collection that a sensor's profile describes."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from minebench.errors import redacted
from pipeline.sensors import airborne, landsat, sentinel2
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources.protocol import Remote, Setting, Source, Upstream

COPERNICUS = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"


class Options(Remote):
    """Address, collections, and what of the items is which band."""

    personal: ClassVar[frozenset[str]] = frozenset(
        {"parallel", "sign", "sign_hosts", "s3_endpoint", "s3_region", "requester_pays", "no_sign_request"}
    )
    name: Literal["stac"]
    href: str
    collections: tuple[str, ...] = ()
    assets: dict[str, str] = Field(default_factory=dict)
    """Band name to asset key, where they differ; image#Red or image#1 is one band of an asset of several."""
    mask: str = "scl"
    """Asset with the sensor's mask; the default stands for the sensor's own, such as qa_pixel."""
    sign: str | None = None
    """Token service that signs the assets' addresses; Planetary Computer's own is known."""
    sign_hosts: tuple[str, ...] = ()
    """Hosts whose https addresses get the tokens of source.sign, beside *.blob.core.windows.net, the host of
    the catalog and that of the token service."""
    s3_endpoint: str | None = None
    """Address of the service that has the buckets of s3:// addresses. Default: AWS_ENDPOINT_URL_S3,
    AWS_ENDPOINT_URL or AWS_S3_ENDPOINT, else what is known of the bucket, else AWS."""
    s3_region: str | None = None
    """Region of the buckets. Default: as the items say or as is known, else AWS_REGION."""
    requester_pays: bool = False
    """Whether you pay AWS for what is read where readers pay; AWS_REQUEST_PAYER=requester says so too."""
    no_sign_request: bool = False
    """Whether s3:// addresses are read without keys, as public buckets can be."""

    def profile(self, sensor: Sensor) -> Profile:
        if any("landsat" in name for name in self.collections):
            return landsat.C2_L2
        if any("naip" in name for name in self.collections):
            return airborne.NAIP
        return sentinel2.L2A

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        unknown = [b for b in sensor.bands if b not in profile.assets and b not in self.assets]
        if unknown and profile.assets:
            known = ", ".join(profile.assets)
            raise ValueError(
                f"sensor.bands: {profile.name} has no band {unknown[0]} ({known}); name its asset in "
                "source.assets"
            )

    def named(self, profile: Profile) -> dict[str, str]:
        """Band to the asset that the recipe names, the mask's too."""
        mask = {profile.mask.name: self.mask} if profile.mask and self.mask != "scl" else {}
        return {**self.assets, **mask}

    def open(self, setting: Setting) -> Source:
        from pipeline.sources.stac.items import StacSource

        return StacSource(
            self, "stac", setting.profile, setting.sensor.bands, setting.sensor.encoding.is_picture
        )

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return max(1, int((last - first).days // (profile.revisit_days or 5)))

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        if profile.name in PUBLIC_DOMAIN or profile.name.startswith("sentinel-2"):
            return [notice(profile, years)]
        # Whose images a collection of any other sensor has, only its catalogue says.
        named = ", ".join(self.collections) or "Images of a STAC catalogue"
        page = self.href if self.href.startswith("http") else ""
        return [Upstream(named, "images", "see the collection's page", named, redacted(page))]


LANDSAT = Upstream(
    "Landsat Collection 2", "images", "public domain",
    "Landsat-4 to Landsat-9 images courtesy of the U.S. Geological Survey.",
    "https://www.usgs.gov/landsat-missions/landsat-collection-2-level-2-science-products",
)  # fmt: skip


NAIP = Upstream(
    "NAIP", "images", "public domain", "USDA Farm Service Agency, National Agriculture Imagery Program.",
    "https://naip-usdaonline.hub.arcgis.com",
)  # fmt: skip
PUBLIC_DOMAIN = {landsat.C2_L2.name: LANDSAT, airborne.NAIP.name: NAIP}


def notice(profile: Profile, years: str) -> Upstream:
    """Whose images a sensor's are. Copernicus asks for the years of the scenes that were used."""
    if profile.name in PUBLIC_DOMAIN:
        return PUBLIC_DOMAIN[profile.name]
    text = f"Contains modified Copernicus Sentinel data{years}."
    return Upstream("Copernicus Sentinel-2", "images", "Copernicus Sentinel data terms", text, COPERNICUS)
