"""Synthetic images at a metre or so: red, green and blue, 8 bit, cloudless, some metres misplaced.

They look like what people export by hand from a viewer: each date has its own light, contrast and season,
and lies a metre or two beside the others.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench.files import replacing
from minebench.periods import Period
from pipeline.geo import cog
from pipeline.sites.site import Site
from pipeline.sources.synthetic import Options
from pipeline.synthetic import ground, growth, noise, overpass, spectra
from pipeline.synthetic.ground import Land, SurfaceMap
from pipeline.synthetic.growth import Mine

SHOWN = tuple(spectra.BANDS.index(band) for band in ("B04", "B03", "B02"))
MARGIN_PX = 16
WHITE = 0.38
"""Reflectance that an image of mean light shows as full white."""


def grid_of(site: Site) -> GeoBox:
    """The site's grid with a margin."""
    return site.grid.pad(MARGIN_PX)


def write_images(
    folder: Path, site: Site, source: Options, mines: list[Mine], windows: list[tuple[Period, date, date]]
) -> list[tuple[float, int | str]]:
    """Write a site's images of all periods; returns the times of their mines, dated to the day."""
    area, seed = grid_of(site), source.seed
    days = sorted({day for window in windows for day in days_of(site, source, window)})
    times = [(overpass.moment(day, monthly=True), day) for day in days]
    place = ground.land(area, seed)
    latitude = site.place[1]
    grown = [(m, growth.states(m, area, sorted({when for when, _ in times}))) for m in mines]
    for when, day in times:
        now = [(m, states[when]) for m, states in grown]
        codes = ground.surfaces(place, day.year, day.timetuple().tm_yday, latitude, now)
        image = picture(codes, place, day, latitude, crc32(f"{seed}/{site.site_id}/{day}".encode()))
        cog.write(folder / f"{site.site_id}_{day:%Y%m%d}.tif", image, area, 0)
    return [(when, day.isoformat()) for when, day in times]


def days_of(site: Site, source: Options, window: tuple[Period, date, date]) -> list[date]:
    """The days of a period's images: spread over its search window."""
    _, first, last = window
    count, span = source.scenes_per_period, (last - first).days
    place = [crc32(f"{site.site_id}/{first}/{k}".encode()) for k in range(count)]
    parts = [k + 0.3 + 0.4 * float(noise.uniform(place[k], source.seed)) for k in range(count)]
    return [first + timedelta(days=int(span * part / count)) for part in parts]


def picture(codes: SurfaceMap, place: Land, day: date, latitude: float, seed: int) -> NDArray[np.uint8]:
    """An image (3, y, x) of the day's surfaces, 1 to 255."""
    rng = np.random.default_rng(seed)
    light = spectra.table(day.timetuple().tm_yday, latitude)
    fine = noise.white(place.window, 2.5, place.seed + 95) - np.float32(0.5)
    texture = 1 + np.float32(0.35) * place.texture + np.float32(0.25) * fine
    resolution = float(place.window.x[1] - place.window.x[0])
    shift = np.clip(rng.normal(0, 1.0, 2), -2, 2) / resolution
    gain, gamma = rng.uniform(0.85, 1.15), rng.uniform(1.5, 1.9)
    shown = np.empty((len(SHOWN), *codes.shape), np.uint8)
    for k, band in enumerate(SHOWN):
        moved = _moved(light[codes, band] * texture, shift)
        noisy = moved * gain + rng.standard_normal(codes.shape, np.float32) * np.float32(0.004)
        shown[k] = np.clip(np.clip(noisy / WHITE, 0, 1) ** (1 / gamma) * 255, 1, 255).astype(np.uint8)
    return shown


def _moved(image: NDArray[np.float32], shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Content moved by (down, right) pixels, linearly; edges repeat."""
    for axis, value in enumerate(shift):
        whole = int(np.floor(value))
        part = np.float32(value - whole)
        image = np.roll(image, whole, axis) * (1 - part) + np.roll(image, whole + 1, axis) * part
    return image


def write_list(archive: Path, site_ids: list[str]) -> None:
    """dates.csv: every image of the sites, as a user would list exported files."""
    rows = [
        (path.relative_to(archive).as_posix(), datetime.strptime(path.stem[-8:], "%Y%m%d").date().isoformat())
        for site_id in site_ids
        for path in sorted((archive / site_id).glob("*.tif"))
    ]
    with replacing(archive / "dates.csv") as temporary:
        pd.DataFrame(rows, columns=["file", "date"]).to_csv(temporary, index=False)
