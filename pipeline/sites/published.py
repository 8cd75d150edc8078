"""Published mine lists by name: where they are, under which licence, and how they are read.

A list is looked for in the benchmark's mines/ folder first, then in a cache, then fetched from its
publisher. Zenodo says each file's checksum when it is asked; PANGAEA does not, so the checksum of
what first came is kept and watched from then on.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pooch
import requests

from pipeline.core import web
from pipeline.core.errors import InputError, WorkError
from pipeline.core.files import replacing, sha256

CACHE_VARIABLE = "MINEBENCH_CACHE"


@dataclass(frozen=True)
class Published:
    """A list on its publisher's server. `file` is the name of the download (empty: what the record
    has of `member`'s kind), `member` the end of the list's own name in it."""

    page: str
    url: str
    file: str
    licence: str
    citation: str
    member: str = ""
    layer: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    record: str = ""
    """Zenodo's description of the record, with its files and checksums."""
    by_hand: str = ""
    """Why it cannot be fetched by the program."""


LISTS = {
    "maus-v1": Published(
        page="https://doi.org/10.1594/PANGAEA.910894",
        url="https://download.pangaea.de/dataset/910894/files/global_mining_polygons_v1.gpkg",
        file="global_mining_polygons_v1.gpkg",
        licence="CC-BY-SA-4.0",
        citation="Maus et al. (2020): Global-scale mining polygons, version 1. PANGAEA.",
        columns={"country": "ISO3_CODE"},
    ),
    "maus-v2": Published(
        page="https://doi.org/10.1594/PANGAEA.942325",
        url="https://download.pangaea.de/dataset/942325/files/global_mining_polygons_v2.gpkg",
        file="global_mining_polygons_v2.gpkg",
        licence="CC-BY-SA-4.0",
        citation="Maus et al. (2022): Global-scale mining polygons, version 2. PANGAEA.",
        columns={"country": "ISO3_CODE"},
    ),
    "jasansky-2023": Published(
        page="https://doi.org/10.5281/zenodo.7369478",
        url="https://zenodo.org/records/7369478/files/open_database_mine_production.zip",
        record="https://zenodo.org/api/records/7369478",
        file="open_database_mine_production.zip",
        member="facilities.gpkg",
        licence="CC-BY-4.0",
        citation="Jasansky et al. (2023): An open database on global coal and metal mine production. "
        "Scientific Data 10, 52.",
        columns={"name": "facility_name", "country": "GID_0", "commodity": "primary_commodity",
                 "status": "activity_status", "equipment": "facility_equipment",
                 "production_start": "production_start"},
    ),
    "jasansky-2024": Published(
        page="https://doi.org/10.5281/zenodo.14195737",
        url="",
        record="https://zenodo.org/api/records/14195737",
        file="",
        member=".gpkg",
        layer="preferred_polygons",
        licence="CC-BY-SA-4.0",
        citation="Jasansky et al. (2024): Global ML-ready dataset for mining areas in satellite images. "
        "Zenodo.",
    ),
    "tang-2023": Published(
        page="https://doi.org/10.5281/zenodo.6806817",
        url="",
        file="74548_projected.shp",
        licence="CC-BY-4.0",
        citation="Tang and Werner (2023): Global mining footprint mapped from high-resolution satellite "
        "imagery. Communications Earth & Environment 4, 134.",
        by_hand="it is a RAR archive: unpack '74548 mine polygons' from it",
    ),
}  # fmt: skip


def find(name: str, folder: Path) -> Path:
    """The file of a published list: from `folder`, from the cache, or from its publisher.

    InputError says where to get it and where to put it when there is no way to it from here.
    """
    entry = LISTS[name]
    for place in (folder, folder / name, cache() / name):
        if path := _unpacked(entry, place):
            return path
    folder = folder / name
    if entry.by_hand:
        raise InputError(f"{name} has to be fetched by hand ({entry.by_hand}): {_by_hand(entry, folder)}")
    try:
        url, file, known = _where(entry)
        _download(url, cache() / name, file, known)
    except (WorkError, requests.RequestException, OSError, ValueError) as error:
        reason = web.redacted(str(error)).splitlines()[0][:160].rstrip(".")
        raise InputError(f"{name} cannot be fetched ({reason}): {_by_hand(entry, folder)}") from None
    path = _unpacked(entry, cache() / name)
    if path is None:
        raise InputError(f"{name}: {file} does not hold {entry.member or entry.file}; see {entry.page}.")
    return path


def cache() -> Path:
    """Where fetched lists are kept, for all projects on this machine."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("minebench"))


def _by_hand(entry: Published, folder: Path) -> str:
    return f"get {entry.member or entry.file or 'its files'} from {entry.page} and put it into {folder}."


def _unpacked(entry: Published, folder: Path) -> Path | None:
    """The list's own file in a folder, out of its archive if need be; checked against what came."""
    wanted = entry.member or entry.file
    if not folder.is_dir():
        return None
    found = sorted(p for p in folder.rglob(f"*{wanted}") if p.is_file() and p.suffix != ".sha256")
    if entry.member.startswith(".") and folder.name not in LISTS:
        return None  # any file of that kind would do: only a folder of the list's name says which
    if not found and entry.file.endswith(".zip") and (folder / entry.file).is_file():
        members = pooch.Unzip(extract_dir=folder / "unpacked")
        files = members(str(folder / entry.file), "update", None)
        found = sorted(Path(p) for p in files if p.endswith(wanted))
    for path in found:
        _watch(path)
    return found[0] if found else None


def _where(entry: Published) -> tuple[str, str, str | None]:
    """Address, file name and checksum, by Zenodo's own description where there is one."""
    if not entry.record:
        return entry.url, entry.file, None
    record: Any = web.get_json(entry.record)
    suffixes = (entry.file,) if entry.file else (".gpkg", ".zip")
    for suffix in suffixes:
        for file in record["files"]:
            if file["key"].endswith(suffix):
                return file["links"]["self"], file["key"], file["checksum"]
    raise WorkError(f"{entry.page} lists no {' or '.join(suffixes)} (any more)")


def _download(url: str, folder: Path, file: str, known: str | None) -> None:
    """The file into `folder`, whole or not at all, with its checksum beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if Path(file).name != file:
        raise WorkError(f"'{file}' is not a file name")
    loader = pooch.HTTPDownloader(progressbar=False, timeout=(web.CONNECT_S, web.SILENCE_S))
    path = Path(pooch.retrieve(url, known, fname=file, path=folder, downloader=loader))
    _watch(path)


def _watch(path: Path) -> None:
    """Note a file's checksum the first time; WorkError when it is another one later."""
    note = path.with_name(f"{path.name}.sha256")
    digest = sha256(path)
    if not note.is_file():
        try:
            with replacing(note) as temporary:
                temporary.write_text(f"{digest}  {path.name}\n")
        except PermissionError:
            return
    elif note.read_text().split()[0] != digest:
        raise InputError(f"{path} is not the file it was ({note.name}): fetch it again, or remove {note}.")
