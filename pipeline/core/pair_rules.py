"""Which pairs of a site's periods are wanted."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Literal, get_args

from pipeline.core.errors import UnknownName

Named = Literal["all", "consecutive", "first_last"]
Rule = Named | tuple[tuple[str, str], ...]


def named(word: str) -> Named:
    """A rule by its name. InputError where there is none of that name."""
    for name in get_args(Named):
        if word == name:
            return name
    raise UnknownName(f"'{word}' is not a choice of pairs; choose one of {', '.join(get_args(Named))}.")


def wanted(labels: Sequence[str], rule: Rule) -> list[tuple[int, int]]:
    """Index pairs (earlier, later) of a site's periods, by a rule or by the pairs that are named."""
    places = range(len(labels))
    match rule:
        case "all":
            return list(combinations(places, 2))
        case "consecutive":
            return list(pairwise(places))
        case "first_last":
            return [(0, len(labels) - 1)] if len(labels) > 1 else []
        case named:
            place = {label: i for i, label in enumerate(labels)}
            chosen = [(place[a], place[b]) for a, b in named if a in place and b in place]
            return sorted((min(pair), max(pair)) for pair in chosen)
