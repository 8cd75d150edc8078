"""What the names of a folder's files tell: the date, the band, and the pattern that finds both.

Names are paths within the folder; `dated_files` compares a pattern with a slash with the paths of all files
below the folder.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from minebench.errors import InputError
from pipeline.image_folder import products as known_products
from pipeline.sources.local import dated_files

DATES = tuple(
    rf"(?<!\d)(?P<date>(?:19|20)\d{{2}}{rest})(?!\d)"
    for rest in (r"-[01]\d-[0-3]\d", r"[01]\d[0-3]\d", r"[0-3]\d{2}", "")
)
"""How names tell a date, the most exact first: 2014-02-20, 20140220, 2014051 (day of the year), 2014."""
MORE_THAN_YEAR = re.compile(
    r"(?<!\d)(?:[0-3]?\d[-_. ][01]?\d[-_. ](?:19|20)\d{2}|(?:19|20)\d{2}[-_. ][01]\d)(?!\d)"
)
"""Dates in forms that are not read: 04.07.2014, 2014-07."""
SUFFIX = r"\.(?:[tT][iI][fF]{1,2}|[jJ][pP]2)"
BAND = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:SR_)?B\d{1,2}A?|band[-_]?\d+|coastal|blue|green|red|nir(?:08|09)?|swir\d*|"
    r"red[-_]?edge\d*|pan|VV|VH|HH|HV|[RGBN])(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""Words of which each names a band."""
