"""Models, training and evaluation on a minebench benchmark.

This package reads only what a benchmark publishes (Parquet indices and Zarr cubes), by `minebench`, and
imports nothing of `pipeline`: a machine that only trains needs no geospatial library.

The registry is imported when it is first asked for: what trains nothing need not wait for torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.registry import create, names, task_of

__all__ = ["create", "names", "task_of"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from models import registry

        return getattr(registry, name)
    raise AttributeError(f"module 'models' has no attribute '{name}'")
