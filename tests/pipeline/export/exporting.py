"""The tiny benchmark, exported in the process of the test."""

from pathlib import Path

import numpy as np

from minebench import data
from pipeline.export import export


def exported(tiny, to: str, out: Path, image: str = "png", max_unknown: float = 1.0) -> export.Exported:
    return export.export(*tiny, to, out, image, max_unknown)


def truth(tiny, split: str) -> dict[str, np.ndarray]:
    """Labels of a split's pairs in {0, 1, 255} by exported name."""
    pairs = data.open(tiny[0].data, split=split)
    labels = [pairs[i] for i in range(len(pairs))]
    assert labels
    return {f"{p['tile_id']}_{p['t1']}_{p['t2']}": p["label"].numpy() for p in labels}
