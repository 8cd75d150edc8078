"""Which satellite passes see a site, and what each granule of a pass would have recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import correlate1d

from minebench.periods import Period
from pipeline.geo.grid import epsg_of
from pipeline.sensors.boa_offset import BOA_OFFSET
from pipeline.synthetic import ground, noise, spectra
from pipeline.synthetic.ground import Land
from pipeline.synthetic.growth import Mine, MineState
from pipeline.synthetic.noise import FloatImage, Window
from pipeline.synthetic.weather import Sun, Weather, sun, weather

OFFSET_SINCE = date(2022, 1, 25)
"""Processing baseline 04.00 and its offset of 1000 begin here."""
HALO = 4
"""Pixels rendered beyond the granule, so that shifting and blurring bring in no edge."""
TRUTH = {"clear": 0, "cloud": 1, "shadow": 2, "cirrus": 3, "snow": 4, "nodata": 255}
ByteImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Granule:
    """One granule of one pass. `offset` is in the digital numbers; `offset_removed` says that the
    provider has already undone it, as Earth Search does. `shift_m` is the true misregistration,
    metres east and north."""

    id: str
    time: datetime
    platform: str
    orbit: int
    grid: GeoBox
    latitude: float
    seed: int
    pass_seed: int
    baseline: str
    offset: int
    offset_removed: bool
    shift_m: tuple[float, float]
    edge: float | None
    """Share of the granule's width, from the west, that the swath misses."""
    monthly: bool = False
    """Whether mines grow from month to month; else they stand still within a year."""

    @property
    def day_of_year(self) -> int:
        return self.time.timetuple().tm_yday

    @property
    def when(self) -> float:
        """The time of the mines' state, in years."""
        return moment(self.time, self.monthly)

    @property
    def sun(self) -> Sun:
        return sun(self.day_of_year, self.latitude)


@dataclass(frozen=True)
class Picture:
    """A granule's digital numbers by band (nodata 0), its scene classes and the true mask, the
    last two at 20 m, and metadata cloud cover in per cent."""

    bands: Mapping[str, NDArray[np.uint16]]
    scl: ByteImage
    truth: ByteImage
    cloud_cover: float


def moment(day: date, monthly: bool) -> float:
    """A day as a year, or as the beginning of its month in years."""
    return day.year + (day.month - 1) / 12 if monthly else float(day.year)


def granules(
    grid: GeoBox,
    place: tuple[float, float],
    windows: list[tuple[Period, date, date]],
    per_period: int,
    seed: int,
) -> Iterator[Granule]:
    """All granules of all passes over `grid`, whose centre is `place` (lon, lat)."""
    lon, lat = place
    zone = epsg_of(grid)
    orbit = int((lon + 180) // 2.3) % 143 + 1
    for period, first, last in windows:
        for k in range(per_period):
            name = crc32(f"{period.label}/{k}".encode())
            chance = [float(noise.uniform(seed, zone, orbit, name, i)) for i in range(4)]
            day = first + timedelta(days=int((last - first).days * (k + chance[0] * 0.8) / per_period))
            time = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=10.5 - lon / 15)
            edge = 0.15 + 0.5 * chance[1] if chance[2] < 0.18 else None
            monthly = len(period.label) != 4
            yield from _of_pass(grid, lat, time, orbit, edge, seed, monthly)
            if abs(lat) > 50 and chance[3] < 0.3:
                later = time + timedelta(minutes=49)
                yield from _of_pass(grid, lat, later, orbit % 143 + 1, 0.4 * chance[1], seed, monthly)


