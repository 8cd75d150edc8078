"""Checks of Earth Engine: what its answers hold, and what it computes."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, cast

import ee
import numpy as np
from odc.geo.geobox import GeoBox

from pipeline.core import embedding, signed, web
from pipeline.core.errors import WorkError
from pipeline.doctor.known_catalogues import EngineQuestions
from pipeline.doctor.seen import NotChecked, Seen, Verdict, judged
from pipeline.doctor.visit import Visit
from pipeline.geo import grid as grids
from pipeline.sources.earthengine import Options, login, server
from pipeline.sources.earthengine import pixels as engine_pixels
from pipeline.sources.earthengine.images import CLOUD_SCORE_PLUS, EarthEngineSource, index_of

READ_AS = frozenset({"Polygon", "LinearRing"})
"""Types of footprints that the source was tested with."""
SMALL_PX = 8
PATIENT_S = 60.0
"""Seconds until the first byte that any request is waited for."""
CONSOLE = "Cloud console, Metrics Explorer, Earth Engine, 'Used EECU-seconds'"


def options_of(visit: Visit) -> Options:
    """Return the options of an Earth Engine source."""
    return cast(Options, visit.options)


def source_of(visit: Visit) -> EarthEngineSource:
    """Return the open Earth Engine source."""
    return cast(EarthEngineSource, visit.source)


def reach(visit: Visit) -> Seen:
    """Read the description of the service, which needs no account."""
    url = options_of(visit).url.rstrip("/")
    page = web.get_json(f"{url}/$discovery/rest?version=v1")
    return judged(f"{page.get('title')}, {page.get('version')}", "resources" in page)


def sign_in(visit: Visit) -> Seen:
    """Sign in, and tell with what."""
    assert visit.source
    return Seen(login.told(options_of(visit)))


def listing(visit: Visit) -> Seen:
    """Look at images as listImages describes them."""
    options, ask = options_of(visit), visit.catalogue.ask
    # An image of a whole year ends as the next begins.
    end = ask.end + timedelta(days=1)
    images = list(source_of(visit).listed(options.collection, visit.area, ask.start, end))
    if not images:
        return judged("0 images", False)
    types = Counter(str((image.get("geometry") or {}).get("type")) for image in images)
    lacks = {key: sum(not image.get(key) for image in images) for key in ("endTime", "id")}
    lacks["crsCode"] = sum(not _has_codes(image) for image in images)
    parts = [f"{len(images)} images", f"geometry {', '.join(types)}"]
    parts += [f"{key} of {len(images) - count}" for key, count in lacks.items()]
    return judged(", ".join(parts), not any(lacks.values()) and set(types) <= READ_AS)


def _has_codes(image: dict[str, Any]) -> bool:
    bands = image.get("bands") or []
    return bool(bands) and all(band.get("grid", {}).get("crsCode") for band in bands)


def score_names(visit: Visit) -> Seen:
    """Compare the names of images with those of their Cloud Score+, year by year."""
    parts, is_whole = [], True
    for year in _questions(visit).score_years:
        summer = date(year, 6, 1), date(year, 9, 1)
        images, scores = (
            {index_of(image) for image in source_of(visit).listed(collection, visit.area, *summer)}
            for collection in (Options.level_1c, CLOUD_SCORE_PLUS)
        )
        parts.append(f"{year}: {len(images & scores)} of {len(images)} images have one")
        is_whole &= bool(images) and images <= scores
    return judged(", ".join(parts), is_whole)


def score_dtype(visit: Visit) -> Seen:
    """Read a few scores."""
    asset = visit.look.scene.assets["SCL"]
    if asset.grid is None:
        raise NotChecked("the image of scores has no grid")
    area = visit.window(visit.look.scene)[:SMALL_PX, :SMALL_PX]
    found = engine_pixels.get(asset.href, asset.crs_code, area, ["cs_cdf"], 4)
    text = f"{found.dtype}, {found.min():.2f} to {found.max():.2f}"
    return judged(text, found.dtype.kind == "f" and 0 <= found.min() <= found.max() <= 1)


def nothing(visit: Visit) -> Seen:
    """Ask for the median of a period without images, which the source never does by itself."""
    start, end = _questions(visit).nothing
    composites = visit.opened(composite="server")
    if composites.search(visit.area, start, end):
        return judged(f"images are listed from {start} to {end}", False)
    scene = server.search(options_of(visit), visit.area, start, end)[0]
    try:
        found = composites.read(scene, visit.bands[:1], visit.look.grid[:SMALL_PX, :SMALL_PX])
    except WorkError as error:
        return judged(f"nothing is listed; if asked for all the same: {error}", "no bands" in str(error))
    return judged(f"nothing is listed; if asked for all the same: pixels up to {found.max()}", False)


def composite(visit: Visit) -> Seen:
    """Ask for a large median, and measure when its answers begin."""
    asked = _questions(visit)
    composites = visit.opened(composite="server")
    scene = next(iter(composites.search(visit.area, *asked.composite)), None)
    if scene is None:
        raise NotChecked(f"there are no images from {asked.composite[0]} to {asked.composite[1]}")
    begun = len(visit.sightings)
    area = _square(visit.look.grid, round(asked.composite_km * 100))
    found = composites.read(scene, asked.composite_bands, area)
    waits = [one.seconds for one in visit.sightings[begun:] if one.url.endswith(":computePixels")]
    text = f"{len(waits)} requests, first byte after {max(waits):.1f} s at most"
    text += f", {np.mean(found > 0):.0%} of {found.size:,} numbers"
    return judged(text, max(waits) <= PATIENT_S and bool(found.any()))


def _square(window: GeoBox, side: int) -> GeoBox:
    """A square of so many pixels of 10 m about a window's middle."""
    left, bottom, right, top = window.boundingbox.bbox
    x, y = ((low + high) / 2 for low, high in ((left, right), (bottom, top)))
    left, top = round(x / 10 - side / 2) * 10, round(y / 10 + side / 2) * 10
    return grids.geobox(grids.epsg_of(window), left, top, side, side, 10)


