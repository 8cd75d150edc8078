"""Configurations of `transformers`."""

from collections.abc import Callable
from typing import Any, TypeVar

Configuration = TypeVar("Configuration")


def configured(kind: Callable[..., Configuration], **settings: Any) -> Configuration:
    """A configuration of a kind. Its class takes settings that no type checker can know: those of its bases
    (`num_labels`, `out_features`) come through `**kwargs` of an `__init__` made at import."""
    return kind(**settings)
