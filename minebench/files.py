"""Writing files so that nobody ever sees half of one."""

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minebench.errors import InputError

ONLY_READ = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of writing where one may only read."""
BLOCK = 1 << 16
"""Bytes of a file that are read at once."""
_being_written: set[Path] = set()
"""Temporary paths of this process's threads."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it goes.

    Works for files and for folders. A kill in between leaves `path` as it was, and a temporary path
    that the next writing of `path` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays, because drivers choose the format by it.
    temporary = path.with_name(f".{os.getpid()}-{threading.get_native_id()}.{path.name}")
    for leftover in _leftovers(path):
        _remove(leftover)
    _being_written.add(temporary)
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            _remove(path)
        temporary.replace(path)
    except OSError as error:
        # A write that fails for want of space says no name.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)
        _being_written.discard(temporary)


def check_links(folder: Path) -> None:
    """InputError where a link in a folder leads out of it: what others give may name any file here."""
    inside = folder.resolve()
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InputError(f"{path} is a link that leads out of {folder}: put what it leads to there.")


def link(source: Path | str, target: Path | str) -> None:
    """A second name for a file, or a copy on another file system or one without links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _leftovers(path: Path) -> list[Path]:
    """Return the temporary files that killed processes left of `path`. Their numbers say nothing: in a
    container a process has the number of the one that was killed.

    os.scandir, because a folder may hold hundreds of files and each is written so."""
    pattern = re.compile(rf"\.\d+(-\d+)?\.{re.escape(path.name)}")
    with os.scandir(path.parent) as entries:
        found = [path.with_name(e.name) for e in entries if e.name[0] == "." and pattern.fullmatch(e.name)]
    return [leftover for leftover in found if leftover not in _being_written]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes. Through no file object: to make one, and its buffer, takes half of the
    time of a small file."""
    digest = hashlib.sha256()
    file = os.open(path, os.O_RDONLY)
    try:
        while block := os.read(file, BLOCK):
            digest.update(block)
    finally:
        os.close(file)
    return digest.hexdigest()


def write_json(value: Any, path: Path) -> None:
    """Write `value` as JSON, whole or not at all; keys keep their order, NaN becomes null."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_compact_json(value: Any, path: Path) -> None:
    """The same for programs alone, without spaces; a file that has this content stays as it is."""
    separators = (",", ":")
    text = json.dumps(finite(value), separators=separators, ensure_ascii=False, allow_nan=False)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinities become null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):
        return None
    return value
