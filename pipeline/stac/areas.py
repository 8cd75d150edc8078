"""Above a thousand sites the root links areas, a catalog a country, so that no object has more children.

stac/areas/<country>/catalog.json       links to the collections, which stay where they are
stac/areas/<country>-2/catalog.json     the second thousand of a country's sites
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pystac

from minebench.layout import BenchmarkPaths
from minebench.text import counted
from pipeline.geo import countries
from pipeline.sites.site import Site
from pipeline.stac import objects
from pipeline.stac.paging import MOST

FOLDER = "areas"
NOWHERE = "unknown"


def divided(sites: Sequence[Site]) -> dict[str, list[Site]]:
    """The sites of each area, in order; empty where they are few."""
    if len(sites) <= MOST:
        return {}
    by_country: dict[str, list[Site]] = {}
    for site in sites:
        by_country.setdefault(site.country or NOWHERE, []).append(site)
    return {
        code if not first else f"{code}-{first // MOST + 1}": own[first : first + MOST]
        for code, own in sorted(by_country.items())
        for first in range(0, len(own), MOST)
    }


def parents(sites: Sequence[Site]) -> dict[str, str]:
    """Of each site the href of the catalog that links it, as seen from its folder."""
    return {
        site.site_id: f"../{FOLDER}/{name}/catalog.json"
        for name, own in divided(sites).items()
        for site in own
    }


def write(benchmark: BenchmarkPaths, sites: Sequence[Site]) -> list[pystac.Link]:
    """Write the areas' catalogs; the links to them for the root, none where sites are few."""
    folder = benchmark.stac / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    names = dict(zip(countries.borders()["iso_a3"], countries.borders()["name"], strict=True))
    links = []
    for name, own in divided(sites).items():
        title = f"{names.get(name[:3], name)} ({counted(len(own), 'site')})"
        _write_one(benchmark, folder / name / "catalog.json", name, title, own)
        links.append(objects.link("child", f"./{FOLDER}/{name}/catalog.json", title=title))
    return links


def _write_one(benchmark: BenchmarkPaths, path: Path, name: str, title: str, sites: Sequence[Site]) -> None:
    area = pystac.Catalog(
        id=f"{benchmark.name}-{name}", title=title, description=f"Sites of {benchmark.name} in {title}."
    )
    children = (
        objects.link("child", f"../../{site.site_id}/collection.json", title=site.label) for site in sites
    )
    root = [objects.link(rel, "../../catalog.json") for rel in ("root", "parent")]
    objects.write(area, [*root, *children], path)
