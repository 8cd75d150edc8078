"""Predictions of any framework as a folder of files, found, checked and given to what scores.

<tile_id>_<t1>_<t2>, <tile_id>_<period>      .tif, .tiff, .png or .npy, in any subfolder
<site_id>_<t1>_<t2>, <site_id>_<period>      the same over whole sites
<site_id>.zarr                               in the cube's form: `change` (pair, y, x) with the attribute
                                             `pairs`, or `mine` (time, y, x) with the group's `periods`
submission.yaml                              who, what, licence, url
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
import zarr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from torch import Tensor

from minebench.errors import InputError
from minebench.files import ONLY_READ, check_links, replacing, sha256
from minebench.index import Tile
from minebench.progress import progress
from minebench.text import counted
from models.evaluation.stacks import Stack
from pipeline.core import yaml_text
from pipeline.cubes import cube
from pipeline.scoring import expected, maps
from pipeline.scoring.expected import Dates, Expected
from pipeline.scoring.maps import Map

ABOUT = "submission.yaml"
SAID = ("who", "what", "licence", "url")
ARRAYS = {"change": "change", "segmentation": "mine"}
SHOWN = 10
"""Problems that the sentence names; the rest is in a table."""
MISSING = "is missing"
LARGEST_ABOUT = 10_000
"""Bytes of submission.yaml."""


@dataclass(frozen=True)
class Submission:
    """Checked predictions: maps by name. What is scored takes logits of them; NaN where there is no map."""

    wanted: Expected
    maps: dict[str, Map]
    checksum: str
    about: dict[str, str]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def predicted(self) -> int:
        """How many of the maps that are wanted are there."""
        return sum(_found(self.maps, tile, dates) is not None for tile, dates in self.wanted.maps)

    def pairs(self, stack: Stack, pairs: Sequence[tuple[int, int]]) -> Tensor:
        return self._logits(stack.tile, [(stack.periods[i], stack.periods[j]) for i, j in pairs])

    def masks(self, stack: Stack) -> Tensor:
        return self._logits(stack.tile, [(period,) for period in stack.periods])

    def _logits(self, tile: Tile, dates: list[Dates]) -> Tensor:
        found = np.stack([self._probability(tile, own) for own in dates])
        return torch.logit(torch.from_numpy(found)).to(self.device)

    def _probability(self, tile: Tile, dates: Dates) -> NDArray[np.float32]:
        """A tile's map (y, x), padded with 0 where the tile is: nothing is known of the padding."""
        found = _found(self.maps, tile, dates)
        if found is None:
            return np.full(tile.shape, np.nan, np.float32)
        own, is_whole_site = found
        if not is_whole_site:
            return own.read()
        return np.pad(own.read(tile.window), ((0, tile.pad_y), (0, tile.pad_x)))


def _found(held: dict[str, Map], tile: Tile, dates: Dates) -> tuple[Map, bool] | None:
    """A tile's map, or its site's, and which of both."""
    for place, is_whole_site in ((tile.tile_id, False), (tile.site_id, True)):
        if (own := held.get(expected.name(place, dates))) is not None:
            return own, is_whole_site
    return None


