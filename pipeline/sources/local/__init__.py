"""A folder of dated images, or cubes of images: files of the user's own."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import Field, model_validator
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench import cores
from minebench.errors import InputError, WorkError
from minebench.text import few
from pipeline.geo import raster
from pipeline.sensors import known
from pipeline.sensors.boa_offset import without_offset
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources import protocol
from pipeline.sources.local import cloud_model, dated_files, own_numbers, product_baselines, tree
from pipeline.sources.local.dated_files import Listed
from pipeline.sources.local.image_places import Images
from pipeline.sources.local.own_numbers import MaskRule
from pipeline.sources.protocol import Asset, Scene, Setting, Source, Upstream


class Options(protocol.Options):
    """A folder of dated GeoTIFFs or JPEG 2000 files. Dates come from `pattern`, a regular expression on the
    file name with a group `date` (YYYY, YYYYMMDD, YYYY-MM-DD or YYYYDDD), or from `dates`. A scene is a
    file, and its id the path within the folder; or, where `pattern` has a group `band`, all files that agree
    in what its other groups capture. A pattern with a slash is compared with the paths of all files below
    the folder, also within zips.

    Without `pattern` and `dates`, `path` is a cube (NetCDF or Zarr), or a folder of cubes: a scene is one
    time of a cube, and `bands` name its layers (`image_cubes`)."""

    name: Literal["local"]
    path: Path
    pattern: str | None = None
    dates: Path | None = None
    """CSV with columns file and date, and if need be nodata, a line per file."""
    bands: dict[str, Annotated[int, Field(ge=1)] | str]
    """Band name to 1-based band number in the file, or to the word that `pattern` finds as `band`."""
    nodata: float | None = None
    """Overrides the files' own nodata value."""
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Number in the file x scale + offset is reflectance, from 0 to 1; without both, numbers are taken as
    they are. `scale` is 1 and `offset` 0 where only the other is given."""
    offset: float | None = Field(default=None, allow_inf_nan=False)
    mask: MaskRule | None = None
    """Which pixels are clear; without it all with data are."""
    clouds: cloud_model.Model | None = None
    """The network that tells clouds and their shadows in images without a mask."""
    boa_offset: Literal["ask"] | None = None
    """Whether Sentinel-2's offset of processing baseline 04.00 is asked for and taken out: of the product's
    name or its metadata, else of the pixels. Without it numbers are taken as they are."""

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, given: Any) -> Any:
        """Take digits as a number, where no words are looked for."""
        if not isinstance(given, dict) or dated_files.has_band_group(given.get("pattern")):
            return given
        bands = given.get("bands")
        if not isinstance(bands, dict):
            return given
        as_numbers = {k: int(v) if isinstance(v, str) and v.isdecimal() else v for k, v in bands.items()}
        return {**given, "bands": as_numbers}

    @model_validator(mode="after")
    def _check(self) -> "Options":
        if self.pattern is not None and self.dates is not None:
            raise ValueError("give either pattern or dates")
        if self.is_of_cubes:
            # A cube's layers have names; numbers are of the bands of files.
            if isinstance(next(iter(self.bands.values()), None), int):
                raise ValueError("give either pattern or dates")
            if self.nodata is not None:
                raise ValueError("nodata: a cube has a _FillValue of its own; leave it out")
            numbers = [band for band, value in self.bands.items() if isinstance(value, int)]
            if numbers or (self.mask and isinstance(self.mask.band, int)):
                raise ValueError(
                    f"bands: {(*numbers, 'mask')[0]} is a number, and a cube's layers have names"
                )
            return self
        named = {**self.bands, **({"mask": self.mask.band} if self.mask else {})}
        words = [band for band, value in named.items() if isinstance(value, str)]
        if words and not dated_files.has_band_group(self.pattern):
            raise ValueError(
                f"bands: {words[0]} is '{named[words[0]]}', a word in a file's name, and pattern has no "
                "group band to find it, such as (?P<band>[A-Za-z0-9]+); else give the band's number in the "
                "file"
            )
        return self

    @property
    def has_scale(self) -> bool:
        """Whether the recipe says what the files' numbers mean."""
        return self.scale is not None or self.offset is not None

    @property
    def scaling(self) -> tuple[float, float]:
        """Scale and offset of the files' numbers."""
        return 1.0 if self.scale is None else self.scale, self.offset or 0.0

    @property
    def is_of_cubes(self) -> bool:
        """Whether scenes are times of cubes, and not files."""
        return self.pattern is None and self.dates is None

    @property
    def is_masked(self) -> bool:
        """Whether something tells which pixels are clear."""
        return self.mask is not None or self.clouds is not None

    def profile(self, sensor: Sensor) -> Profile:
        found = known.unmasked(sensor)
        if self.boa_offset:
            found = replace(found, calibrate=without_offset, has_offset=True, is_reflectance=True)
        return replace(found, mask=own_numbers.own_mask(sensor.resolution)) if self.is_masked else found

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        if self.has_scale and sensor.encoding.scale is None:
            raise ValueError("source.scale and source.offset make reflectance: set sensor.dtype to uint16")
        if self.boa_offset and (sensor.encoding.scale is None or not profile.has_offset):
            raise ValueError("source.boa_offset is asked of Sentinel-2's reflectance, of dtype uint16")
        if self.clouds and self.mask:
            raise ValueError("source.clouds is for images without a mask: give either mask or clouds")
        if self.clouds and (sensor.encoding.scale is None or not own_numbers.takes_classes(profile.mask)):
            raise ValueError(
                "source.clouds takes reflectance: set sensor.dtype to uint16, and leave sensor.profile out"
            )
        if self.mask is None:
            return
        if profile.mask is None:
            raise ValueError(f"source.mask: {profile.name} has no mask; leave sensor.profile out")
        if self.mask.is_own and not own_numbers.takes_classes(profile.mask):
            raise ValueError(
                f"source.mask: {profile.name} knows its own mask; leave out clear and below, or "
                f"sensor.profile"
            )

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        # What earlier versions did not know of is left out where it is not used: their scenes stay.
        new = ("scale", "offset", "mask", "boa_offset", "clouds")
        unused: dict[str, Any] = {name: True for name in new if getattr(self, name) is None}
        if self.mask and self.mask.below is None:
            unused["mask"] = {"below"}
        return [self.model_dump(mode="json", exclude=unused)]

    def announce(self, setting: Setting) -> None:
        if self.boa_offset or self.is_of_cubes or self.offset:
            return
        folder, files = setting.root / self.path, LocalSource(self, setting.root).images.files
        lifted = [file.name for file in files if product_baselines.words(folder, file.names).offset]
        if lifted:
            print(
                f"fetch: the numbers of {few(lifted, 1)} are 1000 too high, by their processing baseline "
                "(04.00 and later); source.boa_offset: ask takes it out (docs/sources.md)"
            )

    def open(self, setting: Setting) -> Source:
        if self.is_of_cubes:
            from pipeline.sources.local.cube_source import CubeSource

            return CubeSource(self, setting)
        return LocalSource(self, setting.root, setting)

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        # Its name alone: where a user keeps files is nobody's business.
        named = f"Images in {self.path.name}" if self.path.name else "Own images"
        return [Upstream(named, "images", "of whoever made the files", "Files of the user.")]


