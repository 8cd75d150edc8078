"""Command `publish`: a benchmark as one folder that any static host or data repository serves as it is.

    OUT/index.html, viewer/          the viewer
    OUT/README.md, LICENCES.md       the card, with what changed since the release before
    OUT/catalogs/<b>/stac/           the catalog
    OUT/data/<b>/                    cubes, tables, predictions, activity, report, models
    OUT/qgis/                        a project of all sites by date
    OUT/expected/                    where a split's labels are hidden: what is to be predicted of it
    OUT/RELEASE.json                 written first: whose folder this is
    OUT/SHA256SUMS                   written last: where it is, all the rest is there

Files are linked where the file system lets them, else copied; those that are there already stay. What
publishing did not write (.git, CNAME) stays as well.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from minebench import __version__, cores, receipts, tables
from minebench.errors import InputError, NotMadeYet, WorkError
from minebench.files import link, replacing, sha256, write_json
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from pipeline.core.runner import Spread
from pipeline.publish import contents, hidden, qgis_project, releases, viewer_data, withheld
from pipeline.recipe import Recipe
from pipeline.scenes import attribution
from pipeline.scoring import expected
from pipeline.stac import dataset_card
from pipeline.stac.check import check

SUMS = "SHA256SUMS"
RELEASE = "RELEASE.json"
CARDS = ("README.md", "LICENCES.md")
EXPECTED = "expected"
FOLDERS = ("catalogs", "data", EXPECTED, contents.FOLDER.name, qgis_project.FOLDER)
"""All that lies in these is the release's."""


@dataclass(frozen=True)
class Published:
    """What was published: files and bytes, how many files were new, what was left out and why, and what
    changed since the release before."""

    files: int
    size: int
    new: int
    left_out: list[str]
    release: releases.Release | None

    def told(self) -> dict[str, Any]:
        """For machines."""
        own = {"files": self.files, "bytes": self.size, "new": self.new, "left_out": self.left_out}
        if self.release is None:
            return own
        return {**own, "version": self.release.version, "since": self.release.before,
                "changes": self.release.changes}  # fmt: skip


def publish(
    benchmark: BenchmarkPaths, recipe: Recipe, out: Path, spread: Spread, version: str | None = None
) -> Published:
    """Write the folder, and verify it. InputError where `out` is something else, or terms forbid it;
    WorkError where what was written is not what the catalog says."""
    if not (benchmark.stac / "catalog.json").is_file():
        raise NotMadeYet(f"{benchmark.stac / 'catalog.json'} is missing: run `minebench catalog` first.")
    _accept(benchmark, out)
    if recipe.split.hidden:
        benchmark = hidden.without(benchmark, recipe, spread)
    kept = withheld.images(attribution.used(recipe, tables.read(benchmark.table("scenes"), "fetch")))
    release = releases.make(benchmark, version) if version else None
    viewer_data.build(benchmark, recipe, spread)
    told = {"benchmark": benchmark.name, "version": release.version if release else None}
    write_json({**told, "minebench": __version__}, out / RELEASE)
    (out / SUMS).unlink(missing_ok=True)
    published = BenchmarkPaths(benchmark.name, out)
    files = [
        file
        for file in contents.files(benchmark)
        if not kept or not withheld.shows_pixels(benchmark, file, recipe)
    ]
    new = _place_all(benchmark, files, out)
    if kept:
        withheld.restate(published, recipe, kept)
    if release:
        _state_version(published, release.version)
    own = [*_viewer(published, recipe.title), *_cards(published, release, recipe)]
    own += _expected(benchmark, recipe, out)
    own += qgis_project.write(published, recipe, out)
    wanted = {*(file.relative_to(benchmark.root).as_posix() for file in files), *own, RELEASE}
    _drop_others(out, wanted)
    try:
        check(published)
    except WorkError as error:
        raise WorkError(f"{error}\nRun `minebench catalog`, then publish again.") from None
    size = _write_sums(out, sorted(wanted))
    if release:
        releases.keep(benchmark, release)
    return Published(len(wanted) + 1, size, new, [upstream.name for upstream in kept], release)


