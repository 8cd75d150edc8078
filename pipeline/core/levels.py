"""Levels of the analysis sets, in the order in which they are shown."""

RINGS = ("outer", "middle", "inner", "core")
SIZES = ("small", "medium", "large")
UNALTERED = "unaltered"
"""The same pairs as they are, beside those that are made coarser or shifted."""
LEVELS = (UNALTERED, *RINGS, *SIZES, "1", "2", "4", "8", "16")