def task_of(folder: Path, tasks: dict[str, Expected]) -> str:
    """What a folder predicts, by the names in it. InputError where it is neither, or both."""
    listed = [found for found, _ in _listed(folder)]
    known = {task: {name for name, _ in _names(wanted)} for task, wanted in tasks.items()}
    found = [
        task
        for task in tasks
        if any(name in known[task] or name.endswith(f"/{ARRAYS[task]}") for name in listed)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{folder} holds predictions of {' and of '.join(found)}: score one at a time.")
    raise InputError(
        f"{folder} holds no prediction of a known name among {len(listed)} files: "
        "`minebench score --template OUT` writes the names that are expected."
    )


def read(folder: Path, wanted: Expected, problems: Path, is_partial: bool) -> Submission:
    """A folder's predictions. InputError names what is missing, too much, or cannot be scored; all of it is
    in the table `problems` (CSV)."""
    about, listed = _about(folder), list(_maps(folder, wanted))
    held, wrong = _checked(folder, listed, dict(_names(wanted)))
    if not held and not wrong:
        raise InputError(f"{folder} holds no prediction to score.")
    missing = [] if is_partial else [(name, MISSING) for name in _missing(held, wrong, wanted)]
    _refuse(folder, wrong + missing, problems)
    return Submission(wanted, held, _digest(folder, {own.path for _, own in listed}), about)


def _checked(
    folder: Path, listed: list[tuple[str, Map]], grids: dict[str, GeoBox]
) -> tuple[dict[str, Map], list[tuple[str, str]]]:
    """The maps that can be scored, and what is wrong with the others."""
    held: dict[str, Map] = {}
    wrong: list[tuple[str, str]] = []
    with progress("check", len(listed), "maps") as advance:
        for name, own in listed:
            try:
                if name not in grids:
                    name = own.path.relative_to(folder).as_posix()
                    raise InputError("is not expected")
                if name in held:
                    raise InputError(f"is there twice, as {own.path.name} too")
                held[name] = maps.checked(own, grids[name])
            except InputError as error:
                wrong.append((name, str(error)))
            advance()
    return held, wrong


def _digest(folder: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()


def _missing(held: dict[str, Map], wrong: list[tuple[str, str]], wanted: Expected) -> list[str]:
    """Names of maps that nothing was predicted of: of tiles, or of sites where there are maps of sites."""
    refused = {name for name, _ in wrong}
    by_site = {expected.name(site, own) for site, dates in wanted.of_sites.items() for own in dates}
    is_by_site = not by_site.isdisjoint([*held, *refused])
    found: dict[str, None] = {}
    for tile, dates in wanted.maps:
        own, whole = (expected.name(place, dates) for place in (tile.tile_id, tile.site_id))
        if not {own, whole} & refused and own not in held and whole not in held:
            found[whole if is_by_site else own] = None
    return list(found)


def _refuse(folder: Path, wrong: list[tuple[str, str]], problems: Path) -> None:
    problems.unlink(missing_ok=True)
    if not wrong:
        return
    table = pd.DataFrame(wrong, columns=["name", "problem"])
    try:
        with replacing(problems) as temporary:
            table.to_csv(temporary, index=False)
    except OSError as error:
        if error.errno not in ONLY_READ:
            raise
        written = ""
    else:
        written = f" (all in {problems})"
    shown = "; ".join(f"{name} {what}" for name, what in wrong[:SHOWN])
    more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
    partial = " Or score what is there with --partial." if all(w == MISSING for _, w in wrong) else ""
    raise InputError(
        f"{folder} cannot be scored as it is ({counted(len(wrong), 'prediction')}): {shown}{more}"
        f"{written}.{partial}"
    )


def _names(wanted: Expected) -> Iterator[tuple[str, GeoBox]]:
    """Every name that a map may have, and its grid."""
    for tile_id, listed in wanted.dates.items():
        grid = wanted.grid_of(wanted.tiles[tile_id])
        yield from ((expected.name(tile_id, dates), grid) for dates in listed)
    for site_id, listed in wanted.of_sites.items():
        for dates in listed:
            yield expected.name(site_id, dates), wanted.sites[site_id].grid


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names of what a folder predicts, without suffix; of a Zarr its arrays. InputError without a folder."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: name the one that holds the predictions.")
    check_links(folder)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if any(part.endswith(".zarr") for part in inside[:-1]) or any(part[0] == "." for part in inside):
            continue
        if path.suffix == ".zarr" and path.is_dir():
            yield from (
                (f"{path.name}/{array}", path) for array in ARRAYS.values() if (path / array).is_dir()
            )
        elif path.suffix.lower() in maps.SUFFIXES:
            yield path.stem, path


def _maps(folder: Path, wanted: Expected) -> Iterator[tuple[str, Map]]:
    array = ARRAYS[wanted.task]
    for found, path in _listed(folder):
        if path.suffix != ".zarr":
            yield found, Map(path)
        elif found.endswith(f"/{array}"):
            for place, dates in enumerate(_dates_in(path, array, wanted)):
                yield expected.name(path.stem, dates), Map(path, array, place)


def _dates_in(path: Path, array: str, wanted: Expected) -> list[Dates]:
    """The dates along an array's first axis, as it says, or those expected where it does not."""
    try:
        group = zarr.open_group(path, mode="r")
        maps_of = cube.array_of(group, array)
        said: Any = maps_of.attrs.get("pairs") if array == "change" else group.attrs.get("periods")
        length = maps_of.shape[0]
        listed = wanted.of_sites.get(path.stem, []) if said is None else said
        dates = [(str(own),) if isinstance(own, str | int) else tuple(map(str, own)) for own in listed]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a Zarr in the cube's form ({error}).") from None
    if len(dates) != length:
        raise InputError(
            f"{path}: {array} has {length} maps and {len(dates)} are named: give the attribute "
            f"{'pairs of the array' if array == 'change' else 'periods of the group'}."
        )
    return dates


def _about(folder: Path) -> dict[str, str]:
    """Who predicted what, as submission.yaml says. InputError where it says something else."""
    path = folder / ABOUT
    if not path.is_file():
        return dict.fromkeys(SAID, "")
    if path.stat().st_size > LARGEST_ABOUT:
        raise InputError(f"{path} is longer than {LARGEST_ABOUT:,} bytes: a line for each field will do.")
    try:
        given = yaml_text.load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}{yaml_text.mistake(error)}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as that.") from None
    if not isinstance(given, dict) or (strange := sorted(set(given) - set(SAID))):
        named = f"'{strange[0]}'" if isinstance(given, dict) else "no fields"
        raise InputError(f"{path} has {named}: it says {', '.join(SAID)}, each a line.")
    for key, value in given.items():
        if isinstance(value, list | dict):
            raise InputError(f"{path}: {key} is no line of text.")
    about = {key: " ".join(str(given.get(key) or "").split()) for key in SAID}
    if about["url"] and not about["url"].startswith(("https://", "http://")):
        raise InputError(f"{path}: url is no address of the web (https://...).")
    return about
