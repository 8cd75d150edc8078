"""Checks of Earth Engine: which fields its answers have, and what it computes."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, cast

import ee
import numpy as np
from odc.geo.geobox import GeoBox

from minebench.cube import encoding
from minebench.errors import WorkError
from pipeline.doctor.known_catalogues import EngineQuestions
from pipeline.doctor.seen import NotChecked, Seen, Verdict, judged
from pipeline.doctor.visit import Visit
from pipeline.geo import grid as grids
from pipeline.sources.earthengine import Options, login, server
from pipeline.sources.earthengine import pixels as engine_pixels
from pipeline.sources.earthengine.images import CLOUD_SCORE_PLUS, EarthEngineSource, index_of
from pipeline.web import client

READ_AS = frozenset({"Polygon", "LinearRing"})
"""Geometry types of image footprints that the source was tested with."""
SMALL_PX = 8
"""Side of the smallest windows that are read, pixels."""
PATIENT_S = 60.0
"""Longest acceptable wait for the first byte of an answer, seconds."""
CONSOLE = "Cloud console, Metrics Explorer, Earth Engine, 'Used EECU-seconds'"


def options_of(visit: Visit) -> Options:
    """Return the options of an Earth Engine source."""
    return cast(Options, visit.options)


def source_of(visit: Visit) -> EarthEngineSource:
    """Return the open Earth Engine source."""
    return cast(EarthEngineSource, visit.source)


def reach(visit: Visit) -> Seen:
    """Read the discovery document of the service, which needs no account."""
    url = options_of(visit).url.rstrip("/")
    page = client.get_json(f"{url}/$discovery/rest?version=v1")
    return judged(f"{page.get('title')}, {page.get('version')}", "resources" in page)


def sign_in(visit: Visit) -> Seen:
    """Sign in, and report which credentials and project were used."""
    assert visit.source
    return Seen(login.told(options_of(visit)))


def listing(visit: Visit) -> Seen:
    """Check that listImages gives the fields that the source needs, and footprints of known types."""
    options, ask = options_of(visit), visit.catalogue.ask
    # The image of a whole year ends where the next one begins.
    end = ask.end + timedelta(days=1)
    images = list(source_of(visit).listed(options.collection, visit.area, ask.start, end))
    if not images:
        return judged("0 images", False)
    types = Counter(str((image.get("geometry") or {}).get("type")) for image in images)
    missing = {key: sum(not image.get(key) for image in images) for key in ("endTime", "id")}
    missing["crsCode"] = sum(not _has_crs(image) for image in images)
    parts = [f"{len(images)} images", f"geometry {', '.join(types)}"]
    parts += [f"{key} of {len(images) - count}" for key, count in missing.items()]
    return judged(", ".join(parts), not any(missing.values()) and set(types) <= READ_AS)


def _has_crs(image: dict[str, Any]) -> bool:
    """Return whether all bands of an image as listImages gives it have a CRS."""
    bands = image.get("bands") or []
    return bool(bands) and all(band.get("grid", {}).get("crsCode") for band in bands)


def score_names(visit: Visit) -> Seen:
    """Check, year by year, that each Sentinel-2 image has a Cloud Score+ image of the same name."""
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
    """Read a few scores of Cloud Score+: their dtype and range."""
    asset = visit.look.scene.assets["SCL"]
    if asset.grid is None:
        raise NotChecked("the image of scores has no grid")
    area = visit.window(visit.look.scene)[:SMALL_PX, :SMALL_PX]
    scores = engine_pixels.get(asset.href, asset.crs_code, area, ["cs_cdf"], 4)
    text = f"{scores.dtype}, {scores.min():.2f} to {scores.max():.2f}"
    return judged(text, scores.dtype.kind == "f" and 0 <= scores.min() <= scores.max() <= 1)


def nothing(visit: Visit) -> Seen:
    """Ask for the median of a period without images. A fetch never does: it lists images first."""
    start, end = _questions(visit).nothing
    composites = visit.source_with(composite="server")
    if composites.search(visit.area, start, end):
        return judged(f"images are listed from {start} to {end}", False)
    scene = server.search(options_of(visit), visit.area, start, end)[0]
    try:
        pixels = composites.read(scene, visit.bands[:1], visit.look.grid[:SMALL_PX, :SMALL_PX])
    except WorkError as error:
        return judged(f"no image is listed; a median asked for anyway: {error}", "no bands" in str(error))
    return judged(f"no image is listed; a median asked for anyway: pixels up to {pixels.max()}", False)


def composite(visit: Visit) -> Seen:
    """Ask for a large median, and measure the time to the first byte of each answer."""
    questions = _questions(visit)
    composites = visit.source_with(composite="server")
    scene = next(iter(composites.search(visit.area, *questions.composite)), None)
    if scene is None:
        raise NotChecked(f"there are no images from {questions.composite[0]} to {questions.composite[1]}")
    answers_before = len(visit.sightings)
    area = _square(visit.look.grid, round(questions.composite_km * 100))
    pixels = composites.read(scene, questions.composite_bands, area)
    waits = [one.seconds for one in visit.sightings[answers_before:] if one.url.endswith(":computePixels")]
    if not waits:
        return judged("no request for pixels was answered", False)
    text = f"{len(waits)} requests, first byte after {max(waits):.1f} s at most"
    text += f", {np.mean(pixels > 0):.0%} of {pixels.size:,} pixel values are above 0"
    return judged(text, max(waits) <= PATIENT_S and bool(pixels.any()))


def _square(window: GeoBox, side: int) -> GeoBox:
    """Return a square of `side` pixels of 10 m around a window's centre and on multiples of 10 m."""
    left, bottom, right, top = window.boundingbox.bbox
    x, y = ((low + high) / 2 for low, high in ((left, right), (bottom, top)))
    left, top = round(x / 10 - side / 2) * 10, round(y / 10 + side / 2) * 10
    return grids.geobox(grids.epsg_of(window), left, top, side, side, 10)