def _of_pass(
    grid: GeoBox, lat: float, time: datetime, orbit: int, edge: float | None, seed: int, monthly: bool
) -> Iterator[Granule]:
    zone = epsg_of(grid)
    pass_seed = int(noise.mix(seed, zone, orbit, time.toordinal()) & np.uint64(0x7FFFFFFF))
    draw = [float(noise.uniform(pass_seed, 900 + i)) for i in range(5)]
    baseline, offset, removed = _processing(time.date(), draw[2])
    # Sum of two uniforms, so that most dates lie within a quarter of a pixel.
    shift = (
        round(10 * 0.45 * (draw[0] + draw[1] - 1), 2),
        round(10 * 0.45 * (draw[3] + draw[4] - 1), 2),
    )
    platform = "sentinel-2a" if time.toordinal() % 10 < 5 else "sentinel-2b"
    for tile in _tiles(grid):
        corner = tile.transform
        code = f"{zone % 100:02d}{'N' if zone < 32700 else 'S'}{corner.c / 100:05.0f}{corner.f / 100:06.0f}"
        name = f"S2{platform[-1].upper()}_{code}_{time:%Y%m%d}_{orbit:03d}_L2A"
        yield Granule(
            name,
            time,
            platform,
            orbit,
            tile,
            lat,
            seed,
            pass_seed,
            baseline,
            offset,
            removed,
            shift,
            edge,
            monthly,
        )


def _processing(day: date, draw: float) -> tuple[str, int, bool]:
    """Baseline, offset in the numbers, and whether the provider took it out again."""
    if day < OFFSET_SINCE:
        # Some early scenes are reprocessed and carry the offset before its official date.
        return ("05.00", BOA_OFFSET, False) if draw < 0.2 else ("02.14", 0, False)
    return ("05.09", 0, True) if draw < 0.4 else ("05.09", BOA_OFFSET, False)


def _tiles(grid: GeoBox) -> list[GeoBox]:
    """One granule, or two overlapping ones where the tiling's seam runs through the site."""
    seam = float(noise.uniform(epsg_of(grid), round(grid.transform.c), round(grid.transform.f), 5))
    if seam > 0.4:
        return [grid]
    middle = round(grid.width * (0.35 + 0.75 * seam) / 2) * 2
    overlap = round(grid.width * 0.1 / 2) * 2
    return [grid[:, : middle + overlap], grid[:, middle - overlap :]]


def picture(
    granule: Granule, place: Land, mines: list[tuple[Mine, dict[float, MineState]]], codes_cache: dict
) -> Picture:
    """Render a granule. `place` and the mine states lie on `granule.grid.pad(HALO)`."""
    year, day = granule.time.year, granule.day_of_year
    key = (year, day)
    if key not in codes_cache:
        codes_cache.clear()
        now = [(mine, states[granule.when]) for mine, states in mines]
        codes_cache[key] = ground.surfaces(place, year, day, granule.latitude, now)
    codes = codes_cache[key]
    window = Window.of(granule.grid)
    sky = weather(window, granule.pass_seed, day, granule.latitude, granule.sun)
    seen = _swath(granule)
    rng = np.random.default_rng([granule.pass_seed, crc32(granule.id.encode())])
    lookup = spectra.table(day, granule.latitude)
    bands = {}
    for index, band in enumerate(spectra.BANDS):
        light = _through(_sharpness(lookup[codes, index], place, granule), index, sky)
        if band not in spectra.FINE_BANDS:
            light = _halved(light)
        bands[band] = _digitised(light, granule, rng, seen if band in spectra.FINE_BANDS else seen[::2, ::2])
    truth = _truth(sky, seen[::2, ::2])
    scl = _classified(sky, seen[::2, ::2], codes, rng)
    cover = float(np.isin(scl, (8, 9, 10)).sum() / max(1, (scl > 0).sum()) * 100)
    return Picture(bands, scl, truth, round(cover, 2))


def _sharpness(surface: FloatImage, place: Land, granule: Granule) -> FloatImage:
    """Surface reflectance with texture, optics' blur and the sub-pixel shift; halo cut off."""
    textured = surface * (1 + 0.35 * place.texture)
    east, north = (metres / granule.grid.resolution.x for metres in granule.shift_m)
    blurred = correlate1d(correlate1d(textured, _kernel(-north), axis=0), _kernel(east), axis=1)
    return blurred[HALO:-HALO, HALO:-HALO]


