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

from pipeline import recipe
from pipeline.catalog import root as catalog
from pipeline.core import receipts, tables
from pipeline.core.errors import InputError, UnknownName
from pipeline.core.files import replacing
from pipeline.core.layout import Benchmark
from pipeline.core.runner import Spread
from pipeline.cubes import annotate, compose
from pipeline.index import tile
from pipeline.interchange.jobs import ABOUT_EXPORT
from pipeline.recipe import Recipe
from pipeline.scenes import fetch
from pipeline.sites import lay_out
from pipeline.sources import import_
from pipeline.sources.import_.layouts import Facts, Layout
from pipeline.sources.import_.readers import READERS, opened

ABOUT_MINES = "The sites of this benchmark come from published files; see source in ../recipe.yaml.\n"


@dataclass(frozen=True)
class Ingested:
    """What was made. `left_out` says what of the files was not taken in, and why."""

    sites: int
    tiles: int
    left_out: tuple[str, ...]


def prepare(
    name: str, layout: str, path: Path, root: Path = Path(), resolution: float | None = None
) -> tuple[Benchmark, Recipe]:
    """The benchmark's folder and recipe, made unless they are there from a run before. `resolution` in
    metres is of files that do not say it. InputError, and nothing written, where the files do not fit the
    layout."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"'{name}' cannot name a benchmark: use lower-case letters, digits, - and _.")
    if layout not in READERS:
        raise UnknownName(f"'{layout}' is not a layout; choose one of {', '.join(READERS)}.")
    benchmark = Benchmark(name, root)
    if not benchmark.folder.exists():
        _scaffold(benchmark, layout, path.resolve(), resolution)
    loaded = recipe.load(benchmark.recipe)
    source = loaded.source
    if not isinstance(source, import_.Options) or (source.layout, source.path) != (layout, path.resolve()):
        raise InputError(f"{benchmark.folder} exists and is another benchmark: choose another name.")
    return benchmark, loaded


def run(benchmark: Benchmark, loaded: Recipe, workers: int) -> Ingested:
    """The stages up to `catalog`. A run that was interrupted goes on when it is started again."""
    if not isinstance(loaded.source, import_.Options):
        raise InputError(f"{benchmark.recipe} is not a recipe of published files.")
    files, spread = loaded.source.read(benchmark.root), Spread(workers)
    table = lay_out.build(benchmark, loaded)
    fetch.build(benchmark, loaded, spread)
    compose.build(benchmark, loaded, spread)
    annotate.build(benchmark, loaded, spread)
    tiles = tile.build(benchmark, loaded, spread).tiles
    tables.write(_published_names(files, loaded.tiling.size), benchmark.table("imported"))
    catalog.build(benchmark, loaded, spread)
    return Ingested(len(table), tiles, files.facts().left_out)


def _published_names(files: Layout, size: int) -> pd.DataFrame:
    """Which file each tile of a stack was: site_id, y0, file. Empty where sites are scenes."""
    rows = [(site.name, k * size, name) for site in files.sites() for k, name in enumerate(site.tiles)]
    return pd.DataFrame(rows, columns=["site_id", "y0", "file"])


def _resolution(files: Layout, layout: str, path: Path, given: float | None) -> float | None:
    """The pixel, metres, of files without a place: as the user or the export says; None for the
    published one, and for files that have it themselves."""
    if all(site.grid is not None for site in files.sites()):
        if given is not None:
            raise InputError(f"--resolution: the files of {layout} say it themselves; leave it out.")
        return None
    told = receipts.read(path / ABOUT_EXPORT).get("resolution_m")
    return given or (float(told) if told else None)


def _scaffold(benchmark: Benchmark, layout: str, path: Path, resolution: float | None) -> None:
    files = opened(layout, path)
    facts = files.facts()
    pixel = _resolution(files, layout, path, resolution)
    if pixel is not None:
        facts = replace(facts, sensor={**facts.sensor, "resolution": pixel})
    with replacing(benchmark.folder) as temporary:
        draft = Benchmark(temporary.name, benchmark.root)
        for folder, text in ((draft.mines, ABOUT_MINES), (draft.annotations, "Labels are imported.\n")):
            folder.mkdir(parents=True)
            (folder / "README.md").write_text(text)
        splits = _splits(files)
        if splits is not None:
            splits.to_csv(draft.mines / "split.csv", index=False)
        _write(draft.recipe, _content(benchmark.name, layout, path, facts, splits is not None))
        recipe.load(draft.recipe)


def _splits(files: Layout) -> pd.DataFrame | None:
    """The published split by site; None where the files say nothing of it."""
    rows = [(site.name, site.split) for site in files.sites()]
    if not any(split for _, split in rows):
        return None
    return pd.DataFrame(rows, columns=["site_id", "split"])


def _content(name: str, layout: str, path: Path, facts: Facts, has_splits: bool) -> dict[str, Any]:
    split: dict[str, Any] = {"by": "list", "list": "split.csv"} if has_splits else {"stratify": ["country"]}
    return {
        "title": f"{facts.title} ({name})",
        "sensor": dict(facts.sensor),
        "source": {"name": "import", "layout": layout, "path": str(path)},
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
