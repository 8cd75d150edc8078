"""Where images come from: a module a source, found by its name in the recipe."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.core.layout import Benchmark
    from pipeline.sources.protocol import Options, Setting, Source


class HasSource(Protocol):
    """A recipe, as far as its source is concerned."""

    @property
    def source(self) -> Options: ...

    def setting(self, benchmark: Benchmark) -> Setting: ...


def names() -> list[str]:
    """All sources. A module's trailing underscore (Python has a word `import`) is not of the name."""
    return sorted(
        module.name.rstrip("_") for module in pkgutil.iter_modules(__path__) if module.name != "protocol"
    )


def options_of(name: str) -> type[Options]:
    """The class of a source's options. Only the source that is used is imported."""
    module = f"{name}_" if f"{name}_" in {found.name for found in pkgutil.iter_modules(__path__)} else name
    kind: type[Options] = importlib.import_module(f"{__name__}.{module}").Options
    return kind


def open(benchmark: Benchmark, recipe: HasSource) -> Source:
    """The recipe's source, ready to be searched."""
    return recipe.source.open(recipe.setting(benchmark))