MASK = re.compile(
    rf"{dated_files.MASK.pattern}|(?<![A-Za-z])(?:SR[-_]QA[-_]AEROSOL|SR[-_]CLOUD[-_]QA|SNWPRB|CLM|CLP|clouds?|"
    r"s2cloudless|(?:cloud|cld)[-_]?prob(?:s|ability)?|MSK)(?![A-Za-z])",
    re.IGNORECASE,
)
"""What says that a file is a mask: more than `dated_files` leaves out by itself."""
MASK_BAND = re.compile(r"prob(?:s|ability)?|cs(?:_cdf)?|clear|valid|QA\d*", re.IGNORECASE)
"""Names of bands of masks, of Earth Engine's among them, that say less as a word of a file's name."""
DERIVED = re.compile(
    r"(?<![A-Za-z0-9])(?:TCI|visual|overview|AOT|WVP|PVI|NDVI|EVI|NDWI|NDMI|NBR|SNW|SR[-_]ATMOS[-_]OPACITY|"
    r"ST[-_](?:B\d+|QA|TRAD|URAD|DRAD|ATRAN|EMIS|EMSD|CDIST)|SAA|SZA|VAA|VZA|thumbnail|quicklook|browse|preview|RGB\d+B?)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""Words of what is made from bands and lies beside them."""
APART = re.compile(r"(?:^|/)(?:QI_DATA|AUX_DATA|HTML|DATASTRIP|rep_info|quicklooks?|thumbnails?|previews?)/")
"""Folders of a product that hold no images."""
SIZE = re.compile(r"[-_](\d{1,3})m(?![A-Za-z0-9])")
"""The side of a pixel behind the name of a band of which there are copies, as in B02_10m."""


@dataclass(frozen=True)
class Named:
    """Files by what their names tell. `words` are the bands' and `masks` the masks', and `words` is empty
    where a file is a whole image; `left_out` are files that are neither. `unsure` are sentences on what was
    taken without proof."""

    pattern: str
    images: list[str]
    words: list[str]
    masks: list[str]
    left_out: list[str]
    unsure: list[str] = field(default_factory=list)
    mask_files: list[str] = field(default_factory=list)

    @property
    def dates(self) -> list[str]:
        """The dates of the images, as the names write them, once each."""
        return sorted({found["date"] for found in self.matches.values()})

    @property
    def matches(self) -> dict[str, re.Match[str]]:
        """What the pattern finds in each image's name."""
        pattern = re.compile(self.pattern)
        return {name: match for name in self.images if (match := pattern.fullmatch(name))}

    def word_of(self, name: str) -> str:
        """The word of a band in an image's name; empty of a whole image."""
        match = re.fullmatch(self.pattern, name)
        return (match.groupdict().get("band") or "") if match else ""


def read(names: Sequence[str], folder: str, sensor: str | None = None) -> Named:
    """Read the names of a folder's images; where a sensor is named (`known_products.SENSORS`), of its own.
    InputError where they tell no dates, or bands in part."""
    every = names
    if sensor is not None:
        names = [name for name in every if known_products.is_of(name, sensor)]
        if not names:
            raise InputError(f"--sensor: {folder} has no file of {sensor}, by the names of its files.")
    _check_one_sensor(_kinds(names)["image"], folder)
    here = [name for name in names if "/" not in name]
    # What lies in the folder itself goes before what lies in others below it.
    nested = [name for name in names if "/" in name] if here else []
    found = _read([name for name in names if name not in nested], folder)
    others = [name for name in every if name not in set(names)]
    left_out = [*found.left_out, *nested, *others]
    return replace(found, pattern=_exclusive(found, every, sensor), left_out=left_out)


def _read(names: Sequence[str], folder: str) -> Named:
    kinds = _kinds(names)
    masks, images = kinds["mask"], kinds["image"] or kinds["derived"]
    if not images:
        raise InputError(f"--images: {folder} holds masks alone, such as {names[0]}.")
    images, sizes = _finest(images)
    masks, more = _finest(masks, MASK)
    sizes |= more
    left_out = [name for name in names if name not in images and name not in masks]
    date = _date_of(images, folder)
    unsure = _doubts(images, date, folder)
    words = {name: match for name in images if (match := _band(name, date))}
    if len({match.group() for match in words.values()}) < 2 or not _differ_within_a_date(words, date):
        return _whole(images, masks, left_out, date, unsure)
    if lost := [name for name in images if name not in words]:
        raise InputError(
            f"--images: {folder} has one file per band, such as {next(iter(words))}, and {lost[0]}, whose "
            "name has no band: move it to another folder."
        )
    dated = [name for name in masks if re.search(date, name)]
    words |= {name: match for name in dated if (match := _last(MASK, name))}
    pattern = _pattern_of(words, date, sizes, folder)
    of_masks = sorted({words[name].group() for name in masks if name in words})
    apart = [name for name in masks if name not in words]
    return Named(
        pattern, images, sorted({words[name].group() for name in images}), of_masks, [*left_out, *apart],
        unsure,
        [name for name in masks if name in words],
    )  # fmt: skip


def _kinds(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by kind: image, mask, derived from images, or apart from them."""
    kinds: dict[str, list[str]] = {kind: [] for kind in ("image", "mask", "derived", "apart")}
    has_l2a = any(known_products.of_name(name) is known_products.L2A for name in names)
    for name in names:
        base = PurePosixPath(name).name
        if APART.search(name) or (has_l2a and known_products.of_name(name) is known_products.L1C):
            kind = "apart"
        elif DERIVED.search(base):
            kind = "derived"
        else:
            kind = "mask" if MASK.search(base) else "image"
        kinds[kind].append(name)
    return kinds


def _finest(names: Sequence[str], rule: re.Pattern[str] = BAND) -> tuple[list[str], dict[str, str]]:
    """Names without coarser copies of a band, and for each band of which there are copies the size of the
    finest, such as 10 for B02."""
    sizes: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        match = _last(rule, name)
        if match and (size := SIZE.match(name, match.end())):
            sizes[match.group()][name] = size[1]
    finest = {word: min(own.values(), key=int) for word, own in sizes.items() if len(set(own.values())) > 1}
    coarser = {n for word, size in finest.items() for n, own in sizes[word].items() if own != size}
    return [name for name in names if name not in coarser], finest


def _last(rule: re.Pattern[str], name: str) -> re.Match[str] | None:
    """The last place in the name of the file itself that a rule fits."""
    return next(iter(reversed(list(rule.finditer(name, name.rfind("/") + 1)))), None)


def _date_of(images: Sequence[str], folder: str) -> str:
    """The first way of telling a date that all names share."""
    date = next((date for date in DATES if all(re.search(date, name) for name in images)), None)
    if date is None:
        lost = next((n for n in images if not any(re.search(d, n) for d in DATES)), images[0])
        raise InputError(
            f"--images: not all files of {folder} have a date in their names, such as {lost}: rename "
            "them, or write source.dates into the recipe by hand."
        )
    return date


def _doubts(images: Sequence[str], date: str, folder: str) -> list[str]:
    """What is not sure of the dates. InputError where a folder's name tells another date than its files'."""
    every = {name: [match["date"] for match in re.finditer(date, name)] for name in images}
    for name, dates in every.items():
        own = re.search(date, PurePosixPath(name).name)
        if own and own["date"] != dates[0]:
            raise InputError(
                f"--images: {folder}/{name} has two dates, {dates[0]} in its folder's name and "
                f"{own['date']} in its own: name --images the folder with the files, or rename one of them."
            )
    dated = next((name for name in images if MORE_THAN_YEAR.search(name)), None)
    if date == DATES[-1] and dated:
        return [
            f"the name {dated} seems to tell more than a year, in a form that is not read (dates may be "
            "2014-02-20, 20140220 or 2014051); only the year is used"
        ]
    firsts, lasts = ({dates[place] for dates in every.values()} for place in (0, -1))
    if len(firsts) == 1 and len(lasts) > 1:
        return [
            f"names have several dates, and the first is {next(iter(firsts))} in all of them; it is taken as "
            f"the images' date, although others differ, as in {images[0]}"
        ]
    return []


def _check_one_sensor(images: Sequence[str], folder: str) -> None:
    """InputError where images are of several sensors: SR_B4 is red or near infrared, and a benchmark has one
    sensor."""
    products = {p.key: (p.name, name) for name in images if (p := known_products.of_name(name))}
    if len(products) > 1:
        (one, first), (other, second), *_ = products.values()
        choices = " or ".join(f"--sensor {key}" for key in products)
        raise InputError(
            f"--images: {folder} has images of {one} ({first}) and of {other} ({second}), and a "
            f"benchmark has one sensor: say {choices}, which leaves out the others, or make a catalog with "
            "`minebench stac`, which knows them apart."
        )


def _band(name: str, date: str) -> re.Match[str] | None:
    """The last word of a name that names a band, but for the date."""
    told = re.search(date, name)
    found = [match for match in BAND.finditer(name) if not told or not _overlap(match, told)]
    return found[-1] if found else None


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start() < other.end("date") and other.start("date") < one.end()


def _differ_within_a_date(words: Mapping[str, re.Match[str]], date: str) -> bool:
    """Whether files of one date have several bands' words."""
    by_date: dict[str, set[str]] = defaultdict(set)
    for name, match in words.items():
        by_date[_day(name, date)].add(match.group())
    return any(len(found) > 1 for found in by_date.values())


def _day(name: str, date: str) -> str:
    match = re.search(date, name)
    return match["date"] if match else ""


def _whole(images: list[str], masks: list[str], left_out: list[str], date: str, unsure: list[str]) -> Named:
    """Files that are whole images, with the masks beside them if each is called as one of them."""
    below = "(?:.*/)?" if any("/" in name for name in images) else ""
    for place, words, ending in _ways(masks, images, date):
        known = "|".join(sorted(map(re.escape, set(words.values())), key=_long_first))
        band = ending.replace("BAND", f"(?P<band>{known})")
        pattern = f"{place}{date}(?P<part2>.*?){band}{SUFFIX}"
        if _pairs(pattern, images, words):
            return Named(
                pattern, images, [], sorted(set(words.values())),
                [*left_out, *(name for name in masks if name not in words)], unsure, list(words),
            )  # fmt: skip
    return Named(rf"{below}.*?{date}.*{SUFFIX}", images, [], [], [*left_out, *masks], unsure)


def _ways(
    masks: Sequence[str], images: Sequence[str], date: str
) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield ways in which masks may be called as the images: what names begin with, as a pattern, and what
    `_beside` gives."""
    if not any("/" in name for name in images):
        yield from (("(?P<part1>.*?)", *way) for way in _beside(masks, images, date))
        return
    # The folder is a part of the name, as a mask lies in that of its image.
    yield from (("(?P<part1>(?:.*/)?[^/]*?)", *way) for way in _beside(masks, images, date))
    paths = {PurePosixPath(name).name: name for name in (*images, *masks)}
    if len(paths) == len(images) + len(masks) and all(re.search(date, base) for base in paths):
        # Or masks have a folder of their own: BOA/a_BOA.tif and SCL/a_SCL.tif.
        own_masks, own_images = ([PurePosixPath(name).name for name in names] for names in (masks, images))
        for words, ending in _beside(own_masks, own_images, date):
            placed = {paths[base]: word for base, word in words.items()}
            yield "(?:.*/)?(?P<part1>[^/]*?)", placed, ending


def _beside(masks: Sequence[str], images: Sequence[str], date: str) -> list[tuple[dict[str, str], str]]:
    """Ways in which masks may be called as the images: the mask's word in each name, and how names end. A
    word more at the end (a_SCL.tif), or one in place of the image's own (BOA_10.tif and SCL_10.tif)."""
    ways: dict[str, dict[str, str]] = defaultdict(dict)
    for name in masks:
        match = _last(MASK, name)
        if match is None:
            continue
        before, after = name[: match.start()], name[match.end() :]
        after = after[: after.rfind(".")]
        for image in (image for image in images if _day(image, date) == _day(name, date)):
            stem = image[: image.rfind(".")]
            if not after and stem == before.rstrip("-_") and before[-1:] in ("-", "_"):
                ways["(?:[-_]BAND)?"][name] = match.group()
            elif stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
                own = stem[len(before) : len(stem) - len(after)]
                if not re.search(r"\d{4}|/", own):
                    ways[f"(?:{re.escape(own)}|BAND){re.escape(after)}"][name] = match.group()
    return sorted(((words, ending) for ending, words in ways.items()), key=lambda way: -len(way[0]))


def _pairs(pattern: str, images: Sequence[str], masks: Mapping[str, str]) -> bool:
    """Whether a pattern finds each image without a band, and each mask with its word and an image's parts."""

    def parts(match: re.Match[str]) -> tuple[str | None, ...]:
        return tuple(text for group, text in match.groupdict().items() if group != "band")

    found = {name: re.fullmatch(pattern, name) for name in (*images, *masks)}
    if not all(found.values()):
        return False
    matched = {name: match for name, match in found.items() if match}
    whole = {parts(matched[name]) for name in images}
    return all(matched[name]["band"] is None for name in images) and all(
        matched[name]["band"] == word and parts(matched[name]) in whole for name, word in masks.items()
    )


def _pattern_of(words: Mapping[str, re.Match[str]], date: str, sizes: Mapping[str, str], folder: str) -> str:
    """The pattern of files of one band each, in whatever folders. Where the names of the files alone
    tell all,
    their folders are passed over: bands of one scene may lie in several, such as R10m and R20m. InputError
    where files of one scene are told apart."""
    bases = {name: PurePosixPath(name).name for name in words}
    if any("/" in name for name in words) and all(re.search(date, base) for base in bases.values()):
        if len(set(bases.values())) == len(bases):
            own = {base: _at(words[name], base) for name, base in bases.items()}
            pattern = f"(?:.*/)?{_pattern(own, date, sizes, within='[^/]')}"
        elif all(known_products.ESA.search(name) for name in words):
            # The same scene in products of several baselines.
            band = f"(?P<band>{_alternatives(words, sizes)})"
            pattern = rf"(?:.*/)?(?P<product>S2[A-D]_MSIL\w+?_{date}[^/]*)/(?:.*/)?[^/]*{band}[^/]*{SUFFIX}"
        else:
            pattern = _pattern(words, date, sizes)
    else:
        pattern = _pattern(words, date, sizes)
    _check_whole(pattern, words, folder)
    return pattern


def _at(match: re.Match[str], base: str) -> re.Match[str]:
    """The same place of a path's match in the file's name alone."""
    start = match.start() - (len(match.string) - len(base))
    found = re.compile(re.escape(match.group())).match(base, start)
    assert found is not None  # the name is the path's end
    return found


def _check_whole(pattern: str, words: Mapping[str, re.Match[str]], folder: str) -> None:
    """InputError where a pattern makes several scenes of one: of a date each has bands that others lack."""
    scenes: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, word in words.items():
        match = re.fullmatch(pattern, name)
        if match is None or match["band"] != word.group():
            raise InputError(
                f"--images: the name {name} does not tell date and band clearly: rename the files."
            )
        scenes[tuple(text or "" for group, text in match.groupdict().items() if group != "band")].add(
            word.group()
        )
    every = {word.group() for word in words.values()}
    whole = sum(own == every for own in scenes.values())
    if not whole and len(scenes) > 1:
        _, few = min((len(own), sorted(own)) for own in scenes.values())
        raise InputError(
            f"--images: no scene of {folder} has all of the bands {', '.join(sorted(every))}; some have "
            f"{', '.join(few)} alone: name the files of a scene alike but for the band, or leave only the "
            "files of one kind in the folder."
        )


def _alternatives(words: Mapping[str, re.Match[str]], sizes: Mapping[str, str]) -> str:
    """The words of bands as one pattern, of copies only the finest."""
    known = sorted({match.group() for match in words.values()}, key=_long_first)
    return "|".join(re.escape(word) + (rf"(?=[-_]{sizes[word]}m)" if word in sizes else "") for word in known)


def _pattern(
    words: Mapping[str, re.Match[str]], date: str, sizes: Mapping[str, str], within: str = "."
) -> str:
    """The pattern of files of one band each, any text of which is `within` some characters: what changes
    with the band alone is passed over, and what
    changes otherwise, such as a tile's name, tells scenes apart."""
    band = f"(?P<band>{_alternatives(words, sizes)})"
    pieces: list[tuple[str, ...]] = []
    first = set()
    for name, match in words.items():
        told = re.search(date, name)
        assert told is not None  # of dated names alone
        day, own = told.span("date"), match.span()
        first.add(day < own)
        (a, b), (c, d) = sorted([day, own])
        pieces.append((match.group(), name[:a], name[b:c], name[d:].rpartition(".")[0]))
    if len(first) > 1:
        raise InputError("--images: in some names the date comes first and in others the band: rename them.")
    date_first = first.pop()
    # Of several dates in a name the first is that of the image, and of several words the last is the band.
    every = ("*?", "*") if date_first else ("*", "*?")
    parts = [_part(number, pieces, f"{within}{some}") for number, some in enumerate((*every, "*"), 1)]
    middle = (date, band) if date_first else (band, date)
    pattern = f"{parts[0]}{middle[0]}{parts[1]}{middle[1]}{parts[2]}{SUFFIX}"
    if any("/" in name for name in words) and "/" not in pattern:
        pattern = f"(?:.*/)?{pattern}"
    for name, match in words.items():
        found = re.fullmatch(pattern, name)
        if found is None or (found["date"], found["band"]) != (_day(name, date), match.group()):
            raise InputError(
                f"--images: the name {name} does not tell date and band clearly: rename the files."
            )
    return pattern


def _long_first(word: str) -> tuple[int, str]:
    return -len(word), word


def _part(number: int, pieces: Sequence[tuple[str, ...]], some: str) -> str:
    """A piece of the names around date and band, as a pattern; `some` is what stands for any text."""
    by_band: dict[str, set[str]] = defaultdict(set)
    for piece in pieces:
        by_band[piece[0]].add(piece[number])
    whole = set.union(*by_band.values())
    only = next(iter(whole)) if len(whole) == 1 else None
    if only is not None and not re.search(r"[^\W_]", only):
        return re.escape(only).replace(r"\-", "-")
    # A single name today may be one of several tomorrow.
    if only is None and all(len(found) == 1 for found in by_band.values()):
        return some
    return f"(?P<part{number}>{some})"


def _exclusive(named: Named, names: Sequence[str], sensor: str | None) -> str:
    """The pattern, made to pass over files that are neither images nor masks of the scenes."""
    pattern = re.compile(named.pattern)
    taken = {*named.images}
    has_band = "band" in pattern.groupindex
    compared = names if "/" in named.pattern else [name for name in names if "/" not in name]
    fits = [name for name in compared if name not in taken and pattern.fullmatch(name)]
    masks = set(named.masks)
    wrong = [
        name
        for name in fits
        if not (has_band and (match := pattern.fullmatch(name)) and match["band"] in masks)
        and not (not has_band and dated_files.is_mask(PurePosixPath(name).name))
    ]
    if not wrong:
        return named.pattern
    words = Counter(_word_of_what(name, sensor) for name in wrong)
    none = "|".join(sorted(words, key=_long_first))
    return rf"(?!.*(?:{none})){named.pattern}"


def seems_mask(name: str) -> bool:
    """Return whether a file, by its path, or a band, by its name, seems to be a mask."""
    base = PurePosixPath(name).name
    return MASK.search(base) is not None or MASK_BAND.fullmatch(base) is not None


def why_left_out(name: str, sensor: str | None = None) -> str:
    """Return why a file is no image of the benchmark, in a few words; `sensor` is what was asked for."""
    base = PurePosixPath(name).name
    if sensor is not None and not known_products.is_of(name, sensor):
        product = known_products.of_name(name)
        return f"of {product.name}" if product else f"not named as files of {sensor}"
    if APART.search(name):
        return "beside a product's images"
    if known_products.of_name(name) is known_products.L1C:
        return "Level-1C, beside Level-2A"
    if DERIVED.search(base):
        return "made from bands"
    if seems_mask(base):
        return "not used as mask"
    return "coarser copies, or in folders below the images"


def _word_of_what(name: str, sensor: str | None) -> str:
    """What tells a file apart from images, as a pattern: a word of its name, else all of it."""
    base = PurePosixPath(name).name
    if match := APART.search(name):
        return re.escape(match.group())
    if known_products.of_name(name) is known_products.L1C:
        return "MSIL1C"
    if (
        sensor is not None
        and not known_products.is_of(name, sensor)
        and (word := known_products.word_of(name))
    ):
        return re.escape(word)
    match = DERIVED.search(base) or MASK.search(base)
    return rf"(?<![A-Za-z0-9]){re.escape(match.group())}(?![A-Za-z0-9])" if match else re.escape(name) + "$"
