"""How many processor cores this process may use."""

import os


def count() -> int:
    """Return the cores that are granted: in a Slurm job or a container's CPU set, those of the job and not
    those of the machine."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
