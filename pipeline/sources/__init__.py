"""Where images come from: one module per source, found by its name in the recipe."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from minebench.layout import BenchmarkPaths
    from pipeline.sources.opened import Opened
    from pipeline.sources.protocol import Options, Setting


class HasSource(Protocol):
    """A recipe, as far as its source is concerned."""

    @property
    def source(self) -> Options: ...

    def setting(self, benchmark: BenchmarkPaths) -> Setting: ...


NO_SOURCES = {"protocol", "in_order", "opened"}
"""Modules of this package that are no source."""


def names() -> list[str]:
    """All sources. A module's trailing underscore (Python has a word `import`) is not of the name."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    return sorted(name.rstrip("_") for name in modules - NO_SOURCES)


def options_of(name: str) -> type[Options]:
    """The class of a source's options. Only the source that is used is imported."""
    module = f"{name}_" if f"{name}_" in {found.name for found in pkgutil.iter_modules(__path__)} else name
    kind: type[Options] = importlib.import_module(f"{__name__}.{module}").Options
    return kind


def open(benchmark: BenchmarkPaths, recipe: HasSource) -> Opened:
    """The recipe's source, or each of its list, ready to be searched."""
    from pipeline.sources.opened import Opened

    setting = recipe.setting(benchmark)
    return Opened({label: options.open(setting) for label, options in recipe.source.members.items()})
