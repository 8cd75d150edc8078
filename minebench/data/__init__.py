"""A benchmark's pixels and labels as torch Datasets: `minebench.data.open`."""

from typing import Any

__all__ = ["open"]


def __getattr__(name: str) -> Any:
    # Imported on first access: cubes can be read without torch.
    if name in __all__:
        from minebench.data import opening

        return getattr(opening, name)
    raise AttributeError(f"module 'minebench.data' has no attribute '{name}'")
