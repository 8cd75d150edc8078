"""The place of this process among those that torchrun or Accelerate started together."""

import os


def is_first() -> bool:
    """Return whether this is the first of them, or the only one: it logs and prints."""
    return os.environ.get("RANK", "0") == "0"
