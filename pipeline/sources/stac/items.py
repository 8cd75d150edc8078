"""Scenes of a STAC API, of a static catalog such as the synthetic archive, or of a saved search."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pystac_client import ItemSearch
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError, MinebenchError, WorkError
from pipeline.geo import raster
from pipeline.geo.remote import Signer
from pipeline.sensors import airborne, boa_offset
from pipeline.sensors.boa_offset import NO_OFFSET, Words
from pipeline.sensors.profile import Profile
from pipeline.sources.local import own_numbers
from pipeline.sources.protocol import Asset, Scene, Source
from pipeline.sources.stac import disk_catalog, features, item_bands, paging, saved, signing, web_catalog
from pipeline.sources.stac.addresses import Addresses, Place
from pipeline.sources.stac.buckets import SCHEME
from pipeline.sources.stac.features import Entry, Odd
from pipeline.sources.stac.wire import Wire
from pipeline.web import client

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

# pystac looks for its extensions when it reads the first object, and threads that read others meanwhile
# meet a half-filled list ("dictionary changed size during iteration"): here, where one thread comes first.
pystac.EXTENSION_HOOKS.get_deprecation_message(pystac.Item("first", None, None, datetime.now(UTC), {}))


class StacSource:
    """See `pipeline.sources.protocol.Source`."""

    def __init__(
        self, options: Options, label: str, profile: Profile, bands: Sequence[str], is_picture: bool = False
    ) -> None:
        self.options, self.label, self.profile, self.bands = options, label, profile, bands
        self.is_picture = is_picture
        # Sensors that are known have scales of their own, whatever items say of them.
        self.takes_scale = profile.name == airborne.PLAIN.name and not is_picture
        self.mask_band: str | None = profile.mask.name if profile.mask else None
        self.wanted = [*bands, *([self.mask_band] if self.mask_band else [])]
        self.named, self.usual = options.named(profile), item_bands.usual_keys(profile)
        self.addresses = Addresses(options)
        self.is_remote = self.addresses.is_remote
        self.reads_web = self.is_remote
        self.parallel = options.parallel if self.is_remote else 1

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        entries = list(
            self._api(area, start, end) if self.is_remote else disk_catalog.items(self.options.href)
        )
        _expect_times(entries, client.redacted(self.options.href))
        listed = (self._listed(entry, area, start, end) for entry in entries)
        scenes = [scene for scene in listed if scene is not None]
        return sorted(scenes, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        if self.is_remote:
            return self._found(features.read(self._content(href), href), href)
        if saved.items(self.options.href) is not None:
            return self._found(saved.find(href, self.options.href), href)
        path = str(Path(self.options.href).parent / href)
        return self._found(features.read(disk_catalog.read(path), path), path)

    def native(self, scene: Scene, band: str) -> GeoBox:
        asset = self._asset(scene, band)
        return asset.grid or self._grid_of(scene, asset)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        files: dict[tuple[str, bool], list[str]] = {}
        for band in bands:
            files.setdefault((self._asset(scene, band).href, band == self.mask_band), []).append(band)
        if len(files) == 1:
            return self._read(scene, bands, grid)
        read = {
            band: pixels
            for together in files.values()
            for band, pixels in zip(together, self._read(scene, together, grid), strict=True)
        }
        return np.stack([read[band] for band in bands])

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        # A request for a file's head, and about one for each 16 MiB or row of blocks beyond it.
        blocks = -(-grid.height // 1024)
        return len(bands) * (1 + blocks) if self.reads_web else 0

    def _read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        """Bands of one file."""
        is_mask = self.mask_band in bands
        asset, indexes = self._asset(scene, bands[0]), [self._asset(scene, band).index for band in bands]
        resampling = Resampling.nearest if is_mask else Resampling.bilinear
        with self.addresses.buckets.explained(asset.href, asset.region):
            href, signer = self._signed(scene, asset)
            if self.is_picture and not is_mask:
                return raster.read_picture(href, indexes, grid, resampling, None, signer, self.parallel)
            if asset.scale is not None:
                numbers = raster.read_numbers(
                    href, indexes, grid, resampling, asset.nodata, signer, self.parallel
                )
                return own_numbers.reflectance(numbers, client.redacted(asset.href), *asset.scale)
            pixels = raster.read_bands(href, indexes, grid, resampling, 0, signer, self.parallel)
        return pixels if is_mask else self.profile.calibrate(pixels, scene.offset)

    def _asset(self, scene: Scene, band: str) -> Asset:
        if band not in scene.assets:
            raise InputError(
                f"sensor.bands: scene {scene.id} has no band {band}; name its asset in source.assets."
            )
        return scene.assets[band]

    def _grid_of(self, scene: Scene, asset: Asset) -> GeoBox:
        """The grid of a file that its item does not describe."""
        with self.addresses.buckets.explained(asset.href, asset.region):
            href, signer = self._signed(scene, asset)
            with raster.opened(href, signer, self.parallel) as file:
                return raster.grid_of(file)

    def _signed(self, scene: Scene, asset: Asset) -> tuple[str, Signer]:
        """Where an asset is on the web or on the disk, and what signs requests for it."""
        if not asset.href.startswith(SCHEME):
            return asset.href, self._signer(scene)
        buckets = self.addresses.buckets
        return buckets.address(asset.href, asset.region), buckets.signer(asset.href, asset.region)

    def _content(self, href: str) -> Any:
        """The JSON at an item's own address."""
        try:
            flaw = self.addresses.leads_in(href)
        except ValueError:
            flaw = "is no web address"
        if flaw:
            raise WorkError(f"{href} cannot be asked: it {flaw}.")
        return client.get_json(href, parallel=self.parallel)

    def _found(self, entry: Entry, href: str) -> Scene:
        """The scene of an item that was listed before."""
        try:
            if isinstance(entry, pystac.Item):
                return self._scene(entry)
            why = entry.why
        except (MinebenchError, MemoryError):
            raise
        except Exception as error:
            why = _unclear(error)
        raise WorkError(f"{href}: item {entry.id} {why}.")

    def _listed(self, entry: Entry, area: BaseGeometry, start: date, end: date) -> Scene | None:
        """The scene of an item that is of the area and time: flawed where something in the item is odd. An
        item whose time cannot be read is of no time."""
        time, collection = features.time_of(entry), _collection(entry)
        if time is None or not start <= time.date() < end:
            return None
        if self.options.collections and collection not in self.options.collections:
            return None
        if isinstance(entry, Odd):
            return self._flawed(entry, time)
        try:
            return self._whole(entry, area, time)
        except MemoryError:
            raise
        except Exception as error:
            return self._flawed(Odd.of(entry, _unclear(error)), time)

    def _whole(self, item: pystac.Item, area: BaseGeometry, time: datetime) -> Scene | None:
        """The scene of an item that touches the area."""
        if item.geometry is not None:
            outline = features.outline(item.geometry)
            if outline is None:
                return self._flawed(Odd.of(item, "has a geometry that cannot be read"), time)
            if not outline.intersects(area):
                return None
        if item.datetime is None:
            return self._flawed(Odd.of(item, "has no datetime of its own, only a span of time"), time)
        scene = self._scene(item, area)
        texts = (scene.href, scene.level, scene.baseline, scene.offset_from, scene.flaw)
        # Half a character, which JSON may have, can be written to no file: UnicodeEncodeError.
        "".join((*texts, *(asset.href for asset in scene.assets.values()))).encode()
        return scene

    def _flawed(self, odd: Odd, time: datetime) -> Scene:
        return Scene(
            id=odd.id, time=time, assets={}, source=self.label, level=self.profile.level,
            href=_without_query(odd.href) if self.is_remote else "", collection=odd.collection,
            flaw=f"the item {odd.why}",
        )  # fmt: skip

    def _signer(self, scene: Scene) -> Signer:
        return signing.signer(self.options, scene.collection)

    def _scene(self, item: pystac.Item, area: BaseGeometry | None = None) -> Scene:
        found = item_bands.find(item, self.wanted, self.named, self.profile)
        places = {band: self.addresses.choose(item, one.asset) for band, one in found.items()}
        try:
            bands = {band: item_bands.described(item, one, places[band]) for band, one in found.items()}
            wrong = ""
        except item_bands.WRONG:
            bands, wrong = {}, "the item describes its grid wrongly (proj:code, proj:shape, proj:transform)"
        if self.takes_scale:
            try:
                bands = {band: item_bands.scaled(found[band], asset) for band, asset in bands.items()}
            except item_bands.WRONG:
                bands, wrong = {}, "the item states its scale wrongly (raster:scale, raster:offset, nodata)"
        time = features.time_of(item)
        if item.datetime is None or time is None:
            raise WorkError(f"Item {item.id} has no datetime.")
        if any(raster.is_remote(place.href) or place.href.startswith(SCHEME) for place in places.values()):
            self.reads_web, self.parallel = True, self.options.parallel
        words = self._words(item, [one.asset for one in found.values()])
        return Scene(
            id=item.id,
            time=time,
            assets=bands,
            source=self.label,
            level=self._level(item),
            cloud_cover=_number(item.properties.get("eo:cloud_cover")),
            baseline=words.baseline,
            offset=words.offset,
            offset_from=words.evidence,
            is_doubtful=not words.sure,
            href=self._href(item),
            collection=item.collection_id or "",
            flaw=wrong or item_bands.unclear(found) or self._flaw(item, bands, places, area),
        )

    def _level(self, item: pystac.Item) -> str:
        """The product's level: L1C or L2A, Landsat's L2SP or L2SR."""
        if "l1c" in (item.collection_id or ""):
            return "L1C"
        return str(item.properties.get("landsat:correction") or self.profile.level)

    def _words(self, item: pystac.Item, used: list[pystac.Asset]) -> Words:
        """What is said of the offset of a Sentinel-2 scene."""
        if not self.profile.has_offset:
            return NO_OFFSET
        collection = item.collection_id or ""
        if urlsplit(self.options.href).hostname == boa_offset.PLANETARY_COMPUTER:
            return boa_offset.by_provider(item.properties, "Planetary Computer", [item.id])
        if collection in boa_offset.GUARANTEED:
            return boa_offset.by_provider(item.properties, f"collection {collection}", [item.id])
        stated = (boa_offset.stated_offset(asset.extra_fields) for asset in used)
        first = next((offset for offset in stated if offset is not None), None)
        return boa_offset.by_item(item.properties, first, [item.id])

    def _href(self, item: pystac.Item) -> str:
        """Where the item is: its address, its path from the catalog, or its place in a saved search."""
        href = item.get_self_href() or ""
        if self.is_remote:
            return _without_query(href)
        if saved.items(self.options.href) is not None:
            return saved.name_of(item, self.options.href)
        return Path(os.path.relpath(href, Path(self.options.href).parent)).as_posix()

    def _flaw(
        self,
        item: pystac.Item,
        bands: dict[str, Asset],
        places: dict[str, Place],
        area: BaseGeometry | None,
    ) -> str:
        """Why the scene must not be used: what it says of itself contradicts itself or leads away."""
        if item.geometry is None:
            return "the item has no geometry"
        if item.properties.get("landsat:collection_category") == "T2":
            return "it is of Landsat's Tier 2, whose geometry may be off by more than 12 m"
        if missing := [band for band in self.wanted if band not in bands]:
            keys = ", ".join(
                f"{band} ({self.named.get(band) or self.usual.get(band, band)})" for band in missing
            )
            return f"the item has no asset for {keys}; source.assets and source.mask name them"
        for band, place in places.items():
            if place.flaw:
                return f"the address of {band} {place.flaw}"
        grids = {asset.grid for asset in bands.values() if asset.grid is not None}
        if area is not None and not all(_touches(grid, area) for grid in grids):
            return "its geometry touches the site and its pixels' grid does not"
        return ""

    def _api(self, area: BaseGeometry, start: date, end: date) -> Iterator[Entry]:
        href = self.options.href
        try:
            entrance = web_catalog.entrance(href, self.parallel)
            if entrance.is_static:
                yield from web_catalog.items(href, self.parallel)
                return
            for feature in paging.features(href, self._search(entrance.search, area, start, end)):
                yield features.read(feature)
        except (MinebenchError, MemoryError):
            raise
        except Exception as error:
            text = client.redacted(f"{type(error).__name__}: {error}")[:200].rstrip(".")
            raise WorkError(f"{client.redacted(href)} does not answer as a STAC API: {text}.") from None

    def asking(self, area: BaseGeometry, start: date, end: date) -> paging.Ask:
        """How an API is asked for the items of an area and time, page by page. WorkError where it is none."""
        entrance = web_catalog.entrance(self.options.href, self.parallel)
        if entrance.is_static:
            raise WorkError(f"source.href: {client.redacted(self.options.href)} is a static catalog.")
        return self._search(entrance.search, area, start, end)

    def _search(self, url: str, area: BaseGeometry, start: date, end: date) -> paging.Ask:
        """How to ask for the items of an area and time."""
        wanted: dict[str, Any] = {
            "collections": list(self.options.collections) or None,
            "intersects": shapely.geometry.mapping(area),
            "datetime": f"{start}T00:00:00Z/{end}T00:00:00Z",
        }

        def ask(size: int, tries: int) -> Iterator[paging.Page]:
            wire = Wire(url, self.parallel, tries)
            try:
                yield from ItemSearch(url, stac_io=wire, limit=size, **wanted).pages_as_dicts()
            except client.Refused as error:
                if error.status != 405:
                    raise
                yield from ItemSearch(url, method="GET", stac_io=wire, limit=size, **wanted).pages_as_dicts()

        return ask


