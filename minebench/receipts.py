"""Whether an output is already there, and of which inputs.

Every output that a stage can skip carries its own key under one name, in the JSON or Parquet file that
is written last: a cube's zarr.json, a collection.json, a receipt.json, a table. The key is a fingerprint
of the inputs and of the version numbers of the arithmetic (`VERSION` in its module), never of code: an
upgrade that changes no result redoes nothing. Because the key lies in the output itself, an older output
that DVC checks out again is recognised for what it is.
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
    """Sixteen hex digits that change when an input changes."""
    text = json.dumps(list(inputs), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(path: Path) -> dict[str, Any]:
    """What a file says of itself: a JSON document, the attributes of a Zarr node or of a Parquet table.
    Empty where there is no sound file."""
    try:
        if path.suffix == ".parquet":
            return dict(json.loads(pq.read_schema(path).metadata[b"PANDAS_ATTRS"]))
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["attributes"] if path.name == "zarr.json" else content)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def key_in(path: Path) -> str | None:
    """The key of the output that `path` is the last file of; None where there is no sound one."""
    key = read(path).get(KEY)
    return None if key is None else str(key)
