"""Models, training and evaluation on a minebench benchmark.

This package reads only what a benchmark publishes (Parquet indices and Zarr cubes) and never
imports `pipeline`, so a machine that only trains needs no geospatial stack.
"""

from models.registry import create, names, task_of

__all__ = ["create", "names", "task_of"]
