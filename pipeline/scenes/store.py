"""A site's folder of fetched pixels: one GeoTIFF a scene and pixel size, each with its checksum."""

import hashlib
import re
import shutil
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import rasterio.crs
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.types import Shape2d

from minebench import receipts, tables
from minebench.errors import InputError
from minebench.files import replacing, sha256, write_json
from pipeline.geo import gdal
from pipeline.scenes.scene_table import digest, with_status
from pipeline.sources.protocol import Scene

SUMS = "SHA256SUMS"
ROWS = "rows"
"""In the receipt: the digest of the site's table."""
OWN = {SUMS, receipts.RECEIPT, "scenes.parquet"}
"""Files of the folder that are no pixels."""
AS_STORED = "-as-stored"
"""Ends the part of a file with bands whose offset is not decided yet."""
LONGEST = 200
"""Characters of a scene's id in a file name: file systems take 255 bytes with what follows."""
Shift = tuple[float, float]
"""Metres east and north by which a scene was read elsewhere, because its content lies there."""


def name_of(scene_id: str, part: str, shift: Shift = (0.0, 0.0)) -> str:
    """File name of a scene's mask (`SCL`, `QA`) or of its bands at a pixel size (`10m`).

    The id comes from a provider: nothing in it may lead out of the folder. Where it is too long for a file
    name, what it is cut to ends with a digest of the whole.
    """
    moved = f"_{shift[0]:+.2f}{shift[1]:+.2f}" if any(shift) else ""
    quoted = quote(scene_id, safe="")
    if len(quoted) > LONGEST:
        digest = hashlib.sha256(scene_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        quoted = f"{quoted[: LONGEST - 17]}-{digest}"
    return f"{quoted}_{part}{moved}.tif"


def check_names(scenes: Iterable[Scene]) -> None:
    """InputError where two scenes of a source would share a file: one would be taken for the other."""
    files: dict[str, Scene] = {}
    for scene in scenes:
        other = files.setdefault(name_of(scene.id, ""), scene)
        if (other.href, other.time) != (scene.href, scene.time):
            raise InputError(
                f"source: {other.href} and {scene.href} have the same id, {scene.id}; "
                "name one of them otherwise, or list their collections as sources of their own."
            )


class SceneStore:
    """A site's folder. A file counts only with a matching line in SHA256SUMS, which is appended
    after the file has its final name; so a kill leaves at most a file that is fetched again.

    receipt.json names the `request` (source, bands, grid) that all files are of, and carries the
    folder's key once it is whole. May be used by several threads at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.sums = read_sums(folder)
        self.lock = threading.Lock()
        self.sound: set[str] = set()
        """Files whose checksum was compared in this run."""
        self.digests: dict[str, str] = {}

    @classmethod
    def prepared(cls, folder: Path, request: str) -> "SceneStore":
        """The folder for what is asked for; files of another source, grid or set of bands go. Where there are
        further sources than before, what there is stays."""
        before = receipts.read(folder / receipts.RECEIPT).get("request")
        if before != request:
            # The list of scenes stays: it says which to fetch again.
            grows = isinstance(before, str) and request.startswith(f"{before} ")
            stale = folder.is_dir() and not grows and not _was_asked(folder, request)
            for path in folder.iterdir() if stale else ():
                if path.name != "scenes.parquet":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            folder.mkdir(parents=True, exist_ok=True)
            write_json({"request": request}, folder / receipts.RECEIPT)
            (folder / "ORIGIN").unlink(missing_ok=True)
        return cls(folder)

    def rows(self) -> pd.DataFrame | None:
        """The site's own table of scenes, as its last whole run wrote it."""
        path = self.folder / "scenes.parquet"
        try:
            return with_status(pd.read_parquet(path))
        except (OSError, ValueError):
            return None

    def finish(self, table: pd.DataFrame, request: str, key: str) -> None:
        """Write the site's table and checksums in order, and vouch for the folder."""
        self.forget_others()
        tables.write(table, self.folder / "scenes.parquet")
        content = {receipts.KEY: key, "request": request, "files": sorted(self.sums), ROWS: digest(table)}
        write_json(content, self.folder / receipts.RECEIPT)

    def is_whole(self) -> bool:
        """Whether all files that the receipt lists are there and sound, and no others."""
        files = receipts.read(self.folder / receipts.RECEIPT).get("files")
        return files == sorted(self.sums) and all(map(self._is_sound, self.sums))

    def has(self, name: str) -> bool:
        """Whether a file is kept already; also notes that this choice needs it."""
        self.used.add(name)
        return self._is_sound(name)

    def _is_sound(self, name: str) -> bool:
        if name in self.sound:
            return True
        path = self.folder / name
        sound = name in self.sums and path.is_file() and sha256(path) == self.sums[name]
        if sound:
            self.sound.add(name)
        return sound

    def names(self, scene_id: str, part: str) -> list[str]:
        """Kept files of a scene whose part fits the regular expression `part`: of those that this
        run has asked for, if any. A killed run may have left the scene in another shift as well."""
        stem = re.escape(name_of(scene_id, "").removesuffix(".tif"))
        return [
            n
            for n in sorted(self.used & set(self.sums) or self.sums)
            if re.fullmatch(rf"{stem}{part}(_[+-].*)?\.tif", n)
        ]

    def bands(self, scene_id: str) -> list[str]:
        """The files with a scene's bands."""
        return self.names(scene_id, rf"[\d.]+m({AS_STORED})?")

    def mask(self, scene_id: str) -> str | None:
        """The file with a scene's mask; None for sensors without."""
        return next(iter(self.names(scene_id, r"[A-Z]+")), None)

    def files_of(self, scene_id: str) -> list[str]:
        """All files of a scene: its mask, if any, and its bands."""
        mask = self.mask(scene_id)
        return [*([mask] if mask else []), *self.bands(scene_id)]

    def fine(self, scene_id: str, shape: tuple[int, int] | Shape2d) -> NDArray[Any] | None:
        """The bands (band, y, x) that are kept in the target grid's shape; None where none is."""
        return self.first_of(self.bands(scene_id), shape)

    def first_of(
        self, names: Iterable[str], shape: tuple[int, int] | Shape2d, most: int | None = None
    ) -> NDArray[Any] | None:
        """The bands (band, y, x), `most` of them at most, of the first file of that shape; None where none
        is."""
        for name in names:
            with gdal.opened(self.folder / name) as file, gdal.working():
                if file.shape == shape:
                    return file.read(list(range(1, min(most or file.count, file.count) + 1)))
        return None

    def drop(self, names: Iterable[str]) -> None:
        """Forget files that turned out not to be wanted."""
        for name in names:
            self.used.discard(name)
            self.sound.discard(name)
            self.sums.pop(name, None)
            (self.folder / name).unlink(missing_ok=True)

    def read(self, name: str) -> NDArray[Any]:
        with gdal.opened(self.folder / name) as file, gdal.working():
            return file.read()

    def described(self, name: str) -> tuple[list[str], NDArray[Any]]:
        """Band names and (band, y, x) pixels."""
        with gdal.opened(self.folder / name) as file, gdal.working():
            return list(file.descriptions), file.read()

    def described_on(
        self, names: Iterable[str], shape: tuple[int, int] | Shape2d
    ) -> tuple[list[str], NDArray[Any]]:
        """Band names and (band, y, x) pixels of the first file of that shape; none where there is none."""
        for name in names:
            with gdal.opened(self.folder / name) as file, gdal.working():
                if file.shape == shape:
                    return list(file.descriptions), file.read()
        return [], np.empty((0, *shape))

    def write(self, name: str, pixels: NDArray[Any], area: GeoBox, bands: Sequence[str]) -> None:
        """Keep (band, y, x) pixels as a GeoTIFF, in strips: it is only ever read whole, and tiles would
        reach beyond its edges. To undo a predictor takes half of the reading (docs/benchmarks.md); of 8-bit
        pixels it saves more than that is worth."""
        path = self.folder / name
        profile = {
            "driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "nodata": 0,
            "height": area.height, "width": area.width, "crs": _crs(str(area.crs)),
            "transform": area.transform, "interleave": "band", "compress": "zstd",
            "zstd_level": 1, "predictor": 2 if pixels.dtype == np.uint8 else 1,
            "tiled": False, "blockysize": 64,
        }  # fmt: skip
        with replacing(path) as temporary:
            with gdal.encoding(temporary, **profile) as file, gdal.working():
                file.write(pixels)
                file.descriptions = tuple(bands)
            digest = sha256(temporary)
        self.digests[name] = digest_of(bands, pixels)
        with self.lock:
            with (self.folder / SUMS).open("a") as sums:
                sums.write(f"{digest}  {name}\n")
            self.sums[name] = digest
            self.sound.add(name)

    def checksum(self, scene_id: str) -> str:
        """SHA-256 of a scene's kept pixels, whatever the file format makes of them."""
        digests = map(self._digest, self.files_of(scene_id))
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def _digest(self, name: str) -> str:
        if name not in self.digests:
            self.digests[name] = digest_of(*self.described(name))
        return self.digests[name]

    def forget_others(self) -> None:
        """Remove files of an earlier choice, and write the sums in order of name."""
        # What could not be read was asked for and is not there.
        self.sums = {name: self.sums[name] for name in sorted(self.used & set(self.sums))}
        for path in self.folder.iterdir():
            if path.name not in {*self.sums, *OWN}:
                path.unlink()
        with replacing(self.folder / SUMS) as temporary:
            temporary.write_text("".join(f"{digest}  {name}\n" for name, digest in self.sums.items()))


def _was_asked(folder: Path, request: str) -> bool:
    """Whether a folder of version 0.1.0, which had no receipt, holds what is asked for: its rows say so."""
    if not (folder / "ORIGIN").is_file() or not (folder / "scenes.parquet").is_file():
        return False
    try:
        rows = pd.read_parquet(folder / "scenes.parquet", columns=["request"])
    except (OSError, ValueError, KeyError):
        return False
    return bool(len(rows)) and bool((rows.request == request).all())


@lru_cache(maxsize=64)
def _crs(text: str) -> Any:
    """PROJ takes a millisecond to look a CRS up, and a site's files all have the same."""
    return rasterio.crs.CRS.from_user_input(text)


def digest_of(bands: Sequence[str], pixels: NDArray[Any]) -> str:
    """SHA-256 of (band, y, x) pixels with their bands' names, type and shape."""
    digest = hashlib.sha256(f"{list(bands)} {pixels.dtype.str} {pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """File name to SHA-256; the last line of a file wins and a torn last line is no line."""
    path = folder / SUMS
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}
