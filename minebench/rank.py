"""Rank of this process among those that torchrun or Accelerate started together."""

import os


def is_first() -> bool:
    """Return whether this process has rank 0 or is the only one; only such a process logs and prints."""
    return os.environ.get("RANK", "0") == "0"
