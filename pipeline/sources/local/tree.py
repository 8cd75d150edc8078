"""The image files of a folder by their paths within it: also in its subfolders and in zipped products.

A path within a zip goes on behind the zip's name, as in `S2A_MSIL2A_20200101T1.zip/S2A.SAFE/MTD_MSIL2A.xml`.
"""

import os
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from minebench.errors import InputError

SUFFIXES = (".tif", ".tiff", ".jp2")
ZIP = ".zip"


def images(folder: Path) -> list[str]:
    """Return the paths of all image files below a folder, in the order of their names. InputError for a
    zip that cannot be read."""
    return sorted(name for name in _files(folder) if _suffix(name) in SUFFIXES)


def path_of(folder: Path, name: str) -> Path:
    """Return what GDAL opens for a path within the folder: of a zip's content an address in /vsizip/."""
    parts = PurePosixPath(name).parts
    for place, part in enumerate(parts[:-1], 1):
        archive = folder.joinpath(*parts[:place])
        if part.lower().endswith(ZIP) and not archive.is_dir():
            return Path(f"/vsizip/{{{archive.absolute()}}}", *parts[place:])
    return folder / name


def text_of(folder: Path, name: str) -> str | None:
    """Return the text of a file by its path within the folder; None where there is none."""
    parts = PurePosixPath(name).parts
    for place, part in enumerate(parts[:-1], 1):
        archive = folder.joinpath(*parts[:place])
        if part.lower().endswith(ZIP) and archive.is_file():
            inner = "/".join(parts[place:])
            if inner not in _members(archive, archive.stat().st_mtime_ns):
                return None
            with zipfile.ZipFile(archive) as opened:
                return opened.read(inner).decode("utf-8", "replace")
    path = folder / name
    return path.read_text("utf-8", "replace") if path.is_file() else None


def changed_at(folder: Path) -> int:
    """Return when a folder, one below it or one of its zips changed last, nanoseconds."""
    zips = (folder / name for name in _on_disk(folder) if _suffix(name) == ZIP)
    folders = (Path(path) for path, _, _ in os.walk(folder))
    return max(path.stat().st_mtime_ns for path in (*folders, *zips))


def _files(folder: Path) -> Iterator[str]:
    for name in _on_disk(folder):
        if _suffix(name) == ZIP:
            archive = folder / name
            yield from (f"{name}/{inner}" for inner in _members(archive, archive.stat().st_mtime_ns))
        else:
            yield name


def _on_disk(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, but hidden ones and those of Zarr stores."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not f.endswith(".zarr"))
        here = Path(path).relative_to(folder)
        yield from ((here / name).as_posix() for name in sorted(names) if not name.startswith("."))


@lru_cache(maxsize=4096)
def _members(archive: Path, _changed_at: int) -> frozenset[str]:
    """The files in a zip."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return frozenset(name for name in opened.namelist() if not name.endswith("/"))
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{archive} cannot be read as a zip: {error}. Fetch it again, or remove it."
        ) from None


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
