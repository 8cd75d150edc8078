"""Checks that every source has: search, an item's assets, one mask, one band, refusals met on the way."""

import re
from collections.abc import Sequence

import numpy as np

from minebench.text import counted
from pipeline.core import eight_bits
from pipeline.doctor.seen import NotChecked, Seen, judged
from pipeline.doctor.visit import LEAST_DATA, Visit, shares
from pipeline.scenes import radiometry
from pipeline.sensors import classes
from pipeline.sources.protocol import Scene

OF_AN_ADDRESS = "the address of "
"""Start of `Scene.flaw` where an address cannot be used (keys, hosts) and the item itself is sound."""
RATES = re.compile(r"retry-after|rate-?limit|throttl|quota", re.IGNORECASE)
"""Names of headers that state rate limits."""
LONGEST_VALUE = 40
"""Characters of a header's value that are kept."""


def search(visit: Visit) -> Seen:
    """Search the place and dates."""
    ask = visit.catalogue.ask
    scenes = visit.once("the search", lambda: visit.source.search(visit.area, ask.start, ask.end))
    where = f"{ask.place[0]:.3f}, {ask.place[1]:.3f} from {ask.start} to {ask.end}"
    return judged(f"{counted(len(scenes), 'scene')} at {where}", bool(scenes))


def form(visit: Visit) -> Seen:
    """Report whether an item has an asset for each band, their grids, and the item's processing level."""
    scene = visit.scene
    bands = [*visit.bands, *([visit.source.mask_band] if visit.source.mask_band else [])]
    missing = [band for band in bands if band not in scene.assets]
    grids = _grids(visit, scene, [band for band in bands if band not in missing])
    flawed = [scene.flaw for scene in visit.scenes if scene.flaw]
    parts = [f"{scene.id}: {grids or 'no band'}", f"level {scene.level or 'not stated'}"]
    parts += [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"{len(flawed)} of {len(visit.scenes)} scenes flawed: {flawed[0]}"] if flawed else []
    is_whole = not scene.flaw or scene.flaw.startswith(OF_AN_ADDRESS)
    return judged("; ".join(parts), not missing and is_whole and _is_level(visit, scene))


def _is_level(visit: Visit, scene: Scene) -> bool:
    """Return whether a scene is of the sensor's level or names none; Landsat's L2SP and L2SR are both L2."""
    return scene.level[:2] in ("", visit.setting.profile.level[:2])


def _grids(visit: Visit, scene: Scene, bands: Sequence[str]) -> str:
    """Return the grids of bands in words; bands on one grid are named together."""
    bands_by_grid: dict[str, list[str]] = {}
    for band in bands:
        bands_by_grid.setdefault(_grid(visit, scene, band), []).append(band)
    return ", ".join(f"{' '.join(names)} {grid}" for grid, names in bands_by_grid.items())


def _grid(visit: Visit, scene: Scene, band: str) -> str:
    grid = scene.assets[band].grid
    if grid is None and scene.flaw:
        return "(grid not in the item)"
    grid = grid or visit.source.native(scene, band)
    return f"{grid.height} x {grid.width} of {abs(grid.resolution.x):g} in {grid.crs}"


def mask(visit: Visit) -> Seen:
    """Read a window of one mask, and report its shape and the share of each class."""
    look = visit.look
    if look.classes is None:
        raise NotChecked("the sensor has no mask")
    known = np.isin(look.classes, range(classes.CLEAR + 1)).all()
    text = f"{look.scene.id}: {_shape(look.classes.shape)}, {shares(look.classes)}"
    return judged(text, bool(known) and look.with_data >= LEAST_DATA)


def band(visit: Visit) -> Seen:
    """Read a window of one band, and check that its numbers can be those of ground."""
    look, bands = visit.look, visit.bands[:1]
    scene = look.scene.as_stored if look.scene.is_doubtful else look.scene
    pixels = visit.source.read(scene, bands, look.grid)
    numbers = pixels[pixels > 0]
    stored = " as stored" if look.scene.is_doubtful else ""
    if visit.setting.sensor.encoding.is_picture:
        numbers = eight_bits.lowered(numbers)
    text = f"{scene.id}: {bands[0]}{stored}, {_shape(pixels.shape[1:])} {numbers.dtype}"
    if not numbers.size:
        return judged(f"{text}, no pixel has data", False)
    low, middle, high = (int(value) for value in np.quantile(numbers, (0, 0.5, 1)))
    text += f", {numbers.size / pixels.size:.0%} with data, {low} to {high}, median {middle}"
    why = "one number everywhere" if low == high else ""
    if visit.setting.profile.is_reflectance and not why:
        if (look.clear & (pixels[0] > 0)).sum() < radiometry.FEWEST:
            raise NotChecked(f"{text}; hardly any of it is clear ground")
        why = radiometry.impossible(bands, pixels, look.clear, scene.offset)
    return judged(f"{text}; {why}" if why else text, not why)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) + " pixels"


def limits(visit: Visit, token_service: str = "", most_tokens: int = 1) -> Seen:
    """Report how often the service refused so far (429, 403), and which rate limits its headers state."""
    if not visit.sightings:
        raise NotChecked("no answer came")
    refused = {status: visit.answered(status) for status in (429, 403)}
    headers = {
        f"{name}: {value[:LONGEST_VALUE]}"
        for sighting in list(visit.sightings)
        for name, value in sighting.headers.items()
        if RATES.search(name)
    }
    parts = [
        counted(len(visit.sightings), "answer"),
        *(f"{count} x {status}" for status, count in refused.items()),
    ]
    parts.append("; ".join(sorted(headers)[:6]) or "no header states a limit")
    tokens = tokens_asked(visit, token_service)
    if token_service:
        parts.append(counted(tokens, "token request"))
    return judged(", ".join(parts), not any(refused.values()) and tokens <= most_tokens)


def tokens_asked(visit: Visit, service: str) -> int:
    """Return how many answers came from a token service."""
    start = service.rstrip("/") + "/"
    return sum(bool(service) and sighting.url.startswith(start) for sighting in visit.sightings)
