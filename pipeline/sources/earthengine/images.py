"""A Google Earth Engine image collection, scene by scene: Sentinel-2, NAIP, SkySat, or any other.

Scenes are listed with listImages and read with getPixels, each band on its own grid and without
any computing on the server, so that choice, filter, resampling and compositing are the pipeline's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError, WorkError
from pipeline.core import eight_bits
from pipeline.geo import window
from pipeline.sensors import boa_offset, classes, sentinel2
from pipeline.sensors.boa_offset import Words
from pipeline.sensors.profile import Sensor
from pipeline.sources.earthengine import footprint, login, pixels, server
from pipeline.sources.protocol import Asset, Scene, Source

if TYPE_CHECKING:
    from pipeline.sources.earthengine import Options

CLOUD_SCORE_PLUS = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
WITH_DATA = {"L2A": "SCL", "L1C": "B2"}
"""The band of a Sentinel-2 image that is 0 just where the image has no data. At the top of the atmosphere
nothing is black in blue light."""
PUBLIC = "projects/earthengine-public/assets/"
PAGE, FEW = 500, 20
"""Images asked for at a time; where it is only asked whether there are any."""


class EarthEngineSource:
    """See `pipeline.sources.protocol.Source`.

    Notes on masking. Earth Engine gives masked pixels as 0, which can also be a valid number. In
    Sentinel-2 L2A a pixel has data where its scene class is not 0; elsewhere where any band of the
    image is not 0. A valid 0 becomes 1. A Cloud Score+ is 0 in thick cloud as well as where it is
    masked: there the image itself is asked (`WITH_DATA`).
    """

    def __init__(self, options: Options, sensor: Sensor, clear: tuple[int, ...]) -> None:
        self.options, self.sensor, self.clear = options, sensor, clear
        self.is_sentinel2 = options.is_sentinel2
        self.mask_band: str | None = options.mask.name if options.mask else None
        self.parallel = options.parallel
        login.sign_in(options)

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        if self.options.composite == "server":
            has_images = any(self.listed(self.options.collection, area, start, end, FEW))
            return server.search(self.options, area, start, end) if has_images else []
        if self.options.level1c == "always":
            return self._in(self.options.level_1c, area, start, end)
        scenes = self._in(self.options.collection, area, start, end)
        if self.options.level1c == "never":
            return scenes
        # An image that is there at both levels is equally cloudy in both.
        known = {scene.id for scene in scenes}
        others = self._in(self.options.level_1c, area, start, end, known)
        return _in_order([*scenes, *others])

    def find(self, href: str) -> Scene:
        if href.startswith(server.PREFIX):
            return server.find(self.options, href)
        image = login.calling(lambda: ee.data.getAsset(href), href)
        collection = href.rpartition("/")[0]
        scores = {}
        if self.options.cloud == "cloud_score_plus":
            name = f"{CLOUD_SCORE_PLUS}/{href.rpartition('/')[2]}"
            scores = {href.rpartition("/")[2]: login.calling(lambda: ee.data.getAsset(name), name)}
        return self._scene(image, collection, scores)

    def native(self, scene: Scene, band: str) -> GeoBox:
        if server.is_composite(scene):
            return GeoBox((1, 1), Affine(1, 0, 0, 0, -1, 0), "EPSG:4326")
        grid = self._asset(scene, band).grid
        if grid is None:
            raise WorkError(f"{scene.id}: band {band} has no grid.")
        return grid

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if server.is_composite(scene):
            return server.read(self.options, self.clear, scene, bands, grid, self._own_name)
        if list(bands) == [self.mask_band]:
            return self._classes(scene, grid)[np.newaxis]
        found: dict[str, NDArray[Any]] = {}
        for members in self._groups(scene, bands):
            found |= dict(zip(members, self._group(scene, members, grid), strict=True))
        return np.stack([found[band] for band in bands])

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        masks = 2 if list(bands) == [self.mask_band] and self.options.cloud == "cloud_score_plus" else 1
        return masks * pixels.requests(grid, 2 * len(bands) + 1)

    def _in(
        self, collection: str, area: BaseGeometry, start: date, end: date, known: Collection[str] = ()
    ) -> list[Scene]:
        """The collection's scenes that touch the area, without those whose id is known."""
        images = [
            image
            for image in self.listed(collection, area, start, end)
            if index_of(image) not in known and footprint.touches(image.get("geometry"), area)
        ]
        scores = {}
        if images and self.options.cloud == "cloud_score_plus":
            scores = {index_of(image): image for image in self.listed(CLOUD_SCORE_PLUS, area, start, end)}
        return _in_order([self._scene(image, collection, scores) for image in images])

    def listed(
        self, collection: str, area: BaseGeometry, start: date, end: date, page: int = PAGE
    ) -> Iterator[dict[str, Any]]:
        """All images that the service lists for the area's box; it pages by token."""
        # The box, not the outline: the filter travels in the address, whose length is limited.
        region = json.loads(shapely.to_geojson(shapely.envelope(area)))
        params: dict[str, Any] = {"parent": collection, "startTime": f"{start}T00:00:00Z",
                                  "endTime": f"{end}T00:00:00Z", "region": region,
                                  "pageSize": page}  # fmt: skip
        seen: set[str] = set()
        while True:
            answer = login.calling(lambda: ee.data.listImages(dict(params)), collection)
            names = {_name(image) for image in answer["images"]}
            if names & seen:
                raise WorkError(f"{collection}: Earth Engine lists the same images twice; run again.")
            seen |= names
            # What has no end may be listed whatever end is asked for.
            yield from (image for image in answer["images"] if image.get("startTime", "")[:10] < str(end))
            if not (token := answer.get("nextPageToken")):
                return
            params["pageToken"] = token

    def _scene(
        self, image: Mapping[str, Any], collection: str, scores: Mapping[str, Mapping[str, Any]]
    ) -> Scene:
        try:
            assets = self._assets(image)
            time = datetime.fromisoformat(image["startTime"])
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{image.get('name')}: Earth Engine describes it wrongly ({error}).") from None
        properties = image.get("properties") or {}
        flaw = "" if image.get("geometry") else "the image has no geometry"
        if self.options.cloud == "cloud_score_plus":
            if score := scores.get(index_of(image)):
                assets["SCL"] = next(iter(_described(score, "cs_cdf").values()))
            else:
                flaw = "it has no Cloud Score+ image"
        cover = properties.get("CLOUDY_PIXEL_PERCENTAGE")
        baseline = str(properties.get("PROCESSING_BASELINE", ""))
        level = ("L2A" if "_SR" in collection else "L1C") if self.is_sentinel2 else ""
        words = self._words(properties, collection)
        return Scene(
            id=index_of(image),
            time=time,
            assets=assets,
            source="earthengine",
            level=level,
            cloud_cover=float(cover) if isinstance(cover, int | float) else None,
            baseline=baseline,
            offset=words.offset,
            offset_from=words.evidence,
            is_doubtful=not words.sure,
            href=f"{collection}/{index_of(image)}",
            collection=collection,
            flaw=flaw,
        )

    def _words(self, properties: Mapping[str, Any], collection: str) -> Words:
        """What is said of the offset of a Sentinel-2 image."""
        if not self.is_sentinel2:
            return boa_offset.NO_OFFSET
        if "HARMONIZED" in collection:
            return boa_offset.HARMONIZED
        named = {"s2:processing_baseline": properties.get("PROCESSING_BASELINE")}
        products = [str(properties[key]) for key in ("PRODUCT_ID", "GRANULE_ID") if key in properties]
        return boa_offset.by_provider(named, "Earth Engine", products)

    def _assets(self, image: Mapping[str, Any]) -> dict[str, Asset]:
        wanted = [*self.sensor.bands, *(["SCL"] if self.mask_band else [])]
        own = {band: self._own_name(band) for band in wanted}
        known = _described(image, *own.values())
        return {band: known[name] for band, name in own.items() if name in known}

    def _own_name(self, band: str) -> str:
        """The collection's name of a band: Sentinel-2's B02 is B2 here."""
        default = band.replace("B0", "B") if self.is_sentinel2 else band
        return self.options.bands.get(band, default)

    def _asset(self, scene: Scene, band: str) -> Asset:
        if band not in scene.assets:
            raise InputError(f"sensor.bands: {scene.href} has no band {band}; name it in source.bands.")
        return scene.assets[band]

    def _groups(self, scene: Scene, bands: Sequence[str]) -> list[list[str]]:
        """Bands that share a grid, and so a request."""
        groups: dict[Any, list[str]] = {}
        for band in bands:
            groups.setdefault(self._asset(scene, band).grid, []).append(band)
        return list(groups.values())

    def _group(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        """Bands of one native grid on `grid` (band, y, x), nodata 0."""
        native = self.native(scene, bands[0])
        names = [self._own_name(band) for band in bands]
        by_class = scene.level == "L2A" and self.is_sentinel2
        # Scene classes come along at the bands' pixel size, nearest, to tell 0 from no data.
        asked = [*names, *(["SCL"] if by_class and "SCL" not in names else [])]
        assets = [self._asset(scene, band) for band in bands]
        area = window.covering(native, grid)
        if area is None:
            kind = "uint16" if self.sensor.encoding.is_picture else self.sensor.dtype
            return np.zeros((len(bands), *grid.shape), kind)
        size = sum(np.dtype(asset.dtype).itemsize for asset in assets) + len(asked) - len(names)
        found = pixels.get(scene.href, assets[0].crs_code, area, asked, size)
        has_data = found[asked.index("SCL")] > 0 if by_class else (found[: len(bands)] != 0).any(axis=0)
        values = self._digital(found[: len(bands)], scene)
        values *= has_data
        return window.placed(values, area, grid, Resampling.bilinear)

    def _digital(self, found: NDArray[Any], scene: Scene) -> NDArray[Any]:
        """Numbers in the cube's type, offset removed, at least 1; of pictures one higher."""
        if self.sensor.encoding.is_picture:
            return eight_bits.raised(np.clip(np.rint(found), 0, 255))
        kind = np.dtype(self.sensor.dtype)
        values = np.clip(np.rint(found), 1, np.iinfo(kind).max).astype(kind)
        return boa_offset.without_offset(values, scene.offset)

    def _classes(self, scene: Scene, grid: GeoBox) -> NDArray[np.uint8]:
        """Scene classes on `grid`; a Cloud Score+ stands for clear or cloud."""
        asset = self._asset(scene, "SCL")
        assert asset.grid is not None
        if self.options.cloud == "scl":
            area = window.covering(asset.grid, grid)
            if area is None:
                return np.zeros(grid.shape, np.uint8)
            found = pixels.get(scene.href, asset.crs_code, area, [self._own_name("SCL")], 1)
            return window.placed(found.astype(np.uint8), area, grid, Resampling.nearest)[0]
        return self._scored(scene, asset, grid)

    def _scored(self, scene: Scene, asset: Asset, grid: GeoBox) -> NDArray[np.uint8]:
        """Classes from the cloud score, at 10 m; a coarser pixel is as cloudy as its worst part."""
        assert asset.grid is not None
        factor = round(grid.resolution.x / asset.grid.resolution.x)
        fine = grid.zoom_out(1 / factor) if factor > 1 else grid
        area = window.covering(asset.grid, fine)
        if area is None:
            return np.zeros(grid.shape, np.uint8)
        score = pixels.get(asset.href, asset.crs_code, area, ["cs_cdf"], 4)
        clear = score >= self.options.cloud_score
        found = np.where(clear, sentinel2.SCORE_CLEAR, sentinel2.SCORE_CLOUD).astype(np.uint8)
        if (score == 0).any():
            seen = pixels.get(scene.href, asset.crs_code, area, [WITH_DATA[scene.level]], 2)
            found[(score == 0) & (seen == 0)] = classes.NODATA
        placed = window.placed(found, area, fine, Resampling.nearest)[0]
        if factor > 1:
            blocks = placed.reshape(grid.height, factor, grid.width, factor)
            return blocks.max(axis=(1, 3))
        return placed


def _in_order(scenes: Iterable[Scene]) -> list[Scene]:
    return sorted(scenes, key=lambda scene: (scene.time, scene.id))


def _name(image: Mapping[str, Any]) -> str:
    """An image's name as requests have it: that of a public one begins with its collection."""
    return str(image.get("id") or image["name"]).removeprefix(PUBLIC)


def index_of(image: Mapping[str, Any]) -> str:
    """An image's index in its collection, the same in Sentinel-2's and in Cloud Score+."""
    return _name(image).rpartition("/")[2]


def _described(image: Mapping[str, Any], *names: str) -> dict[str, Asset]:
    """The image's bands of these names, each with its own grid and type."""
    found = {}
    asset = _name(image)
    for band in image["bands"]:
        if band["id"] not in names:
            continue
        grid, code = band["grid"], str(band["grid"]["crsCode"])
        t, size = grid["affineTransform"], grid["dimensions"]
        transform = Affine(t["scaleX"], t.get("shearX", 0), t.get("translateX", 0),
                           t.get("shearY", 0), t["scaleY"], t.get("translateY", 0))  # fmt: skip
        box = GeoBox((size["height"], size["width"]), transform, code)
        found[band["id"]] = replace(Asset(asset, box), dtype=_dtype(band["dataType"]), crs_code=code)
    return found


def _dtype(described: Mapping[str, Any]) -> str:
    """NumPy's name of a band's type, by its precision and range."""
    if described["precision"] != "INT":
        return "float64" if described["precision"] == "DOUBLE" else "float32"
    limits = described.get("range") or {}
    low, high = limits.get("min", 0), limits.get("max", 2**31)
    if low < 0:
        return "int16" if low >= -(2**15) and high < 2**15 else "int32"
    return "uint8" if high < 2**8 else "uint16" if high < 2**16 else "uint32"


_conforms: type[Source] = EarthEngineSource