def _expect_times(entries: Sequence[Entry], service: str) -> None:
    """WorkError where nothing that a service lists is an item of any time."""
    if entries and all(isinstance(entry, Odd) and entry.time is None for entry in entries):
        first = next(entry for entry in entries if isinstance(entry, Odd))
        raise WorkError(f"{service}: item {first.id} {first.why}.")


def _collection(entry: Entry) -> str | None:
    return entry.collection if isinstance(entry, Odd) else entry.collection_id


def _unclear(error: Exception) -> str:
    return f"cannot be understood ({type(error).__name__})"


def _number(value: Any) -> float | None:
    """A number as it should be; None for all else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if is_number else None


def _without_query(href: str) -> str:
    return urlsplit(href)._replace(query="", fragment="").geturl()


@lru_cache(maxsize=1024)
def _geographic(grid: GeoBox) -> tuple[float, float, float, float] | None:
    """West, south, east and north of a grid; None where it is no place on Earth. Scenes of a place share
    their grids, and an outline takes milliseconds."""
    try:
        west, south, east, north = grid.geographic_extent.boundingbox.bbox
    except Exception:
        return None
    return west, south, east, north


def _touches(grid: GeoBox, area: BaseGeometry) -> bool:
    """Whether a grid's outline touches an area (EPSG:4326), by their boxes with some play."""
    found = _geographic(grid)
    if found is None:
        return False
    left, bottom, right, top = found
    if right - left > 180:
        return True
    return shapely.box(left, bottom, right, top).buffer(0.01).intersects(shapely.envelope(area)) or any(
        shapely.box(left + turn, bottom, right + turn, top).buffer(0.01).intersects(area)
        for turn in (-360, 360)
    )


_conforms: type[Source] = StacSource
