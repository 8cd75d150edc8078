"""Number of processor cores that this process may use."""

import os


def count() -> int:
    """Return the number of cores that the Slurm job or the container's CPU set grants, not the machine's."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
