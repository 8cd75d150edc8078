"""From a mine list to a benchmark: one folder per stage, in the order of `pipeline.stages`.

import pipeline

pipeline.run("compose", "ours")     # as `minebench compose --benchmark ours` does
"""

from typing import Any

from minebench import __version__  # before anything imports Zarr: minebench sets how it decodes

__all__ = ["__version__", "run"]


def __getattr__(name: str) -> Any:
    # Here and not above: the command line imports this package, and starts without pydantic.
    if name == "run":
        from pipeline.running import run

        return run
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
