"""Prepare visits: to a known catalogue, or to the sources of a benchmark at its first site."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline.doctor.known_catalogues import CATALOGUES, Catalogue, Question
from pipeline.doctor.visit import Visit
from pipeline.recipe import Recipe, Selection
from pipeline.sensors import known
from pipeline.sites import site
from pipeline.sites.site import Site
from pipeline.sources import options_of
from pipeline.sources.protocol import Options, Setting

WITHOUT_OFFSET = (date(2021, 1, 1), date(2022, 1, 1))
"""The last year before Sentinel-2's processing baseline 04.00 (from, to before)."""


def of_catalogue(catalogue: Catalogue, data: Path) -> Visit:
    """Return the visit to a catalogue; `data` is the folder for files that its source keeps."""
    options = options_of(catalogue.source["name"]).model_validate(dict(catalogue.source))
    sensor = catalogue.sensor
    profile = known.named(sensor.profile) if sensor.profile else options.profile(sensor)
    return Visit(catalogue, options, Setting(Path(), data, sensor, profile, Selection().clear))


def of_benchmark(benchmark: BenchmarkPaths, recipe: Recipe, data: Path) -> list[Visit]:
    """Return the visits to a benchmark's sources; `data` is the folder for files that they keep. InputError
    where none is on the web."""
    members = recipe.source.members
    services = {label: options for label, options in members.items() if options.is_service}
    if not services:
        raise InputError(f"source: {', '.join(members)} is not on the web; doctor checks sources on the web.")
    first, setting = site.load(benchmark, recipe)[0], recipe.setting(benchmark)
    visits = []
    for label, options in services.items():
        options.announce(setting)
        catalogue = _catalogue(f"{benchmark.name}, {label}", options, recipe, first)
        visits.append(Visit(catalogue, options, replace(setting, data=data)))
    return visits


def _catalogue(name: str, options: Options, recipe: Recipe, first: Site) -> Catalogue:
    """Return a source as a catalogue queried at a site, with what is known of it."""
    last = recipe.periods.periods()[-1]
    ask = Question(first.place, *first.search_window(last, recipe))
    before = first.search_window(last, recipe) if last.end <= WITHOUT_OFFSET[1] else WITHOUT_OFFSET
    if catalogue := _known(options):
        return replace(catalogue, name=name, sensor=recipe.sensor, ask=ask)
    source: dict[str, Any] = options.model_dump(mode="json")
    return Catalogue(name, recipe.title, source, recipe.sensor, ask, before=before)


def _known(options: Options) -> Catalogue | None:
    """Return the known catalogue that a recipe's source names, if any."""
    identity = _identity(options.model_dump(mode="json"))
    return next((one for one in CATALOGUES.values() if _identity(one.source) == identity), None)


def _identity(source: Any) -> tuple[Any, ...]:
    """Return what two sources of one catalogue have in common: the kind, the host, the collections."""
    collections = source.get("collections") or [source.get("collection") or "COPERNICUS/S2_SR_HARMONIZED"]
    return source["name"], urlsplit(source.get("href") or "").hostname, *collections
