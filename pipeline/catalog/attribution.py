"""Whose data a benchmark is made of: licences and citations of what it really used, no more."""

from dataclasses import dataclass

import pandas as pd

from pipeline.recipe import EarthEngine, Import, Local, Recipe, Stac, Synthetic, Xyz
from pipeline.sites import published

COPERNICUS = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"


@dataclass(frozen=True)
class Upstream:
    """One source. `licence` is an SPDX name, or words where there is none; `use` says what of it."""

    name: str
    use: str
    licence: str
    citation: str
    url: str = ""


NATURAL_EARTH = Upstream(
    "Natural Earth", "countries of mines whose list names none; the report's map", "public domain",
    "Made with Natural Earth.", "https://www.naturalearthdata.com",
)  # fmt: skip
CLOUD_SCORE = Upstream(
    "Cloud Score+", "which pixels are clear", "CC-BY-4.0",
    "Pasquarella et al. (2023): Comprehensive quality assessment of optical satellite imagery using weakly "
    "supervised video learning. CVPR Workshops.",
    "https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_CLOUD_SCORE_PLUS_V1_S2_HARMONIZED",
)  # fmt: skip
NAIP = Upstream(
    "NAIP", "images", "public domain", "USDA Farm Service Agency, National Agriculture Imagery Program.",
    "https://naip-usdaonline.hub.arcgis.com",
)  # fmt: skip
GADM = Upstream(
    "GADM 4.1", "areas of mines that have no place in their list",
    "free for academic and other non-commercial use", "Database of Global Administrative Areas, version 4.1.",
    "https://gadm.org/license.html",
)  # fmt: skip
IMPORTED = {
    "euromine": ("CC-BY-4.0", "https://doi.org/10.14278/rodare.4656"),
    "minenetcd256": ("see the publisher", "https://huggingface.co/datasets/ericyu/MineNetCD256"),
    "oms2cd": ("see the publisher", "https://github.com/Dibz15/OpenMineChangeDetection"),
}
BUILT_ON = {"jasansky-2024": ("maus-v2", "tang-2023")}
"""Lists that are made from others."""


def used(recipe: Recipe, scenes: pd.DataFrame) -> list[Upstream]:
    """Everything a benchmark was made from, by its recipe and its table of scenes."""
    found = [*_images(recipe, scenes)]
    if isinstance(recipe.source, Import):
        return found
    lists = [recipe.sites.mines, *([recipe.sites.join.file] if recipe.sites.join else [])]
    for name in lists:
        found += _list(name)
    if recipe.sites.gadm:
        found.append(GADM)
    if recipe.labels.source == "annotations":
        found.append(Upstream("Annotations", "labels", "the annotators'", "Drawn for this benchmark."))
    return [*found, NATURAL_EARTH]


def licence(upstreams: list[Upstream]) -> str:
    """What the whole may be shared under: the strictest Creative Commons licence among the parts, or
    `other` where a part has terms of its own."""
    names = {upstream.licence for upstream in upstreams} - {"public domain"}
    if names - {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"}:
        return "other"
    return next((name for name in ("CC-BY-SA-4.0", "CC-BY-4.0") if name in names), "CC0-1.0")


def _images(recipe: Recipe, scenes: pd.DataFrame) -> list[Upstream]:
    match recipe.source:
        case Synthetic():
            made = "Made by minebench; synthetic, not observations."
            return [Upstream("Synthetic archive", "images and labels", "CC0-1.0", made)]
        case EarthEngine(collection=collection) if "NAIP" in collection:
            return [NAIP]
        case EarthEngine(collection=collection) if "COPERNICUS/S2" not in collection:
            page = (
                f"https://developers.google.com/earth-engine/datasets/catalog/{collection.replace('/', '_')}"
            )
            return [Upstream(collection, "images", "see the collection's page", collection, page)]
        case EarthEngine(cloud="cloud_score_plus"):
            return [_sentinel(scenes), CLOUD_SCORE]
        case EarthEngine() | Stac():
            return [_sentinel(scenes)]
        case Xyz(attribution=attribution, terms=terms):
            return [Upstream(attribution, "images", "terms of use", attribution, terms)]
        case Local(path=path):
            return [Upstream(str(path), "images", "of whoever made the files", "Files of the user.")]
        case Import(layout=layout):
            terms, url = IMPORTED[layout]
            return [Upstream(layout, "images, labels and splits", terms, recipe.citation, url)]


def _sentinel(scenes: pd.DataFrame) -> Upstream:
    """The notice that Copernicus asks for, with the years of the scenes that were used."""
    years = sorted(set(scenes[scenes.selected].day.str[:4]) - {""})
    span = f" {years[0]}-{years[-1]}" if len(years) > 1 else f" {years[0]}" if years else ""
    notice = f"Contains modified Copernicus Sentinel data{span}."
    return Upstream("Copernicus Sentinel-2", "images", "Copernicus Sentinel data terms", notice, COPERNICUS)


def _list(name: str) -> list[Upstream]:
    if name not in published.LISTS:
        return [Upstream(name, "mine list", "of whoever made the list", "List of the user.")]
    entry = published.LISTS[name]
    own = Upstream(name, "mine list", entry.licence, entry.citation, entry.page)
    return [own, *(source for part in BUILT_ON.get(name, ()) for source in _list(part))]
