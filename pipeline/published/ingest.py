"""Command `ingest`: published files become a benchmark, by the stages that make any other.

Writes catalogs/<name>/ (recipe.yaml, mines/split.csv) and runs `sites` to `catalog`; `dvc repro` can take
over from there. Nothing is resampled and nothing tiled that is already: see
`pipeline.sources.import_`.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from minebench import receipts, tables
from minebench.errors import InputError, UnknownName
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.cubes import annotate, compose
from pipeline.export.jobs import ABOUT_EXPORT
from pipeline.index import tile
from pipeline.published.formats import known_sets
from pipeline.published.formats.known_sets import UNKNOWN, PublishedSet
from pipeline.published.formats.layout import Facts, Layout
from pipeline.published.formats.readers import READERS, folders, opened
from pipeline.recipe import Recipe
from pipeline.scenes import fetch
from pipeline.sites import build
from pipeline.sources import import_
from pipeline.stac import root as catalog

ABOUT_MINES = "The sites of this benchmark come from published files; see source in ../recipe.yaml.\n"


@dataclass(frozen=True)
class Ingested:
    """What was made. `left_out` says what of the files was not taken in, and why, and `notes` what was taken
    for granted."""

    sites: int
    tiles: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What somebody says of files that do not say it themselves; `dates` as in
    `pipeline.published.formats.folders.spans_of`."""

    title: str | None = None
    citation: str | None = None
    licence: str | None = None
    dates: str | None = None


def prepare(
    name: str, layout: str, path: Path, root: Path = Path(), resolution: float | None = None,
    given: Given = Given(),
) -> tuple[BenchmarkPaths, Recipe]:  # fmt: skip
    """The benchmark's folder and recipe, made unless they are there from a run before.

    `layout` is one of READERS, or a set of `published_sets.SETS` in the layout `folders`. `resolution` in
    metres and `given` are of files that do not say it. InputError, and nothing written, where the files do
    not fit the layout.
    """
    known = known_sets.SETS.get(layout.lower())
    layout = "folders" if known else layout
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"'{name}' cannot name a benchmark: use lower-case letters, digits, - and _.")
    if layout not in READERS:
        names = ", ".join([*READERS, *known_sets.SETS])
        raise UnknownName(f"'{layout}' is not a layout or a set that is known; choose one of {names}.")
    if layout != "folders" and given != Given():
        word = next(key for key, value in vars(given).items() if value is not None)
        raise InputError(f"--{word}: what is published as {layout} has its own; it is for --from folders.")
    benchmark = BenchmarkPaths(name, root)
    if not benchmark.folder.exists():
        _scaffold(benchmark, layout, path.resolve(), resolution, _completed(given, known))
    loaded = recipe.load(benchmark.recipe)
    source = loaded.source
    if not isinstance(source, import_.Options) or (source.layout, source.path) != (layout, path.resolve()):
        raise InputError(f"{benchmark.folder} exists and is another benchmark: choose another name.")
    return benchmark, loaded


def run(benchmark: BenchmarkPaths, loaded: Recipe, workers: int) -> Ingested:
    """The stages up to `catalog`. A run that was interrupted goes on when it is started again."""
    if not isinstance(loaded.source, import_.Options):
        raise InputError(f"{benchmark.recipe} is not a recipe of published files.")
    files, spread = loaded.source.published(benchmark.root), Spread(workers)
    table = build.build(benchmark, loaded)
    fetch.build(benchmark, loaded, spread)
    compose.build(benchmark, loaded, spread)
    annotate.build(benchmark, loaded, spread)
    done = tile.build(benchmark, loaded, spread)
    tables.write(_published_names(files, loaded.tiling.size), benchmark.table("imported"))
    catalog.build(benchmark, loaded, spread)
    facts = files.facts()
    small = tuple(f"{site}: smaller than a tile of {loaded.tiling.size} pixels" for site in done.without)
    return Ingested(len(table), done.tiles, facts.left_out + small, facts.notes + _unknown(loaded))


def _unknown(loaded: Recipe) -> tuple[str, ...]:
    """What nobody has said of the files."""
    source = loaded.source
    if not isinstance(source, import_.Options) or source.described is None:
        return ()
    told = {
        "--resolution": source.knows_pixel, "--licence": source.described.licence != UNKNOWN,
        "--citation": loaded.citation != UNKNOWN,
        "--dates": not any(period.is_unknown for period in loaded.periods.periods()),
    }  # fmt: skip
    lacking = [word for word, is_known in told.items() if not is_known]
    return (f"unknown, for want of {', '.join(lacking)}; the card says so",) if lacking else ()


