"""From a mine list to a benchmark: one module a stage, in the order of `dvc dag`.

sites -> archive -> fetch -> compose -> annotate -> tile -> catalog -> report
"""

from minebench import __version__  # before anything imports Zarr: minebench sets how it decodes

__all__ = ["__version__"]
