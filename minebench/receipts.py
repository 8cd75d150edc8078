"""Keys of outputs: whether an output exists and from which inputs it was computed.

Every output that a stage can skip has its key in the JSON or Parquet file that is written last: a cube's
zarr.json, a collection.json, a receipt.json, a table. The key is a fingerprint of the inputs and of the
algorithms' version numbers (`VERSION` in their modules), not of code: an upgrade that changes no result
repeats no work. Because the key is part of the output, an older output that DVC checks out is recognised.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

KEY = "minebench:key"
RECEIPT = "receipt.json"


def fingerprint(inputs: Iterable[Any]) -> str:
    """Return sixteen hex digits of a hash of the inputs, as JSON."""
    text = json.dumps(list(inputs), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(path: Path) -> dict[str, Any]:
    """Return the metadata in a file; empty if it is missing or damaged.

    Of a zarr.json and a Parquet table they are its attributes, of any other JSON file its content.
    """
    try:
        if path.suffix == ".parquet":
            return dict(json.loads(pq.read_schema(path).metadata[b"PANDAS_ATTRS"]))
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["attributes"] if path.name == "zarr.json" else content)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def key_in(path: Path) -> str | None:
    """Return the key of an output by the file that is written last; None if it is missing or damaged."""
    key = read(path).get(KEY)
    return None if key is None else str(key)
