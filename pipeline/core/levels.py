"""Levels of the analysis sets, in the order in which they are shown."""

RINGS = ("outer", "middle", "inner", "core")
SIZES = ("small", "medium", "large")
SCALES = (2, 4, 8, 16)
UNALTERED = "unaltered"
"""The same pairs as they are, beside those that are made coarser or shifted."""


def crossed(size: str, scale: int) -> str:
    """The level of pairs of one size at one scale; 1 is as they are."""
    return f"{size} at 1/{scale}"


LEVELS = (UNALTERED, *RINGS, *SIZES, "1", "2", "4", "8", "16",
          *(crossed(size, scale) for size in SIZES for scale in (1, *SCALES)))  # fmt: skip