def rows_run(visit: Visit) -> Seen:
    """Tell whether an embedding's rows run from north to south."""
    step = visit.source.native(visit.scene, visit.bands[0]).affine.e
    way = "north to south" if step < 0 else "south to north"
    return judged(f"{visit.scene.id}: scaleY {step:g}, rows run from {way}", abs(step) == 10)


def sampled(visit: Visit) -> Seen:
    """Compare a copied pixel with what the client samples at its centre."""
    scene, window = visit.look.scene, visit.look.grid
    pixel = window[window.height // 2 : window.height // 2 + 1, window.width // 2 : window.width // 2 + 1]
    copied = signed.stored(visit.source.read(scene, visit.bands, pixel), "int8").ravel()
    if (copied == -signed.ZERO).any():
        raise NotChecked(f"{scene.id}: the pixel has no data")
    lon, lat = pixel.extent.to_crs("EPSG:4326").geom.centroid.coords[0]
    image = ee.Image(scene.href).select(list(visit.bands))
    asked = image.sample(ee.Geometry.Point([lon, lat]), abs(pixel.resolution.x)).first().toDictionary()
    found = login.calling(asked.getInfo, scene.href)
    values = embedding.coded(np.array([found[band] for band in visit.bands]))
    text = f"{scene.id}: copied {copied.tolist()}, sampled {values.tolist()}"
    return judged(text, bool((copied == values).all()))


def computing(visit: Visit) -> Seen:
    """Tell what the service says of the computing that it counted."""
    names = {name for one in list(visit.sightings) for name in one.headers if "eecu" in name.lower()}
    if not names:
        return Seen(f"no answer tells it: only the {CONSOLE} shows it", Verdict.NOT_CHECKED)
    return Seen(f"headers {', '.join(sorted(names))}")


def _questions(visit: Visit) -> EngineQuestions:
    return visit.catalogue.engine or EngineQuestions()
