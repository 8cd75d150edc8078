"""Pairs of tiles of any published set, in folders or Parquet; see `pipeline.published.formats.pair_files`.

What the files do not say (title, citation, licence, dates, pixel) is given, or unknown. GeoTIFFs keep all
bands and their numbers, but not their place. Of a mask that has more than two numbers, as JPEG makes of it,
what is above `threshold` counts.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from minebench import bands, periods
from minebench.errors import InputError
from minebench.masks import UNKNOWN
from pipeline.published.formats import raster_files, tile_stacks
from pipeline.published.formats.layout import Dated, Facts
from pipeline.published.formats.pair_files import Content
from pipeline.published.formats.tile_pairs import TilePairs

UNKNOWN_DATE = "unknown"
FIRST, LAST = date(periods.FIRST_YEAR, 1, 1), date(periods.LAST_YEAR, 12, 31)
"""Days between which every image was taken."""
DAY = timedelta(days=1)
EXAMPLE = "2012,2016 or 2002..2013,2007..2018, or unknown,2016"
NOISE = 127
"""Half of 255: what is above it counts in masks that a lossy format has changed."""
TIFF = {".tif", ".tiff"}


class Folders(TilePairs):
    """See `pipeline.published.formats.layout.Layout`. `dates` are the days of the two periods in words
    (`spans_of`); `threshold` is the largest number of a mask that means no change."""

    def __init__(self, folder: Path, dates: str = UNKNOWN_DATE, threshold: int = 0) -> None:
        self.spans, self.threshold = spans_of(dates), threshold
        super().__init__(folder, {name: dated(name, *span) for name, span in self.spans.items()})

    def facts(self) -> Facts:
        names, dtype = self._bands()
        tiling = {"size": self.side, "edge": "drop", "pad": False}
        found = self.pairs
        return facts_of(
            names, dtype, self.spans, tiling, self.threshold, tuple(found.left_out), tuple(found.notes)
        )

    def picture(self, content: Content, name: str) -> NDArray[Any]:
        if not _is_tiff(content):
            return tile_stacks.picture(content, name, "RGB")
        with raster_files.opened(content) as file:
            numbers = [i for i, colour in enumerate(file.colorinterp, 1) if colour != ColorInterp.alpha]
            pixels, nodata = file.read(numbers or list(file.indexes)), file.nodata
        if pixels.dtype not in {np.dtype("uint8"), np.dtype("uint16")}:
            raise InputError(
                f"{name} is {pixels.dtype}; pictures may be uint8 or uint16. Convert them, for example with "
                "gdal_translate -ot UInt16 -scale 0 1 0 10000."
            )
        if pixels.dtype == np.uint16 and nodata:
            pixels[pixels == nodata] = 0
        return pixels

    def opaque(self, content: Content, name: str) -> NDArray[np.bool_] | None:
        return raster_files.seen(content) if _is_tiff(content) else tile_stacks.opaque(content, name)

    def label(self, content: Content, name: str) -> NDArray[np.uint8]:
        mask, unknown = self._mask(content, name)
        return np.where(unknown, UNKNOWN, mask > self.threshold).astype(np.uint8)

    def resolution(self) -> float | None:
        """The pixel, metres, where the first picture says it."""
        content, _ = next(self.pairs.contents(self._first(), "A"))
        if not _is_tiff(content):
            return None
        with raster_files.opened(content) as file:
            return abs(file.transform.a) if file.crs is not None and file.crs.is_projected else None

    def threshold_of_masks(self) -> int:
        """Return what the masks' numbers must be above to mean change: 0, but half of 255 where there are
        more than two and the largest is above that."""
        every = chain.from_iterable(
            self.pairs.contents(tuple(x), "label") for x in self.pairs.listed.values()
        )
        masks = (self._mask(content, name) for content, name in every)
        return threshold_of(mask[~unknown] for mask, unknown in masks)

    def _mask(self, content: Content, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A mask's numbers (y, x), and where they are unknown, by its file's nodata value."""
        if not _is_tiff(content):
            mask = tile_stacks.picture(content, name, "L")
            return mask, np.zeros(mask.shape, bool)
        with raster_files.opened(content) as file:
            mask, nodata = file.read(1), file.nodata
        return mask, mask == nodata if nodata else np.zeros(mask.shape, bool)

    def _first(self) -> tuple[str]:
        return (next(iter(self.pairs.listed.values()))[0],)

    def _bands(self) -> tuple[list[str], str]:
        """The bands' names and the type of the first picture."""
        content, name = next(self.pairs.contents(self._first(), "A"))
        pixels = self.picture(content, name)
        count, dtype = len(pixels), str(pixels.dtype)
        if not _is_tiff(content):
            return ["R", "G", "B"], dtype
        with raster_files.opened(content) as file:
            named = [text for text in file.descriptions[:count] if text]
        if len(set(named)) == count:
            return named, dtype
        return (
            ["R", "G", "B"] if (count, dtype) == (3, "uint8") else [f"band{i + 1}" for i in range(count)]
        ), dtype


