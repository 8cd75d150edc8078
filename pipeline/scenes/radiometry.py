"""Does a scene carry the offset of baseline 04.00? Asked of its pixels, where words do not settle it
(`pipeline.sensors.boa_offset`).

The same clear ground is compared on two dates, cell by cell, in all bands at once and before any offset is
taken out. An offset moves every band of every ground by the same 1000. Ground, sun and air do not: light and
moisture scale the numbers, haze adds most in the blue, seasons exchange red for near infrared, cloud and new
pits change some cells. So the two readings of a scene, with and without the offset, are each given the gain
and haze that suit them best, and the likelihood of what is left over decides. Cells that neither reading
explains count for none.

Numbers below the offset are proof by themselves: a scene that carries it has hardly any.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sensors.boa_offset import BOA_OFFSET, without_offset
from pipeline.sources.protocol import Scene

Floats = NDArray[np.float64]

THINNED = 128
"""Pixels along a site's shorter side that are looked at, or up to twice as many."""
MOST_DATES = 8
"""Dates that a scene is compared with: those that have most clear ground in common with it."""
FEWEST = 100
"""Clear pixels below which numbers are not called impossible."""
TURNED_OVER = 50_000
"""No reflectance reaches this number, and negative ones without a sign lie above it."""
CELLS = 8
"""Cells along a site's side: medians of so many blocks are compared."""
LEAST = 8
"""Cells that must speak for a reading."""
IMPOSSIBLE, IMPOSSIBLE_SHARE = 850, 0.02
"""A scene with the offset has no such share of cells with so small a number in some band: that would be a
reflectance of -0.015, which dark water is at times in single pixels."""
WITH, WITHOUT = 12.0, 6.0
"""Difference of log-likelihoods that decides for a reading, with and without the offset: thin cloud and haze
that no mask shows look a little like the offset, and nothing looks like its absence. Found with the drawn
worlds of tests/pipeline/scenes/test_radiometry.py, for three dates to compare and four bands."""
AGREED = 0.5
"""How much of it is enough where the scene's metadata say the same."""
FEWER = {1: 3.0, 2: 1.4}
"""How much more it must be with fewer dates."""
GAINS = np.exp(np.arange(-4, 5) * 0.09)
GAIN_SCALE, STEADY, UNSTEADY = 0.07, 0.025, 0.07
"""Scale of the exponential prior of log gain; of three dates and more it is their own spread, in bounds."""
HAZE_SCALE = 0.03
"""Scale of the exponential prior of haze."""
HAZES = [
    *((thick, 1.3) for thick in (-0.07, -0.03, 0.0, 0.03, 0.06)),
    *((thick, exponent) for thick in (0.10, 0.15, 0.21) for exponent in (1.0, 1.6)),
]
"""Share of the light at 490 nm that haze replaces, negative where the other date has more, and the exponent
by which it falls with wavelength."""
HAZE_WHITE = 6000
"""What haze would show where it hid all ground."""
LIFTED = 300
"""Numbers by which a known date lies above the others in all bands when it is not compared with."""
SAME, CHANGED, NEITHER = 0.6, 0.3, 0.1
"""Prior shares of cells whose ground is the same, has changed with the season, or is something else."""
LIMIT = 6.0
"""Squared deviations per band from which on a cell is something else."""
WAVELENGTHS = {
    "B01": 443, "B02": 490, "B03": 560, "B04": 665, "B05": 705, "B06": 740, "B07": 783, "B08": 842,
    "B8A": 865, "B09": 945, "B11": 1610, "B12": 2190,
}  # fmt: skip
"""Nanometres, of Sentinel-2A."""
SEASON = (
    (440, 490, 560, 665, 705, 740, 783, 842, 945, 1610, 2190),
    (130, 150, 250, 600, 500, -400, -800, -900, -900, 800, 800),
)
"""How numbers change by wavelength as vegetation withers."""
APART = 400.0
"""Distance of two grounds, root mean square over bands of 50 square roots of the number."""


