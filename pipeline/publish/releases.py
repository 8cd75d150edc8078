"""What changed between two releases of a benchmark, in numbers.

catalogs/<b>/releases/<version>.parquet    a row per date of a site: which image, which labels, which split

The tables stay with the recipe, so that they can be committed and the next release compared with them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from minebench import receipts, tables
from minebench.cube.labels import Labels
from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from minebench.text import counted
from pipeline.core.versions import parsed

ROW = {"site_id": "str", "period": "str", "image": "str", "labels": "str", "split": "str"}
"""Columns of a release. `image` is the key of what the image is made of (`composites.images`), `labels` a
digest of its mask, `split` the site's, or a digest of its tiles' where they lie in several."""


@dataclass(frozen=True)
class Release:
    """A version, what it holds, and the release before with what changed since, where there is one."""

    version: str
    rows: pd.DataFrame
    before: str | None
    changes: list[str]

    def text(self) -> str:
        """The card's section."""
        if self.before is None:
            return f"## Version {self.version}\n\nThe first release.\n"
        listed = "\n".join(
            f"- {line}" for line in self.changes or ["Nothing: the same sites, dates and labels."]
        )
        return f"## Version {self.version}\n\nSince {self.before}:\n\n{listed}\n"


def folder(benchmark: BenchmarkPaths) -> Path:
    return benchmark.folder / "releases"


def make(benchmark: BenchmarkPaths, version: str) -> Release:
    """What is built now as `version`. InputError where that is no version, not above those released, or
    released with other content."""
    wanted = parsed(version, "--version")
    version = str(wanted)
    path = folder(benchmark) / f"{version}.parquet"
    rows = _rows(benchmark)
    if path.is_file() and not tables.read(path, "publish").equals(rows):
        raise InputError(
            f"{path}: {version} was released with other content: give a higher --version, or remove the file "
            "where nobody has that release."
        )
    files = [file for file in folder(benchmark).glob("*.parquet") if file != path]
    released = sorted((parsed(file.stem, f"{file.parent}/"), file) for file in files)
    if above := [file.stem for known, file in released if known >= wanted]:
        raise InputError(
            f"--version {version} is not above {above[-1]}, which was released: give a higher one."
        )
    if not released:
        return Release(version, rows, None, [])
    before = released[-1][1]
    return Release(version, rows, before.stem, changes(tables.read(before, "publish"), rows))


def keep(benchmark: BenchmarkPaths, release: Release) -> Path:
    """Write the release's table; the next one is compared with it."""
    path = folder(benchmark) / f"{release.version}.parquet"
    tables.write(release.rows, path)
    return path


def _rows(benchmark: BenchmarkPaths) -> pd.DataFrame:
    composites = tables.read(benchmark.table("composites"), "compose")
    composites = composites[composites.kept].sort_values(["site_id", "period"])
    splits = _splits(benchmark)
    rows = []
    for site_id, own in composites.groupby("site_id"):
        labels = _digests(Labels.read(benchmark.cube(str(site_id))))
        rows += [
            (
                str(site_id),
                str(row.period),
                str(row.images),
                labels[str(row.period)],
                splits.get(str(site_id), ""),
            )
            for row in own.itertuples()
        ]
    return pd.DataFrame(rows, columns=list(ROW)).astype(ROW)


def _digests(labels: Labels) -> dict[str, str]:
    """Each date's mask, and the change drawn for pairs that end with it."""
    found = {}
    for place, period in enumerate(labels.periods):
        digest = hashlib.sha256(labels.mine[place].tobytes())
        for (t1, t2), pair in sorted(labels.drawn.items()):
            if t2 == period and labels.change is not None:
                digest.update(t1.encode() + labels.change[pair].tobytes())
        found[period] = digest.hexdigest()[:16]
    return found


def _splits(benchmark: BenchmarkPaths) -> dict[str, str]:
    tiles = tables.read(benchmark.table("tiles"), "tile", ["site_id", "tile_id", "split"])
    found = {}
    for site_id, own in tiles.groupby("site_id"):
        names = sorted(set(own.split))
        placed = sorted(zip(own.tile_id, own.split, strict=True))
        found[str(site_id)] = names[0] if len(names) == 1 else receipts.fingerprint(placed)
    return found


def changes(before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """Sentences with numbers, of what differs."""
    old, new = set(before.site_id), set(now.site_id)
    both = before.merge(now, on=["site_id", "period"], suffixes=("_before", ""))
    kept = old & new
    dates = {
        name: set(map(tuple, table[table.site_id.isin(kept)][["site_id", "period"]].to_numpy()))
        for name, table in (("before", before), ("now", now))
    }
    moved = both[both.split != both.split_before].site_id.nunique()
    images, labels = both[both.image != both.image_before], both[both.labels != both.labels_before]
    found = (
        (len(new - old), "site", "added"),
        (len(old - new), "site", "taken away"),
        (len(dates["now"] - dates["before"]), "date", "added to sites that were there"),
        (len(dates["before"] - dates["now"]), "date", "taken away from sites that stay"),
        (len(images), "image", f"made anew, of {counted(images.site_id.nunique(), 'site')}"),
        (len(labels), "mask", f"labelled anew, of {counted(labels.site_id.nunique(), 'site')}"),
        (moved, "site", "in another split"),
    )
    return [f"{counted(number, word)} {what}" for number, word, what in found if number]