@lru_cache(maxsize=4)
def _looked_through(folder: Path, table: Path, options: str, *_read_at: int) -> Images:
    """The images of a folder; looked for again where the folder or the list has changed."""
    found = Options.model_validate_json(options)
    if found.dates is None:
        return Images(dated_files.by_pattern(folder, found.pattern or "", found.nodata))
    return Images(dated_files.by_list(folder, table, found.nodata))


class LocalSource:
    """See `pipeline.sources.protocol.Source`. Without a mask, pixels with data are clear."""

    parallel = cores.count()

    def __init__(self, options: Options, root: Path, setting: Setting | None = None) -> None:
        self.options = options
        self.mask = setting.profile.mask if setting and options.is_masked else None
        self.mask_band: str | None = self.mask.name if self.mask else None
        self.held = setting.sensor.encoding.held if setting else None
        self.is_picture = setting is not None and setting.sensor.encoding.is_picture
        self.profile = setting.profile if setting else None
        self.folder = root / options.path
        if not self.folder.is_dir():
            raise InputError(f"source.path: there is no folder {self.folder}.")
        if setting:
            own_numbers.check_bands(setting.sensor, options.bands)
        self.seen_by_clouds = cloud_model.bands_for(options.clouds, options.bands)
        self.dated_by = "file name" if options.dates is None else "list"
        table = root / options.dates if options.dates else self.folder
        read_at = [path.stat().st_mtime_ns for path in (self.folder, table) if path.exists()]
        if "/" in (options.pattern or ""):
            read_at.append(tree.changed_at(self.folder))
        self.images = _looked_through(self.folder, table, options.model_dump_json(), *read_at)

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        found = [self._scene(file) for file in self.images.near(area, start, end)]
        return sorted(found, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        if (file := self.images.by_name.get(href)) is not None:
            return self._scene(file)
        # Tables of earlier versions name a file without its folder.
        namesakes = [file for file in self.images.files if file.path.name == href]
        if len(namesakes) != 1:
            raise WorkError(f"{self.folder / href} is not there any more.")
        return replace(self._scene(namesakes[0]), id=namesakes[0].path.stem)

    def native(self, scene: Scene, band: str) -> GeoBox:
        return scene.grid_of(band)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if missing := [band for band in bands if band not in scene.assets]:
            raise InputError(f"source.bands does not say which band of the files is {missing[0]}.")
        if bands[0] == self.mask_band:
            if self.options.clouds:
                return cloud_model.classes_of(self, scene, grid, self.options.clouds, self.seen_by_clouds)
            return self._read_mask(scene, grid)[np.newaxis]
        pixels: dict[str, NDArray[Any]] = {}
        for href in dict.fromkeys(scene.assets[band].href for band in bands):
            own = [band for band in bands if scene.assets[band].href == href]
            found = self._read_file([scene.assets[band] for band in own], grid)
            pixels |= dict(zip(own, found, strict=True))
        return without_offset(np.stack([pixels[band] for band in bands]), scene.offset)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        return 0

    def _read_file(self, assets: Sequence[Asset], grid: GeoBox) -> NDArray[Any]:
        """Bands (band, y, x) of one file."""
        first, indexes = assets[0], [asset.index for asset in assets]
        if self.options.has_scale:
            numbers = raster.read_numbers(first.href, indexes, grid, Resampling.bilinear, first.nodata)
            return own_numbers.reflectance(numbers, first.href, *self.options.scaling)
        read = raster.read_picture if self.is_picture else raster.read_bands
        return read(first.href, indexes, grid, Resampling.bilinear, first.nodata)

    def _read_mask(self, scene: Scene, grid: GeoBox) -> NDArray[Any]:
        """The mask (y, x), as its profile decodes it."""
        rule, mask = self.options.mask, self.mask
        if rule is None or mask is None:
            raise WorkError(f"{scene.id} has no mask.")
        asset = scene.assets[mask.name]
        stored = _nearest(asset, grid)
        if not rule.is_own:
            return own_numbers.as_stored(stored, asset.href, mask)
        image = scene.assets[next(iter(self.options.bands))]
        return own_numbers.clear_or_not(stored, _nearest(image, grid), rule)

    def _scene(self, file: Listed) -> Scene:
        named = dict(self.options.bands)
        if self.options.mask and self.mask:
            named[self.mask.name] = self.options.mask.band
        time = datetime(file.day.year, file.day.month, file.day.day, 12, tzinfo=UTC)
        dated_by = self.dated_by if file.is_exact else f"{self.dated_by}, year only"
        scene = Scene(file.scene_id, time, {}, "local", href=file.name, dated_by=dated_by)
        if self.options.boa_offset and self.profile:
            said = product_baselines.words(self.folder, file.names)
            scene = product_baselines.of_words(scene, said, self.profile)
        # A number is a band of the file without a word.
        words = {band: value if isinstance(value, str) else "" for band, value in named.items()}
        if missing := [band for band, word in words.items() if word not in file.files]:
            return replace(scene, flaw=f"its date has no file with {missing[0]}")
        assets: dict[str, Asset] = {}
        for word in dict.fromkeys(words.values()):
            own = {band: named[band] for band in named if words[band] == word}
            numbers = {band: value if isinstance(value, int) else 1 for band, value in own.items()}
            assets |= self._assets(file.files[word], numbers, file.nodata)
        if self.options.clouds and self.mask_band:
            assets[self.mask_band] = next(iter(assets.values()))
        return replace(scene, assets=assets)

    def _assets(self, path: Path, numbers: dict[str, int], nodata: float | None) -> dict[str, Asset]:
        """Bands of one file by name."""
        with raster.opened(str(path)) as opened:
            if (highest := max(numbers.values())) > opened.count:
                raise InputError(f"source.bands: {path} has {opened.count} bands, not {highest}.")
            if opened.crs is None:
                raise InputError(f"{path} has no CRS: assign one, for example with gdal_edit.")
            grid = raster.grid_of(opened)
            for band, number in numbers.items():
                if band != self.mask_band:
                    own_numbers.check_type(
                        str(path), opened.dtypes[number - 1], self.held, self.options.has_scale
                    )
            # A mask's 0 may be what is clear, and be marked as nodata too.
            is_clear = self.options.mask and self.options.mask.takes(opened.nodata)
            of_mask = math.nan if is_clear else None
        return {
            band: Asset(str(path), grid, number, of_mask if band == self.mask_band else nodata)
            for band, number in numbers.items()
        }


def _nearest(asset: Asset, grid: GeoBox) -> NDArray[np.float32]:
    """The numbers (y, x) of one band of a file, NaN where there is no data."""
    (found,) = raster.read_numbers(asset.href, [asset.index], grid, Resampling.nearest, asset.nodata)
    return np.asarray(found)


_conforms: type[Source] = LocalSource