@dataclass(frozen=True)
class Date:
    """A scene as it is compared: its numbers (band, y, x), nodata 0, and its clear pixels (y, x)."""

    numbers: NDArray[np.uint16]
    clear: NDArray[np.bool_]

    @classmethod
    def thinned(cls, numbers: NDArray[np.uint16], clear: NDArray[np.bool_]) -> "Date":
        """Return a date of every so many pixels, so that large sites take no more memory than small ones."""
        step = max(1, min(clear.shape) // THINNED)
        return cls(numbers[:, ::step, ::step].copy(), clear[::step, ::step].copy())

    def without(self, offset: int) -> "Date":
        """Return the date with an offset taken from its numbers."""
        return Date(without_offset(self.numbers.copy(), offset), self.clear) if offset else self


@dataclass(frozen=True)
class Verdict:
    """An offset that pixels show, and by what; `offset` is None where they do not tell."""

    offset: int | None
    evidence: str


UNDECIDED = Verdict(None, "")
NOT_COMPARABLE = Verdict(None, "no pixels to compare")


def weighed(scene: Scene, verdict: Verdict) -> tuple[int, str]:
    """Return the offset to take from a doubtful scene, and what says so: its pixels, else its metadata."""
    said = scene.offset_from
    if verdict.offset is None:
        return scene.offset, f"undecided: {said}; pixels: {verdict.evidence}"
    if verdict.offset == scene.offset:
        return scene.offset, f"metadata, pixels agree ({said}; {verdict.evidence})"
    return verdict.offset, f"pixels, against metadata ({verdict.evidence}; {said})"


def decide_all(
    scenes: Mapping[str, Date], known: Sequence[Date], bands: Sequence[str], said: Mapping[str, int]
) -> dict[str, Verdict]:
    """Return the verdict on each scene. Those that are decided are then known, and the rest is compared with
    them as well, until no more can be decided.

    Parameters
    ----------
    scenes
        Numbers as stored, by the scene's name.
    known
        Other dates of the same pixels, whose offset is known and taken out.
    bands
        Names of the bands.
    said
        The offsets that the metadata of scenes say, of those that say one.
    """
    known, verdicts = list(known), dict.fromkeys(scenes, UNDECIDED)
    while True:
        rest = [name for name in scenes if verdicts[name].offset is None]
        verdicts |= {name: decide(scenes[name], known, bands, said.get(name)) for name in rest}
        decided = [name for name in rest if verdicts[name].offset is not None]
        if not decided or len(decided) == len(rest):
            return verdicts
        known += [scenes[name].without(verdicts[name].offset or 0) for name in decided]


def decide(scene: Date, others: Sequence[Date], bands: Sequence[str], said: int | None = None) -> Verdict:
    """Return which offset a scene's numbers carry.

    Parameters
    ----------
    scene
        Numbers as stored.
    others
        Other dates of the same pixels, whose offset is known and taken out.
    bands
        Names of the bands.
    said
        The offset that the scene's metadata say, if they say one.
    """
    own = _cells(scene)
    if len(own.speaking) < LEAST:
        return Verdict(None, "too little clear ground")
    low = _quantile(own.pixels, own.clear, 0.3)[own.speaking]
    if float((low < IMPOSSIBLE).any(axis=1).mean()) > IMPOSSIBLE_SHARE:
        return Verdict(0, f"numbers below {IMPOSSIBLE}")
    if not others:
        return Verdict(None, "no other date to compare")
    in_common = [int((scene.clear & other.clear).sum()) for other in others]
    nearest = sorted(range(len(others)), key=lambda i: -in_common[i])[:MOST_DATES]
    compared = _compared(own, [_cells(others[i]) for i in sorted(nearest)])
    if compared is None:
        return Verdict(None, "no clear ground in common with another date")
    readings = _readings(*compared, np.array([WAVELENGTHS[band] for band in bands], float))
    return _verdict(readings, len(compared[1]), len(bands), said)


@dataclass(frozen=True)
class _Cells:
    """A date in blocks: pixels (cell, band, pixel), which are clear (cell, pixel)."""

    pixels: Floats
    clear: NDArray[np.bool_]

    @property
    def speaking(self) -> NDArray[np.intp]:
        """The cells a quarter of which is clear."""
        return np.flatnonzero(self.clear.mean(axis=1) >= 0.25)


def _cells(date: Date) -> _Cells:
    bands, height, width = date.numbers.shape
    side = max(2, min(height, width) // CELLS)
    rows, columns = height // side, width // side
    cut = date.numbers[:, : rows * side, : columns * side].reshape(bands, rows, side, columns, side)
    pixels = cut.transpose(1, 3, 0, 2, 4).reshape(rows * columns, bands, side * side).astype(float)
    clear = date.clear & (date.numbers > 0).all(axis=0)
    clear = clear[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return _Cells(pixels, clear.transpose(0, 2, 1, 3).reshape(rows * columns, side * side))


def _is_white(pixels: Floats) -> NDArray[np.bool_]:
    """Return whether pixels (cell, band, pixel) are as snow and cloud are: bright, and no brighter in the red
    and near infrared than in the first band. An offset changes nothing of it."""
    return (pixels[:, 0] > 3000) & (pixels[:, 0] >= 0.88 * pixels[:, :7].max(axis=1))


def _compared(own: _Cells, others: Sequence[_Cells]) -> tuple[Floats, Floats, NDArray[np.bool_]] | None:
    """Return medians of the pixels that are clear on both dates, of the scene and of the others (other, cell,
    band), and which of the cells have enough of them (other, cell)."""
    white = _is_white(own.pixels)
    medians, speaks = [], []
    for other in others:
        both = own.clear & other.clear & ~white & ~_is_white(other.pixels)
        enough = both.mean(axis=1) >= 0.25
        medians.append([_quantile(date.pixels, both, 0.5) for date in (own, other)])
        speaks.append(enough)
    seen = np.array(speaks)
    used = seen.any(axis=1) & ~_is_lifted(np.array(medians)[:, 1], seen)
    kept = seen[used].any(axis=0)
    if kept.sum() < LEAST:
        return None
    both_dates = np.array(medians)[used][:, :, kept]
    return both_dates[:, 0], both_dates[:, 1], seen[used][:, kept]


def _is_lifted(others: Floats, speaks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which dates (other, cell, band) lie above what is usual in all bands, as under haze that no mask
    shows. Of fewer than three dates nothing is usual."""
    if len(others) < 3:
        return np.zeros(len(others), bool)
    spoken = np.where(speaks[..., None], others, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of cells that are clear on no date
        above = np.nanmedian(spoken - np.nanmedian(spoken, axis=0), axis=1)
    return np.asarray((above > LIFTED).all(axis=1))


def _quantile(pixels: Floats, clear: NDArray[np.bool_], share: float) -> Floats:
    """Return a quantile (cell, band) of the clear pixels of each cell, 0 where none is."""
    ordered = np.sort(np.where(clear[:, None], pixels, np.inf), axis=2)
    place = np.rint((clear.sum(axis=1) - 1).clip(0) * share).astype(int)
    quantiles = np.take_along_axis(ordered, place[:, None, None], axis=2)[..., 0]
    return np.where(np.isfinite(quantiles), quantiles, 0.0)


@dataclass(frozen=True)
class _Readings:
    """How well a scene fits other dates without (0) and with (1) the offset: log-likelihoods, and how many of
    its cells each explains. `left_out` has the log-likelihoods without each of the dates in turn."""

    likelihoods: tuple[float, float]
    explained: tuple[int, int]
    cells: int
    left_out: list[tuple[float, float]]


def _readings(scene: Floats, others: Floats, speaks: NDArray[np.bool_], wavelengths: Floats) -> _Readings:
    """Return how well a scene fits the other dates, without and with the offset."""
    dates = len(others)
    each = ~np.eye(dates, dtype=bool)[: dates if dates > 1 else 0]
    sets = np.vstack([np.ones(dates, bool), each])
    counts = np.maximum(sets.astype(int) @ speaks, 1)  # (set, cell)
    haze = np.array([share * (wavelengths / 490) ** -exponent for share, exponent in HAZES])[:, None, None]
    unlikely = np.array([abs(share) for share, _ in HAZES])[:, None] / HAZE_SCALE
    grounds = _grounds(np.where(speaks[..., None], others, np.nan))
    season = np.interp(wavelengths, *SEASON) * np.ones_like(others)
    same = _Normal(60**2 + np.minimum(0.06 * others, 250) ** 2, (np.minimum(0.10 * others, 300),))
    changed = _Normal(100**2 + np.minimum(0.10 * others, 400) ** 2, (np.minimum(0.15 * others, 600), season))
    neither = np.log(NEITHER) - 0.5 * (LIMIT * len(wavelengths) + changed.log_determinant)
    neither = np.where(speaks, neither, np.inf).min(axis=0)
    gain_scale = _spread(others, speaks)
    best, explained = np.full((2, len(sets)), -np.inf), [0, 0]
    for gain in GAINS:
        expected = np.array([gain * others * (1 - thick) + HAZE_WHITE * thick for thick in haze])
        for reading, offset in enumerate((0, BOA_OFFSET)):
            left = scene - offset - expected  # (haze, other, cell, band)
            fits = np.logaddexp(np.log(SAME) + same.log(left), np.log(CHANGED) + changed.log(left))
            fits = _of_sets(np.where(speaks, fits, -np.inf), sets) - np.log(counts)
            # A ground counts once, however many cells have it: what changes one changes all of them.
            whole = np.logaddexp(fits, neither)
            total = 2 * sum(whole[..., cells].mean(axis=-1) for cells in grounds)
            total = total - unlikely - abs(np.log(gain)) / gain_scale  # (haze, set)
            if total[:, 0].max() > best[reading, 0]:
                explained[reading] = int((fits[total[:, 0].argmax(), 0] > neither).sum())
            best[reading] = np.maximum(best[reading], total.max(axis=0))
    all_dates, *left_out = [(float(without), float(with_offset)) for without, with_offset in best.T]
    return _Readings(all_dates, (explained[0], explained[1]), len(neither), left_out)


def _of_sets(fits: Floats, sets: NDArray[np.bool_]) -> Floats:
    """Return the log of the sum of likelihoods (haze, other, cell) over the dates of each set (haze, set,
    cell)."""
    most = fits.max(axis=1, keepdims=True)
    sums = np.einsum("hoc,so->hsc", np.exp(fits - most), sets.astype(float))
    return np.asarray(most + np.log(np.maximum(sums, 1e-300)))


def _spread(others: Floats, speaks: NDArray[np.bool_]) -> float:
    """Return by how much the dates' gains differ, as the scale of a prior."""
    if len(others) < 3:
        return GAIN_SCALE
    spoken = np.where(speaks[..., None], others, np.nan)
    usual = np.nanmedian(spoken, axis=0)
    gains = [float(np.nanmedian(np.log(date / usual))) for date in spoken]
    return float(np.clip(0.5 * (max(gains) - min(gains)), STEADY, UNSTEADY))


def _verdict(readings: _Readings, dates: int, bands: int, words: int | None) -> Verdict:
    without, with_offset = readings.likelihoods
    carries = with_offset > without
    more, fewer = readings.explained[carries], readings.explained[not carries]
    said = f"{more} of {readings.cells} cells on {dates} dates"
    enough = more >= max(LEAST, 0.35 * readings.cells, 0.8 * fewer)
    # Bands of one ground are no independent witnesses.
    needed = (WITH if carries else WITHOUT) * FEWER.get(dates, 1.0) * max(1, bands / 4) ** 0.5
    needed *= AGREED if words == BOA_OFFSET * carries else 1
    # No single date may carry the verdict: one under haze looks like the offset.
    alone = [(one - other) * (1 if carries else -1) for other, one in readings.left_out]
    if not enough or abs(with_offset - without) <= needed or min(alone, default=needed) <= needed / 2:
        return Verdict(None, f"{said} fit, {fewer} the other way")
    return Verdict(BOA_OFFSET if carries else 0, said)


def _grounds(others: Floats) -> list[NDArray[np.bool_]]:
    """Return the cells of each kind of ground: nearest to one of up to eight cells that are far apart."""
    spectra = 50 * np.sqrt(np.maximum(np.nanmean(others, axis=0), 1))
    centres = [int(((spectra - np.median(spectra, axis=0)) ** 2).mean(axis=1).argmin())]
    distances = np.sqrt(((spectra - spectra[centres[0]]) ** 2).mean(axis=1))
    while len(centres) < 8 and distances.max() > APART:
        centres.append(int(distances.argmax()))
        further = np.sqrt(((spectra - spectra[centres[-1]]) ** 2).mean(axis=1))
        distances = np.minimum(distances, further)
    nearest = ((spectra[:, None] - spectra[centres]) ** 2).mean(axis=2).argmin(axis=1)
    cells = [nearest == number for number in range(len(centres))]
    large = [each for each in cells if each.sum() >= max(2, 0.04 * len(nearest))]
    return large or [np.ones(len(nearest), bool)]


class _Normal:
    """Normal distributions of differences (..., band): independent variances, and up to two directions in
    which all bands vary together."""

    def __init__(self, variances: Floats, directions: tuple[Floats, ...]) -> None:
        first, second = directions if len(directions) == 2 else (*directions, np.zeros_like(variances))
        self.weights = 1 / variances
        self.first, self.second = first * self.weights, second * self.weights
        self.a = 1 + (first * self.first).sum(axis=-1)
        self.b = (first * self.second).sum(axis=-1)
        self.c = 1 + (second * self.second).sum(axis=-1)
        determinant = self.a * self.c - self.b**2
        self.determinant = determinant
        self.log_determinant = np.log(variances).sum(axis=-1) + np.log(determinant)

    def log(self, left: Floats) -> Floats:
        """Return log densities but for a constant, by the Woodbury identity."""
        along, across = (left * self.first).sum(axis=-1), (left * self.second).sum(axis=-1)
        common = (self.c * along**2 - 2 * self.b * along * across + self.a * across**2) / self.determinant
        squares: Floats = (left**2 * self.weights).sum(axis=-1) - common
        return -0.5 * (squares + self.log_determinant)


def impossible(bands: Sequence[str], pixels: NDArray[Any], clear: NDArray[np.bool_], offset: int) -> str:
    """Return why numbers (band, y, x; reflectance x 10000) cannot be those of clear ground (y, x); empty
    where they can be. `offset` was taken from them."""
    seen = pixels[:, clear & (pixels > 0).all(axis=0)]
    if seen.shape[1] < FEWEST:
        return ""
    if (share := float((seen > TURNED_OVER).any(axis=0).mean())) > 0.01:
        return f"numbers over {TURNED_OVER} on {share:.0%} of the clear ground: they have turned over"
    if (share := float((seen > 20_000).any(axis=0).mean())) > 0.5:
        return f"reflectance above 2 on {share:.0%} of the clear ground"
    flat = [band for band, own in zip(bands, seen, strict=True) if own.min() == own.max()]
    # Numbers that were cut off below the offset are 1.
    flat = [band for band in flat if not offset or seen[list(bands).index(band)][0] > 1]
    if flat and len(flat) < len(bands):
        return f"band {flat[0]} has the same number everywhere"
    return ""
