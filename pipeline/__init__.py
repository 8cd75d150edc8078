"""From a mine list to a benchmark: one folder per stage, in the order of `pipeline.stages`.

    import pipeline

    pipeline.new("ours", "mines.gpkg", source="stac")
    pipeline.run("sites", "ours")       # as `minebench sites --benchmark ours` does

What was built is read with `minebench.open("data/ours")`.
"""

from typing import Any

from minebench import __version__  # before anything imports Zarr: minebench sets how it decodes

__all__ = ["__version__", "new", "release", "run"]


def __getattr__(name: str) -> Any:
    # Here and not above: the command line imports this package, and starts without pydantic.
    if name in ("new", "release", "run"):
        from pipeline import running

        return getattr(running, name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
