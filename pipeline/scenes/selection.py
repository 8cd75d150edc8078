"""Which scenes make a period's image. Every candidate ends as a row that says why, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import Selection
from pipeline.scenes.coregister import Offset
from pipeline.sources.protocol import Scene

BoolImage = NDArray[np.bool_]
CLOUD_CLASSES = (8, 9, 10)
"""SCL: cloud of medium and high probability, cirrus."""


@dataclass
class Candidate:
    """A scene in a period with what was measured over the AOI (fractions of its pixels)."""

    scene: Scene
    day: date
    cloud: float = float("nan")
    clear: float = float("nan")
    day_clear: float = float("nan")
    selected: bool = False
    reason: str = ""
    failure: str = ""
    """Why the scene could not be read; it is tried again in the next run."""
    offset_from: str = ""
    shift: Offset | None = None
    """Off the reference as the provider has it; `left` is what is left once corrected."""
    left: Offset | None = None
    clear_pixels: BoolImage | None = field(default=None, repr=False)


def reject_by_metadata(candidate: Candidate, rule: Selection) -> bool:
    """Whether what the scene says of itself, or the recipe, already rules it out."""
    if candidate.scene.flaw:
        candidate.reason = f"not used: {candidate.scene.flaw}"
        return True
    if candidate.scene.id in rule.exclude:
        candidate.reason = "left out by selection.exclude"
        return True
    cover = candidate.scene.cloud_cover
    if cover is None or cover <= rule.max_cloud:
        return False
    candidate.reason = f"scene's cloud cover {cover:.0f} % is over {rule.max_cloud:g} %"
    return True


def clear_pixels(classes: NDArray[np.uint8], rule: Selection) -> BoolImage:
    """Pixels of a clear class at least `cloud_margin` pixels from every cloud, shadow, cirrus or
    snow. Nodata is not clear, but is no cloud either: the margin does not grow from it."""
    has_data = classes > 0
    clear = np.isin(classes, rule.clear_classes)
    unclear = has_data & ~clear
    # A lone pixel is far more often a bright roof than a cloud.
    if rule.cloud_margin and unclear.any():
        clear &= ~grown(unclear & _has_neighbour(unclear), rule.cloud_margin)
    return clear


def measure(candidate: Candidate, classes: NDArray[np.uint8], aoi: BoolImage, rule: Selection) -> None:
    """Fill in the cloud and clear fractions of the AOI from the scene classes over it."""
    candidate.clear_pixels = clear_pixels(classes, rule)
    candidate.cloud = float(np.isin(classes[aoi], CLOUD_CLASSES).mean())
    candidate.clear = float(candidate.clear_pixels[aoi].mean())
    if not classes[aoi].any():
        candidate.reason = "no data over the AOI"


def choose(candidates: list[Candidate], aoi: BoolImage, rule: Selection) -> None:
    """Mark the selected scenes of one period; granules of one day stand or fall together."""
    days: dict[date, list[Candidate]] = {}
    for candidate in candidates:
        if not candidate.reason and not candidate.failure:
            days.setdefault(candidate.day, []).append(candidate)
    clear = {day: _together(members, aoi) for day, members in days.items()}
    ranked = sorted(days, key=lambda day: (-clear[day], day))
    usable = [day for day in ranked if clear[day] >= rule.min_clear]
    wanted = set(usable[: 1 if rule.policy == "least_cloudy" else rule.max_days])
    for day, members in days.items():
        for candidate in members:
            candidate.day_clear = clear[day]
            candidate.selected = day in wanted
            candidate.reason = "" if day in wanted else _why_not(day, clear, usable, rule)


def _why_not(day: date, clear: Mapping[date, float], usable: list[date], rule: Selection) -> str:
    if clear[day] < rule.min_clear:
        return f"AOI only {clear[day]:.0%} clear, under {rule.min_clear:.0%}"
    if rule.policy == "least_cloudy":
        return f"{usable[0]} is clearer, or as clear and earlier"
    return f"{rule.max_days} clearer days fill the composite"


def _together(members: list[Candidate], aoi: BoolImage) -> float:
    """Clear fraction of the AOI over all granules of a day."""
    union = np.zeros_like(aoi)
    for member in members:
        if member.clear_pixels is not None:
            union |= member.clear_pixels
    return float(union[aoi].mean())


def grown(pixels: BoolImage, radius: int) -> BoolImage:
    """Pixels within `radius` and a half of one of the set, by centres: a dilation with a disc,
    taken row by row from running sums."""
    height, width = pixels.shape
    sums = np.zeros((height, width + 2 * radius + 1), np.int32)
    sums[:, radius + 1 : radius + 1 + width] = np.cumsum(pixels, axis=1)
    sums[:, radius + 1 + width :] = sums[:, radius + width, None]
    result = np.zeros_like(pixels)
    for down in range(min(radius, height - 1) + 1):
        reach = int(np.sqrt((radius + 0.5) ** 2 - down**2))
        first, last = radius - reach, radius + reach + 1
        touched = sums[:, last : last + width] > sums[:, first : first + width]
        result[down:] |= touched[: height - down]
        result[: height - down] |= touched[down:]
    return result


def _has_neighbour(pixels: BoolImage) -> BoolImage:
    """Pixels of the set with another of the set beside, above or below."""
    padded = np.pad(pixels, 1)
    around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return pixels & around
