"""The lines of the table for a catalogue: the checks every source has, and those of its kind of source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.doctor import offset_checks, stac_checks, usual_checks
from pipeline.doctor.known_catalogues import Catalogue
from pipeline.doctor.seen import Seen
from pipeline.doctor.visit import Visit
from pipeline.geo.raster import is_remote
from pipeline.sources.stac import paging, signing

FEW_S, SOME_S, MANY_S, COMPUTED_S = 20.0, 40.0, 120.0, 330.0
"""Time limits in seconds: for a few requests, for about 40, for many, and for a large computation."""


@dataclass(frozen=True)
class Line:
    """A check, what it should see, and its time limit. `costly` says what it takes, in words; such a check is
    run only with --all."""

    check: str
    expected: str
    look: Callable[[Visit], Seen]
    costly: str = ""
    seconds: float = FEW_S


def of(visit: Visit) -> list[Line]:
    """Return the lines for a visit, in the order in which they are run."""
    lines = {"stac": _stac, "earthengine": _earth_engine}.get(visit.options.name, _other)
    return list(lines(visit))


def _stac(visit: Visit) -> Iterator[Line]:
    options, catalogue = stac_checks.options_of(visit), visit.catalogue
    service = signing.service_of(options)
    yield Line("reach", "a STAC landing page", stac_checks.reach)
    if is_remote(options.href):
        yield Line("conforms", "a search, named in conformsTo", stac_checks.conforms)
    yield from _search_lines(visit)
    if is_remote(options.href):
        yield Line("page of 100", "100 items", stac_checks.page_of(paging.PAGE))
        yield Line("page of 250", "250 items or fewer, or HTTP 413, 500, 502, 504", stac_checks.page_of(250))
    expected = "a token" if service else "the credentials that the addresses need are set"
    yield Line("sign-in", expected, stac_checks.sign_in)
    yield from _pixel_lines(visit)
    yield from _offset_lines(visit)
    if catalogue.water:
        yield Line("dark water", "no pixel of water is 0", stac_checks.dark_water)
    if catalogue.crowded:
        expected = f"scenes, in pages of {paging.PAGE}"
        yield Line("a year of four tiles", expected, stac_checks.whole_year, "about 6 large answers", MANY_S)
    if service and catalogue.places:
        count = len(catalogue.places)
        yield Line(
            f"{count} places", "all are read, 1 token request in all, no 429", stac_checks.many_places,
            f"about {4 * count} requests", MANY_S,
        )  # fmt: skip
    tokens = ", 1 token request per collection" if service else ""
    yield Line("limits", f"no 429, no 403{tokens}", lambda visit: usual_checks.limits(visit, service))


def _search_lines(visit: Visit) -> Iterator[Line]:
    level = f", level {visit.setting.profile.level}" if visit.setting.profile.level else ""
    yield Line("search", "1 scene or more", usual_checks.search)
    yield Line("item", f"each band and the mask with its grid{level}", usual_checks.form)


def _pixel_lines(visit: Visit) -> Iterator[Line]:
    if visit.setting.profile.mask:
        yield Line("mask", "known classes, at least half with data", usual_checks.mask)
    yield Line("band", "plausible numbers", usual_checks.band)


def _offset_lines(visit: Visit) -> Iterator[Line]:
    """Yield the checks of the offset, which only Sentinel-2 has."""
    catalogue = visit.catalogue
    if not visit.setting.profile.has_offset:
        return
    if known := catalogue.known:
        expected = f"{known.id} and its neighbours say {known.words}"
        yield Line("offset, by words", expected, offset_checks.known_words)
    else:
        yield Line("offset, by words", _expected_words(catalogue), offset_checks.words)
    if catalogue.before:
        expected = f"{known.pixels} ({known.report})" if known else "what the words say"
        yield Line("offset, by numbers", expected, offset_checks.pixels, seconds=SOME_S)


def _expected_words(catalogue: Catalogue) -> str:
    return "metadata that state it" if catalogue.offset is None else f"{catalogue.offset}, beyond doubt"


def _earth_engine(visit: Visit) -> Iterator[Line]:
    # The client takes a second to import.
    from pipeline.doctor import earthengine_checks as checks

    options, questions = checks.options_of(visit), visit.catalogue.engine
    yield Line("reach", "the service's description", checks.reach)
    yield Line("sign-in", "credentials and a project that are accepted", checks.sign_in)
    yield from _search_lines(visit)
    yield Line("listImages", "geometry Polygon or LinearRing; endTime, id and crsCode of all", checks.listing)
    yield from _pixel_lines(visit)
    if options.is_embedding:
        yield Line("scaleY", "-10 or 10; both are read correctly", checks.rows_run)
        yield Line("copied pixel", "equals ee.Image.sample at its centre", checks.sampled)
    elif options.is_sentinel2:
        yield from _offset_lines(visit)
    if options.is_sentinel2 and questions:
        yield Line("Cloud Score+ names", "each image of Level-1C has one", checks.score_names)
        if options.cloud == "cloud_score_plus":
            yield Line("Cloud Score+ type", "float32 or float64, 0 to 1", checks.score_dtype)
        yield Line("median of nothing", "no image is listed; the median is refused: no bands", checks.nothing)
        yield Line(
            "large median", f"first byte within {checks.PATIENT_S:.0f} s", checks.composite,
            "minutes of Earth Engine's computing", COMPUTED_S,
        )  # fmt: skip
    yield Line("EECU", "EECU-hours that the requests used", checks.computing)
    yield Line("limits", "no 429, no 403", usual_checks.limits)


def _other(visit: Visit) -> Iterator[Line]:
    yield from _search_lines(visit)
    yield from _pixel_lines(visit)
    yield Line("limits", "no 429, no 403", usual_checks.limits)
