"""A benchmark on disk or on the web, and how to read it.

    import minebench

    benchmark = minebench.open("data/demo")
    benchmark.pairs                                  # tables, as pandas DataFrames
    benchmark.cube(benchmark.sites.site_id[0])       # a site's images and masks, as an xarray Dataset
    benchmark.dataset("pairs", split="train")        # pairs of tiles, as a torch Dataset
    benchmark.runs["unet"].metrics                   # what a model scored

`minebench` imports nothing of `pipeline`, which builds benchmarks, or `models`, which trains on them; both
use it.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from minebench.errors import InputError, MinebenchError, WorkError

if TYPE_CHECKING:
    from minebench.benchmark import Benchmark, Run

__all__ = ["Benchmark", "InputError", "MinebenchError", "Run", "WorkError", "__version__", "open"]
__version__ = version("minebench")

# Zarr decodes this many chunks at a time instead of one by one: whole arrays are read 1.6 times as fast. Set
# here because Zarr reads it when it is imported, in a cluster's workers too.
os.environ.setdefault("ZARR_CODEC_PIPELINE__BATCH_SIZE", "64")


def open(location: str | os.PathLike[str], name: str | None = None) -> Benchmark:
    """Open a benchmark to read it.

    Parameters
    ----------
    location
        The benchmark's folder (``data/<name>``), a folder that `minebench publish` wrote, or the address of
        a published one (``https://...``).
    name
        Which benchmark, where a folder holds more than one.

    Returns
    -------
    Benchmark
        Tables and cubes are read on first access.

    Raises
    ------
    InputError
        If there is no benchmark, or more than one and no `name`. It is a `ValueError` as well.

    Examples
    --------
    >>> benchmark = minebench.open("data/demo")
    >>> benchmark.name
    'demo'
    """
    from minebench.benchmark import locate

    return locate(os.fspath(location), name)


def __getattr__(name: str) -> Any:
    # Imported on first access: `import minebench` alone needs no pandas, and the command line starts with it.
    if name in ("Benchmark", "Run"):
        from minebench import benchmark

        return getattr(benchmark, name)
    raise AttributeError(f"module 'minebench' has no attribute '{name}'")
