"""MineNetCD256's two forms (Yu et al. 2024): folders of pictures, and what UCD loads by `load_dataset`.

train|val|test / A, B, label / <name>.png          label 0 and 255
data/<split>-00000-of-00007.parquet                imageA, imageB, label as Hugging Face images
README.md                                          the card, whose header names splits and columns
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from minebench.progress import progress
from pipeline.export.jobs import SPLITS, Job, Pair, binary

ROWS = 1000
"""Pairs of one Parquet file."""
GROUP = 100
COLUMNS = ("imageA", "imageB", "label")
PARTS = ("A", "B", "label")
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(job: Job) -> None:
    """Write pictures and Parquet files of every split."""
    with progress("export", len(job.pairs), "pairs") as advance:
        for split in SPLITS:
            for name in PARTS:
                (job.folder / split / name).mkdir(parents=True)
            _write_parquet(job, split, _pictures(job, split, advance))


def _pictures(job: Job, split: str, advance: Any) -> Iterator[dict[str, dict[str, Any]]]:
    """A pair's three pictures, written as files on the way."""
    for pair in job.of_split(split):
        row = {}
        for column, part, pixels in zip(COLUMNS, PARTS, _shown(job, pair), strict=True):
            content = _png(pixels)
            (job.folder / split / part / f"{pair.name}.png").write_bytes(content)
            row[column] = {"bytes": content, "path": f"{pair.name}.png"}
        yield row
        advance()


def _shown(job: Job, pair: Pair) -> tuple[NDArray[np.uint8], ...]:
    return job.rgb(pair.a), job.rgb(pair.b), binary(pair.label)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _write_parquet(job: Job, split: str, rows: Iterator[dict[str, dict[str, Any]]]) -> None:
    """Files of ROWS pairs; their names say how many there are, so they are given at the end."""
    folder = job.folder / "data"
    folder.mkdir(exist_ok=True)
    features = {column: {"_type": "Image"} for column in COLUMNS}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([(column, PICTURE) for column in COLUMNS], metadata=metadata)
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    batch: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if number % ROWS == 0:
            _close(writer, batch, schema)
            parts.append(folder / f"{split}.part{len(parts):05d}")
            writer = pq.ParquetWriter(parts[-1], schema)
        batch.append(row)
        if len(batch) == GROUP and writer is not None:
            writer.write_table(pa.Table.from_pylist(batch, schema))
            batch.clear()
    _close(writer, batch, schema)
    for number, part in enumerate(parts):
        part.rename(folder / f"{split}-{number:05d}-of-{len(parts):05d}.parquet")


def _close(writer: pq.ParquetWriter | None, batch: list[dict[str, Any]], schema: pa.Schema) -> None:
    if writer is None:
        return
    if batch:
        writer.write_table(pa.Table.from_pylist(batch, schema))
        batch.clear()
    writer.close()
