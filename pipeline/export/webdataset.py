"""WebDataset shards: tar files that are read in one go.

<split>-000000.tar    per pair <name>.a.npy, <name>.b.npy (band, y, x) in stored numbers,
                      <name>.label.npy (y, x) in {0, 1, 255} with 255 unknown, <name>.json
"""

import io
import json
import tarfile
from typing import Any

import numpy as np

from minebench.progress import progress
from pipeline.export.jobs import SPLITS, Job, Pair

MOST_BYTES = 256_000_000
"""About how large a shard becomes."""


def write(job: Job) -> None:
    """Write the shards of every split; the same bytes for the same benchmark."""
    with progress("export", len(job.pairs), "pairs") as advance:
        for split in SPLITS:
            tar: tarfile.TarFile | None = None
            shard = written = 0
            for pair in job.of_split(split):
                if tar is None or written > MOST_BYTES:
                    if tar is not None:
                        tar.close()
                    tar = tarfile.open(job.folder / f"{split}-{shard:06d}.tar", "w")  # noqa: SIM115
                    shard, written = shard + 1, 0
                for name, content in _files(job, pair).items():
                    entry = tarfile.TarInfo(f"{_key(pair)}.{name}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
                    written += len(content)
                advance()
            if tar is not None:
                tar.close()
    job.made_known = 0


def _key(pair: Pair) -> str:
    """WebDataset takes everything after the first dot for the file's kind."""
    return pair.name.replace(".", "-")


def _files(job: Job, pair: Pair) -> dict[str, bytes]:
    about: dict[str, Any] = {
        "tile_id": pair.tile.tile_id, "site_id": pair.tile.site_id, "t1": pair.t1, "t2": pair.t2,
        "bands": list(job.recipe.sensor.bands),
    }  # fmt: skip
    arrays = {"a.npy": pair.a, "b.npy": pair.b, "label.npy": pair.label}
    return {**{name: _npy(array) for name, array in arrays.items()}, "json": json.dumps(about).encode()}


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
