"""The file of a published mine list.

It is looked for in the benchmark's mines/ folder first, then in a cache, then fetched from its publisher.
Zenodo says each file's checksum when it is asked; PANGAEA does not, so the checksum of what first came is
kept and watched from then on.
"""

import os
from pathlib import Path
from typing import Any

import pooch
import requests

from minebench.errors import InputError, WorkError
from minebench.files import replacing, sha256
from pipeline.sites.published import LISTS, Published
from pipeline.web import client

CACHE_VARIABLE = "MINEBENCH_CACHE"


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
    except InputError:
        raise
    except (WorkError, requests.RequestException, OSError, ValueError) as error:
        reason = client.redacted(str(error)).splitlines()[0][:160].rstrip(".")
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
    record: Any = client.get_json(entry.record)
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
    loader = pooch.HTTPDownloader(progressbar=False, timeout=(client.CONNECT_S, client.SILENCE_S))
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
