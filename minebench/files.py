"""Write files atomically: a reader sees the old file or the new one, never a part."""

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
"""Error numbers of a write to a read-only place."""
BLOCK = 1 << 16
"""Bytes per read."""
_being_written: set[Path] = set()
"""Temporary paths of this process's threads."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    For files and folders. If the process is killed, `path` stays as it was, and the next write of `path`
    removes the temporary path.
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
        # The error of a write to a full disk has no file name.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)
        _being_written.discard(temporary)


def check_links(folder: Path) -> None:
    """Raise InputError if a symbolic link in a folder leads out of it.

    In a folder from somebody else such a link could name any file of this machine.
    """
    inside = folder.resolve()
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InputError(f"{path} is a link that leads out of {folder}: put what it leads to there.")


def link(source: Path | str, target: Path | str) -> None:
    """Hard-link `source` to `target`; copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _leftovers(path: Path) -> list[Path]:
    """Return temporary paths of `path` that killed processes left.

    Their process ids cannot tell: in a container, ours may equal that of the killed process.
    """
    pattern = re.compile(rf"\.\d+(-\d+)?\.{re.escape(path.name)}")
    # os.scandir is fast enough to call for each file of a folder of hundreds.
    with os.scandir(path.parent) as entries:
        paths = [path.with_name(e.name) for e in entries if e.name[0] == "." and pattern.fullmatch(e.name)]
    return [leftover for leftover in paths if leftover not in _being_written]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as hex digits."""
    digest = hashlib.sha256()
    # For a small file, a file object and its buffer would double the time.
    file = os.open(path, os.O_RDONLY)
    try:
        while block := os.read(file, BLOCK):
            digest.update(block)
    finally:
        os.close(file)
    return digest.hexdigest()


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON, atomically; keys keep their order, NaN becomes null."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_compact_json(value: Any, path: Path) -> None:
    """Write `value` as JSON without spaces, as `write_json` does; an equal file is left untouched."""
    separators = (",", ":")
    text = json.dumps(finite(value), separators=separators, ensure_ascii=False, allow_nan=False)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinities become None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):
        return None
    return value