def _kernel(shift: float) -> NDArray[np.float64]:
    """Five weights that blur by a point spread and move content by `shift` pixels, |shift| < 1."""
    blur = np.array([0.16, 0.68, 0.16])
    move = np.array([max(0.0, shift), 1 - abs(shift), max(0.0, -shift)])
    return np.convolve(blur, move)


def _through(light: FloatImage, band: int, sky: Weather) -> FloatImage:
    """Surface reflectance seen through snow, shadow, cirrus, haze and cloud."""
    snow = spectra.SURFACES["snow"][band] / 1000
    light = light * (1 - 0.9 * sky.snow) + 0.9 * sky.snow * np.float32(snow)
    light = light * (1 - (0.72 - 0.03 * band) * sky.shadow)
    light = light * (1 - 0.3 * sky.cirrus) + 0.09 * sky.cirrus
    light = light * (1 - 0.1 * sky.haze) + np.float32(sky.haze) * spectra.HAZE[band]
    return light * (1 - sky.cloud) + sky.cloud * spectra.CLOUD[band]


def _digitised(
    light: FloatImage, granule: Granule, rng: np.random.Generator, seen: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Digital numbers with sensor noise; the sun's angle leaves a few per cent, as in L2A."""
    gain = 1 + 0.05 * (granule.pass_seed % 1000 / 1000 - 0.5) - 0.0006 * (granule.sun.zenith - 40)
    noisy = light * np.float32(gain) + rng.standard_normal(light.shape, np.float32) * (0.0012 + 0.008 * light)
    numbers = np.clip(np.rint(noisy * 10000) + granule.offset, 1, 65535).astype(np.uint16)
    numbers[~seen] = 0
    return numbers


def _swath(granule: Granule) -> NDArray[np.bool_]:
    """Where the pass has data: its edge runs down the granule aslant. On the 20 m raster."""
    height, width = granule.grid.shape
    if granule.edge is None:
        return np.ones((height, width), bool)
    row, column = np.arange(height // 2)[:, None], np.arange(width // 2)[None, :]
    coarse = column + 0.2 * row > granule.edge * width / 2
    return coarse.repeat(2, 0).repeat(2, 1)


def _truth(sky: Weather, seen: NDArray[np.bool_]) -> ByteImage:
    mask = np.zeros(seen.shape, np.uint8)
    mask[_halved(sky.snow) > 0.3] = TRUTH["snow"]
    mask[_halved(sky.cirrus) > 0.15] = TRUTH["cirrus"]
    mask[_halved(sky.shadow) > 0.1] = TRUTH["shadow"]
    mask[_halved(sky.cloud) > 0.05] = TRUTH["cloud"]
    mask[~seen] = TRUTH["nodata"]
    return mask


def _classified(
    sky: Weather, seen: NDArray[np.bool_], codes: NDArray[np.uint8], rng: np.random.Generator
) -> ByteImage:
    """Scene classes as Sen2Cor would give them, with its habits: thin edges are missed, bright
    tailings and roofs are now and then taken for cloud."""
    surface = codes[HALO:-HALO, HALO:-HALO][::2, ::2]
    code = spectra.CODE
    bare = [code[name] for name in ("stubble", "soil", "clearcut", "village", *spectra.MINE)]
    scl = np.where(np.isin(surface, bare), 5, 4).astype(np.uint8)
    scl[np.isin(surface, [code["river"], code["pond"]])] = 6
    bright = np.isin(surface, [code["tailings"], code["plant"]])
    scl[bright & (rng.random(scl.shape, np.float32) < 0.04)] = 8
    scl[_halved(sky.snow) > 0.5] = 11
    scl[_halved(sky.cirrus) > 0.25] = 10
    scl[_halved(sky.shadow) > 0.35] = 3
    cloud = _halved(sky.cloud)
    scl[cloud > 0.2] = 8
    scl[cloud > 0.55] = 9
    scl[~seen] = 0
    return scl


def _halved(image: FloatImage) -> FloatImage:
    """Mean of each 2x2 block: 10 m to 20 m."""
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) * np.float32(0.25)