def rows_run(visit: Visit) -> Seen:
    """Report whether the rows of an embedding image run from north to south."""
    step = visit.source.native(visit.scene, visit.bands[0]).affine.e
    direction = "north to south" if step < 0 else "south to north"
    return judged(f"{visit.scene.id}: scaleY {step:g}, rows run from {direction}", abs(step) == 10)


def sampled(visit: Visit) -> Seen:
    """Compare a copied pixel with the values that ee.Image.sample gives at its centre."""
    scene, window = visit.look.scene, visit.look.grid
    pixel = window[window.height // 2 : window.height // 2 + 1, window.width // 2 : window.width // 2 + 1]
    copied = encoding.stored(visit.source.read(scene, visit.bands, pixel), "int8").ravel()
    if (copied == -encoding.ZERO).any():
        raise NotChecked(f"{scene.id}: the pixel has no data")
    lon, lat = pixel.extent.to_crs("EPSG:4326").geom.centroid.coords[0]
    image = ee.Image(scene.href).select(list(visit.bands))
    sample = image.sample(ee.Geometry.Point([lon, lat]), abs(pixel.resolution.x)).first().toDictionary()
    components = login.calling(sample.getInfo, scene.href)
    values = encoding.coded(np.array([components[band] for band in visit.bands]))
    text = f"{scene.id}: copied {copied.tolist()}, sampled {values.tolist()}"
    return judged(text, bool((copied == values).all()))


def computing(visit: Visit) -> Seen:
    """Report the headers in which the service states the computing (EECU) that it charged."""
    names = {name for one in list(visit.sightings) for name in one.headers if "eecu" in name.lower()}
    if not names:
        return Seen(f"no answer states it; see {CONSOLE}", Verdict.NOT_CHECKED)
    return Seen(f"headers {', '.join(sorted(names))}")


def _questions(visit: Visit) -> EngineQuestions:
    return visit.catalogue.engine or EngineQuestions()
