"""What a Sentinel-2 product on the disk says of the offset of processing baseline 04.00."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.sensors import boa_offset
from pipeline.sensors.boa_offset import BOA_OFFSET, Words
from pipeline.sensors.profile import Profile
from pipeline.sources.local import tree
from pipeline.sources.protocol import Scene

METADATA = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
"""Files of a product of ESA's that state its baseline."""
PRODUCT = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_[^/]*", re.IGNORECASE)
"""The name of a product of ESA's, whose numbers are as ESA delivered them."""


def words(folder: Path, names: Sequence[str]) -> Words:
    """Return what is said of the offset of a scene, by its files (paths within the folder): the metadata of
    its product, else the product's name. Not `sure` where neither names a baseline."""
    first = names[0] if names else ""
    stated = _in_metadata(folder, str(PurePosixPath(first).parent))
    named = [match.group() for match in PRODUCT.finditer(first)]
    found = boa_offset.baselines({"processing:version": stated}, named)
    if not found:
        return Words(0, boa_offset.NOTHING_SAYS, False)
    key, baseline = next(iter(found.items()))
    said = "the product's name" if key.startswith("name ") else "the product's metadata"
    return Words(BOA_OFFSET * boa_offset.carries(baseline), f"{said}, baseline {baseline}", True, baseline)


def of_words(scene: Scene, said: Words, profile: Profile) -> Scene:
    """Return a scene with what is said of the offset of its numbers."""
    return replace(
        scene, level=profile.level, baseline=said.baseline, offset=said.offset, offset_from=said.evidence,
        is_doubtful=not said.sure,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _in_metadata(folder: Path, parent: str) -> str | None:
    """The baseline in the metadata of the product that a folder is part of."""
    for above in (PurePosixPath(parent), *PurePosixPath(parent).parents):
        for name in METADATA:
            text = tree.text_of(folder, (above / name).as_posix())
            if text and (match := re.search(r"<PROCESSING_BASELINE>\s*([\d.]+)", text)):
                return match[1]
    return None
