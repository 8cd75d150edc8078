"""Reading a part of a GeoTIFF over HTTP: one request for its head, few for its blocks.

GDAL reads through a Python file of ours, not through its own HTTP client, so that retries, limits,
redirects, signing and counting are those of `pipeline.web.client`.
"""

import threading
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from rasterio.abc import MultiByteRangeResourceContainer

from minebench.errors import WorkError
from pipeline.web import client

HEAD_BYTES = 2**16
"""Read at opening; holds the directories of a cloud-optimised GeoTIFF."""
GAP_BYTES = 2**19
"""Ranges closer than this are read as one: the bytes between cost less than a request."""
LEADER, TRAILER = 4, 8
"""Bytes before and after a block that GDAL reads with it, where the file is cloud-optimised."""
LARGEST_BYTES = 16 * 2**20
"""Most that one request asks for."""


class Signer(Protocol):
    """Adds a credential to an address when it is asked, and not before."""

    def __call__(self, url: str) -> str: ...

    def renew(self) -> bool:
        """Forget the credential, which a server has refused; whether there is another one to try. WorkError
        where too many were refused."""
        ...

    def accept(self) -> None:
        """Note that a server has taken the credential."""
        ...


class Unsigned:
    """Addresses as they are."""

    def __call__(self, url: str) -> str:
        return url

    def renew(self) -> bool:
        return False

    def accept(self) -> None:
        pass


class RangeFile:
    """A remote file as GDAL reads it. The first failure stays in `opener.error`: GDAL would
    report it as a damaged file."""

    def __init__(self, url: str, opener: "Opener") -> None:
        self.url, self.opener, self.position = url, opener, 0
        self.head, self.size = opener.start()

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.position)
        content = self._bytes(self.position, left if size < 0 else min(size, left))
        self.position += len(content)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def close(self) -> None:
        pass

    def __enter__(self) -> "RangeFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Many ranges at once, neighbours merged. Each has the size asked for, also beyond the file's end:
        GDAL copies as many bytes without looking."""
        found: dict[tuple[int, int], bytes] = {}
        for group in merged(sorted(zip(offsets, sizes, strict=True))):
            start, end = group[0][0], max(offset + size for offset, size in group)
            content = self._bytes(start, min(end, self.size) - start)
            found |= {(o, s): content[o - start : o - start + s].ljust(s, b"\0") for o, s in group}
        return [found[part] for part in zip(offsets, sizes, strict=True)]

    def _bytes(self, start: int, size: int) -> bytes:
        """Zeros where they cannot be had: an exception would go through GDAL, which knows none, and the
        opener remembers the failure."""
        try:
            return self.opener.part(start, size)
        except OSError:
            return bytes(max(0, size))


def merged(ranges: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Sorted (offset, size) ranges in groups that one request reads."""
    groups: list[list[tuple[int, int]]] = []
    for offset, size in ranges:
        if groups:
            start, end = groups[-1][0][0], max(o + s for o, s in groups[-1])
            if offset - end <= GAP_BYTES and offset + size - start <= LARGEST_BYTES:
                groups[-1].append((offset, size))
                continue
        groups.append([(offset, size)])
    return groups


class Opener(MultiByteRangeResourceContainer):
    """What `rasterio.open(url, opener=...)` asks for files. Only `url` itself is ever opened: no
    side file is looked for."""

    def __init__(self, url: str, signed: Signer, parallel: int) -> None:
        self.url, self.signed, self.parallel = url, signed, parallel
        self.head_bytes = HEAD_BYTES
        self.error: WorkError | None = None
        self.lock = threading.Lock()
        self.head: tuple[bytes, int] | None = None
        self.ahead: list[tuple[int, bytes]] = []

    def start(self) -> tuple[bytes, int]:
        """The file's first bytes and its size, asked for once. Done before GDAL opens the file, it
        keeps the network out of the time in which no other file can be opened."""
        if self.head is None:
            self.head = self.fetch(self.url, 0, self.head_bytes)
        return self.head

    def part(self, start: int, size: int) -> bytes:
        """A part of the file: of its head, of what was fetched ahead, or asked for. OSError where it
        cannot be had."""
        head, length = self.start()
        if size <= 0:
            return b""
        if start + size <= len(head):
            return head[start : start + size]
        for offset, content in self.ahead:
            if offset <= start and start + size <= offset + len(content):
                return content[start - offset : start - offset + size]
        parts = []
        for offset in range(start, start + size, LARGEST_BYTES):
            part, now = self.fetch(self.url, offset, min(LARGEST_BYTES, start + size - offset))
            if now != length:
                self.fail(WorkError(f"{self.url} changed while it was read."))
            parts.append(part)
        return b"".join(parts)

    def fetch_ahead(self, blocks: Sequence[tuple[int, int]]) -> None:
        """Get blocks, (offset, size) in order, neighbours with one request, before GDAL asks for them: it
        then waits for no network while others wait for it."""
        for group in merged(blocks):
            start, end = group[0][0], max(offset + size for offset, size in group)
            start, end = max(0, start - LEADER), min(end + TRAILER, self.start()[1])
            self.ahead.append((start, self.part(start, end - start)))

    def forget(self) -> None:
        """Drop what was fetched ahead."""
        self.ahead.clear()

    def fetch(self, url: str, start: int, size: int) -> tuple[bytes, int]:
        options: dict[str, Any] = {"signed": self.signed, "parallel": self.parallel}
        try:
            for last in (False, False, True):
                try:
                    part = client.get_range(url, start, size, **options)
                except client.Refused as error:
                    # A signature may run out sooner than it says.
                    if error.status not in (401, 403) or not self.signed.renew() or last:
                        raise
                else:
                    self.signed.accept()
                    return part
        except WorkError as error:
            self.fail(error)
        raise AssertionError("the last try neither answered nor failed")

    def fail(self, error: WorkError) -> NoReturn:
        with self.lock:
            self.error = self.error or error
        raise OSError(str(error))

    def open(self, path: str, mode: str = "rb", **_: Any) -> RangeFile:
        if path != self.url:
            raise FileNotFoundError(path)
        return RangeFile(path, self)

    def isfile(self, path: str) -> bool:
        return path == self.url

    def isdir(self, path: str) -> bool:
        return False

    def ls(self, path: str) -> list[str]:
        return []

    def mtime(self, path: str) -> int:
        return 0

    def rm(self, path: str) -> None:
        raise PermissionError(path)

    def size(self, path: str) -> int:
        # rasterio tries an opener out on a path of its own before it uses it.
        return 0