def _published_names(files: Layout, size: int) -> pd.DataFrame:
    """Which file each tile of a stack was: site_id, y0, file. Empty where sites are scenes."""
    rows = [(site.name, k * size, name) for site in files.sites() for k, name in enumerate(site.tiles)]
    return pd.DataFrame(rows, columns=["site_id", "y0", "file"])


def _with_pixel(files: Layout, layout: str, path: Path, given: float | None) -> Facts:
    """A layout's facts, with the pixel of files without a place as the user or the export says; else the
    published one. InputError where the files have it themselves."""
    facts = files.facts()
    if all(site.grid is not None for site in files.sites()):
        if given is not None:
            raise InputError(f"--resolution: the files of {layout} say it themselves; leave it out.")
        return facts
    pixel = given or _exported(path)
    return facts if pixel is None else replace(facts, sensor={**facts.sensor, "resolution": pixel})


def _completed(given: Given, known: PublishedSet | None) -> PublishedSet:
    """What was given, filled up by what is known of a set."""
    base = known or PublishedSet("", UNKNOWN, "", "Change between two images; what counts is unknown.")
    return replace(base, **{key: value for key, value in vars(given).items() if value is not None})


def _of_folders(
    name: str, path: Path, resolution: float | None, about: PublishedSet
) -> tuple[Facts, dict[str, Any]]:
    """The recipe's parts of pairs in folders, and what its source says of them."""
    reader = folders(path, about.dates)
    facts, pixel = reader.facts(), resolution or about.resolution or reader.resolution() or _exported(path)
    title = about.title or name
    facts = replace(
        facts, title=title, citation=about.citation, sensor={**facts.sensor, "resolution": pixel or 1},
        labels={"meaning": about.meaning, **facts.labels},
    )  # fmt: skip
    described = {
        "dataset": title, "licence": about.licence, "url": about.url, "dates": about.dates,
        "threshold": reader.threshold_of_masks(), "pixel": "known" if pixel else "unknown",
        "notes": [*(f"left out: {what}" for what in facts.left_out), *facts.notes],
    }  # fmt: skip
    return facts, {"described": described}


def _exported(path: Path) -> float | None:
    """The pixel, metres, that our own export wrote beside its files."""
    told = receipts.read(path / ABOUT_EXPORT).get("resolution_m")
    return float(told) if told else None


def _scaffold(
    benchmark: BenchmarkPaths, layout: str, path: Path, resolution: float | None, about: PublishedSet
) -> None:
    files = opened(layout, path)
    more: dict[str, Any] = {}
    if layout == "folders":
        facts, more = _of_folders(benchmark.name, path, resolution, about)
    else:
        facts = _with_pixel(files, layout, path, resolution)
    with replacing(benchmark.folder) as temporary:
        draft = BenchmarkPaths(temporary.name, benchmark.root)
        for folder, text in ((draft.mines, ABOUT_MINES), (draft.annotations, "Labels are imported.\n")):
            folder.mkdir(parents=True)
            (folder / "README.md").write_text(text)
        splits = _splits(files)
        if splits is not None:
            splits.to_csv(draft.mines / "split.csv", index=False)
        _write(draft.recipe, _content(benchmark.name, layout, path, facts, splits is not None, more))
        recipe.load(draft.recipe)


def _splits(files: Layout) -> pd.DataFrame | None:
    """The published split by site; None where the files say nothing of it."""
    rows = [(site.name, site.split) for site in files.sites()]
    if not any(split for _, split in rows):
        return None
    return pd.DataFrame(rows, columns=["site_id", "split"])


def _content(
    name: str, layout: str, path: Path, facts: Facts, has_splits: bool, more: dict[str, Any]
) -> dict[str, Any]:
    split: dict[str, Any] = {"by": "list", "list": "split.csv"} if has_splits else {"stratify": ["country"]}
    return {
        "title": facts.title if more else f"{facts.title} ({name})",
        "sensor": dict(facts.sensor),
        "source": {"name": "import", "layout": layout, "path": str(path), **more},
        "periods": dict(facts.periods),
        "selection": {"policy": "least_cloudy"},
        "sites": {"mines": "README.md"},
        "labels": dict(facts.labels),
        "tiling": dict(facts.tiling),
        "pairs": facts.pairs,
        "split": split,
        "citation": facts.citation,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    # Through JSON, so that no part refers to another: aliases are lawful YAML and puzzle readers.
    plain = json.loads(json.dumps(content))
    with path.open("w", encoding="utf-8") as file:
        file.write("# Made by `minebench ingest`: the published files, as they are.\n")
        yaml.safe_dump(plain, file, sort_keys=False, width=100, allow_unicode=True, default_flow_style=None)
