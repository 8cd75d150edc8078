"""Whose data a benchmark is made of: licences and citations of what it really used, no more."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.recipe import Recipe
from pipeline.sites import published
from pipeline.sources.protocol import Options, Upstream

NATURAL_EARTH = Upstream(
    "Natural Earth", "countries of mines whose list names none; the report's map", "public domain",
    "Made with Natural Earth.", "https://www.naturalearthdata.com",
)  # fmt: skip
GADM = Upstream(
    "GADM 4.1", "areas of mines that have no place in their list",
    "free for academic and other non-commercial use", "Database of Global Administrative Areas, version 4.1.",
    "https://gadm.org/license.html", may_be_passed_on=False,
)  # fmt: skip
BUILT_ON = {"jasansky-2024": ("maus-v2", "tang-2023")}
"""Lists that are made from others."""


def used(recipe: Recipe, scenes: pd.DataFrame) -> list[Upstream]:
    """Everything a benchmark was made from, by its recipe and its table of scenes."""
    found = list(dict.fromkeys(
        upstream
        for source in _sources(recipe, scenes)
        for upstream in source.attribution(recipe.profile, _years(scenes))
    ))  # fmt: skip
    if recipe.source.is_published:
        return [replace(upstream, citation=upstream.citation or recipe.citation) for upstream in found]
    lists = [recipe.sites.mines, *([recipe.sites.join.file] if recipe.sites.join else [])]
    for name in lists:
        found += _list(name)
    if recipe.sites.gadm:
        found.append(GADM)
    if recipe.labels.source == "annotations":
        found.append(Upstream("Annotations", "labels", "the annotators'", "Made for this benchmark."))
    return [*found, NATURAL_EARTH]


def shared_under(upstreams: list[Upstream]) -> str:
    """What the whole may be shared under: the strictest Creative Commons licence among the parts, or
    `other` where a part has terms of its own."""
    names = {upstream.licence for upstream in upstreams} - {"public domain"}
    if names - {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"}:
        return "other"
    return next((name for name in ("CC-BY-SA-4.0", "CC-BY-4.0") if name in names), "CC0-1.0")


def _sources(recipe: Recipe, scenes: pd.DataFrame) -> list[Options]:
    """The sources that gave the scenes that were used; all of the recipe where none were yet."""
    members = recipe.source.members
    given = set(scenes[scenes.selected].source)
    return [source for label, source in members.items() if label in given] or list(members.values())


def _years(scenes: pd.DataFrame) -> str:
    """The years of the scenes that were used, as they follow a name; empty where none is known."""
    years = sorted(set(scenes[scenes.selected].day.str[:4]) - {""})
    return f" {years[0]}-{years[-1]}" if len(years) > 1 else f" {years[0]}" if years else ""


def _list(name: str) -> list[Upstream]:
    if name not in published.LISTS:
        return [Upstream(Path(name).name, "mine list", "of whoever made the list", "List of the user.")]
    entry = published.LISTS[name]
    own = Upstream(name, "mine list", entry.licence, entry.citation, entry.page)
    return [own, *(source for part in BUILT_ON.get(name, ()) for source in _list(part))]