def spans_of(dates: str) -> dict[str, tuple[date, date]]:
    """Return the first and last possible day of the earlier and of the later image.

    `dates` has two parts: a year, month or day, two of them with `..` between, or unknown. Of an unknown
    one is known that it lies before, or after, the other. InputError where it cannot be read.
    """
    words = (
        [word.strip() for word in dates.split(",")] if dates.strip() != UNKNOWN_DATE else [UNKNOWN_DATE] * 2
    )
    if len(words) != 2:
        raise InputError(f"--dates {dates}: give two, such as {EXAMPLE}.")
    try:
        before, after = (_span(word) for word in words)
    except ValueError as error:
        raise InputError(f"--dates {dates}: {error}; such as {EXAMPLE}.") from None
    before, after = before or (FIRST, LAST), after or (FIRST, LAST)
    # The earlier image was taken before the later one.
    before, after = (before[0], min(before[1], after[1] - DAY)), (max(after[0], before[0] + DAY), after[1])
    spans = {"before": before, "after": after}
    if any(last < first for first, last in spans.values()):
        raise InputError(f"--dates {dates}: the second is not later than the first.")
    if [period.label for period in periods.spans(spans)] != list(spans):
        raise InputError(f"--dates {dates}: the second is not later than the first.")
    return spans


def _span(word: str) -> tuple[date, date] | None:
    """First and last day; None where they are unknown. ValueError where it is no date."""
    if word == UNKNOWN_DATE:
        return None
    first, _, last = word.partition("..")
    start, end = periods.parse(first.strip()).start, periods.parse((last or first).strip()).end - DAY
    if end < start:
        raise ValueError(f"{word} ends before it begins")
    return start, end


def dated(file: str, first: date, last: date, exactly: str = "file name") -> Dated:
    """Return an image with its first and last possible day; `exactly` says what a known day is from."""
    is_unknown = first <= FIRST + DAY or last >= LAST - DAY
    return Dated(
        file, first, last, "unknown" if is_unknown else exactly if first == last else "published range"
    )


def facts_of(
    names: list[str], dtype: str, spans: Mapping[str, tuple[date, date]], tiling: Mapping[str, Any],
    threshold: int, left_out: tuple[str, ...], notes: tuple[str, ...] = (),
) -> Facts:  # fmt: skip
    """Return the recipe's parts of pairs, without what only their authors can say. `threshold` is the largest
    number of a mask that means no change."""
    if threshold:
        lossy = f"the masks have more than two numbers, as JPEG makes of them: above {threshold} is change"
        notes = (*notes, lossy)
    return Facts(
        title="",
        sensor={"bands": names, "rgb": _shown(names), "dtype": dtype},
        periods={"spans": {name: [str(day) for day in span] for name, span in spans.items()}},
        tiling=tiling,
        labels={"source": "import", "kind": "change"},
        pairs="first_last",
        citation="",
        left_out=left_out,
        notes=notes,
    )


def threshold_of(masks: Iterable[NDArray[Any]]) -> int:
    """Return what the numbers of masks must be above to mean change: 0, but half of 255 where there are more
    than two and the largest is above that."""
    numbers = np.zeros(256, bool)
    for mask in masks:
        numbers[np.clip(mask, 0, 255)] = True
    found = np.flatnonzero(numbers)
    return NOISE if len(found) > 2 and found.max() > NOISE else 0


def _is_tiff(content: Content) -> TypeGuard[Path]:
    return isinstance(content, Path) and content.suffix.lower() in TIFF


def _shown(names: list[str]) -> list[str]:
    """The bands of red, green and blue where they are known, else the first three."""
    colours = bands.meaning(names).colours
    if {"red", "green", "blue"} <= set(colours):
        return [names[colours.index(colour)] for colour in ("red", "green", "blue")]
    return [names[min(place, len(names) - 1)] for place in range(3)]