def _accept(benchmark: BenchmarkPaths, out: Path) -> None:
    """InputError where `out` holds other things, or lies where stages write."""
    inside = out.resolve()
    if benchmark.root.resolve().is_relative_to(inside):
        raise InputError(f"{out} holds the repository itself: choose a folder of the release's own.")
    for own in (benchmark.root / "data", benchmark.root / "catalogs"):
        if inside == own.resolve() or inside.is_relative_to(own.resolve()):
            raise InputError(f"{out} lies in {own}/, which the stages write: choose a folder outside.")
    for folder in FOLDERS:
        for path in (out / folder, *(out / folder).rglob("*/")):
            if path.is_symlink():
                raise InputError(
                    f"{path} is a link, and what lies behind it is not the release's: name the real folder "
                    "as OUT, or remove the link."
                )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give a folder to publish into.")
    holds = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if holds and receipts.read(out / RELEASE).get("benchmark") != benchmark.name:
        raise InputError(
            f"{out} holds other things: give an empty folder, or one that {benchmark.name} was published to."
        )


def _place_all(benchmark: BenchmarkPaths, files: list[Path], out: Path) -> int:
    """Put files where they belong; how many were not there."""
    new = 0
    with progress("publish", len(files), "files") as advance:
        for file in files:
            new += _place(file, out / file.relative_to(benchmark.root))
            advance()
    return new


def _place(file: Path, target: Path) -> bool:
    """Link or copy a file, whole or not at all; False where it is there already."""
    own = file.stat()
    if target.is_file():
        there = target.stat()
        if os.path.samestat(own, there) or (own.st_size, own.st_mtime_ns) == (
            there.st_size,
            there.st_mtime_ns,
        ):
            return False
    with replacing(target) as temporary:
        link(file, temporary)
    return True


def _viewer(published: BenchmarkPaths, title: str) -> Iterator[str]:
    for file in sorted(contents.FOLDER.rglob("*")):
        if file.is_file() and file.name != contents.PAGE:
            name = file.relative_to(contents.FOLDER.parent).as_posix()
            with replacing(published.root / name) as temporary:  # never a link to the program's own files
                shutil.copy2(file, temporary)
            yield name
    with replacing(published.root / contents.PAGE) as temporary:
        temporary.write_text(contents.page(published, title), encoding="utf-8")
    yield contents.PAGE


def _expected(benchmark: BenchmarkPaths, recipe: Recipe, out: Path) -> Iterator[str]:
    """Names and grids of what is to be predicted of hidden splits."""
    for split, task in product(recipe.split.hidden, expected.tasks_of(recipe)):
        name = f"{EXPECTED}/{split}-{task}.csv"
        with replacing(out / name) as temporary:
            expected.table(expected.of(benchmark, recipe, split, task)).to_csv(temporary, index=False)
        yield name


def _cards(published: BenchmarkPaths, release: releases.Release | None, recipe: Recipe) -> Iterator[str]:
    """The catalog's cards, at the top, with what changed."""
    stac = published.stac.relative_to(published.root).as_posix()
    where = (
        "\n## In this folder\n\n`index.html` shows it in a browser, from any web server. For programs: "
        f"`{stac}/catalog.json` (STAC), `data/{published.name}/cubes` (Zarr), "
        f"`data/{published.name}/index` (Parquet), `qgis/{published.name}.qgs` (QGIS). "
        f"`sha256sum -c {SUMS}` says whether all of it arrived.\n"
    )
    for name in CARDS:
        text = (published.stac / name).read_text(encoding="utf-8")
        if name == CARDS[0]:
            text += where + (f"\n{release.text()}" if release else "")
            text += f"\n{hidden.sentence(recipe)}\n" if recipe.split.hidden else ""
        with replacing(published.root / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        yield name


def _state_version(published: BenchmarkPaths, version: str) -> None:
    """Croissant's version is the release's."""
    path = published.stac / dataset_card.CROISSANT_FILE
    write_json({**withheld.read(path), "version": version}, path)
    withheld.restate_links(published)


def _drop_others(out: Path, wanted: Collection[str]) -> None:
    """Take away what an earlier release had in its folders, and those that are empty then."""
    for folder in FOLDERS:
        for top, _, names in os.walk(out / folder, topdown=False):
            for path in (Path(top, name) for name in names):
                if path.relative_to(out).as_posix() not in wanted:
                    path.unlink()
            if not any(Path(top).iterdir()):
                Path(top).rmdir()


def _write_sums(out: Path, names: list[str]) -> int:
    """Write what `sha256sum -c` reads; the bytes of all files together."""
    with ThreadPoolExecutor(cores.count()) as pool, progress("sums", len(names), "files") as advance:
        lines = []
        for name, digest in zip(names, pool.map(lambda name: sha256(out / name), names), strict=True):
            lines.append(f"{digest}  {name}\n")
            advance()
    with replacing(out / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return sum((out / name).stat().st_size for name in (*names, SUMS))
