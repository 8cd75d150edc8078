"""Stage `catalog`: the benchmark as a static STAC 1.1 catalog, self-contained, relative links.

    stac/catalog.json                              root
    stac/items.parquet                             items of sites, models and activity, for search
    stac/areas/<country>/catalog.json              sites by country, where they are more than a thousand
    stac/<site_id>/collection.json                 one site
    stac/<site_id>/<period>/<item>.json            one period, its files beside it
    stac/models/<run>/<run>.json                   a trained model, once some were compared
    data/<benchmark>/predictions/catalog.json      models applied to sites (`minebench predict`), if any
    data/<benchmark>/activity/collection.json      where and when sites changed (`minebench activity`)

The cubes and index tables are not copied: assets point to data/<benchmark>/ by relative links, so
a published benchmark is the folders catalogs/<benchmark>/stac and data/<benchmark>, side by side
as they are here.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pystac
import stac_geoparquet.arrow
from stac_geoparquet.arrow import parse_stac_ndjson_to_arrow

from minebench import __version__, receipts, tables
from minebench.cube import store
from minebench.errors import NotMadeYet
from minebench.files import replacing, sha256
from minebench.layout import BenchmarkPaths
from pipeline.core.runner import Spread, Tasks, each_step, prune
from pipeline.index import split
from pipeline.recipe import Recipe
from pipeline.scenes.scene_table import Listed
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import activity_items, areas, collection, dataset_card, model_items, objects, predictions

BESIDE = (
    ("items", "items.parquet", objects.PARQUET),
    ("describedby", "README.md", "text/markdown"),
    ("license", "LICENCES.md", "text/markdown"),
    ("alternate", "croissant.json", "application/ld+json"),
    ("related", "splits.parquet", objects.PARQUET),
)
"""Files beside the catalog's root: relation, name, media type."""
VERSION = 3
"""Of what stands beside the sites: raise it when it comes out otherwise."""


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> int:
    """Write the catalog; sites whose cube and recipe did not change keep their files. Returns how
    many sites were written."""
    table = sites.read(benchmark)
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    with_images = store.require_all(benchmark, table.site_id)
    chosen = Listed(scenes[scenes.selected])
    index = collection.index_assets(benchmark)
    present = [site for site in sites.listed(table, recipe) if site.site_id in with_images]
    if not present:
        raise NotMadeYet("No site has a cube to publish: run `minebench compose` and `annotate`.")
    prune(benchmark.stac, {*(site.site_id for site in present), model_items.FOLDER, areas.FOLDER})
    parents = areas.parents(present)

    def task(site: Site) -> collection.Task:
        parent = parents.get(site.site_id, "../catalog.json")
        return collection.Task(benchmark, recipe, site, chosen, index, parent)

    tasks = Tasks(present, task)
    done = list(each_step(collection.STEP, tasks, spread))
    made = sum(made for _, made in done)
    key = _key(benchmark, recipe, [own for own, _ in done])
    if not made and _is_whole(benchmark, key):
        return 0
    _write_splits(benchmark, recipe)
    dataset_card.publish(benchmark, recipe)
    trained = model_items.write(benchmark, recipe, present)
    if not trained:
        shutil.rmtree(benchmark.stac / model_items.FOLDER, ignore_errors=True)
    write_items(benchmark, present)
    links = areas.write(benchmark, present) or [_child(site.site_id, site.label) for site in present]
    if trained:
        links.append(_child(model_items.FOLDER, "Models"))
    _write_root(benchmark, recipe, links, key)
    return made


def _child(folder: str, title: str) -> pystac.Link:
    return objects.link("child", f"./{folder}/collection.json", title=title)


def _key(benchmark: BenchmarkPaths, recipe: Recipe, own: list[str]) -> str:
    """What all but the sites' own folders is made of: the sites' keys, every table, and the models."""
    folders = (benchmark.table("sites").parent, benchmark.leaderboard)
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    recipe_text = recipe.model_dump(mode="json")
    return receipts.fingerprint([VERSION, __version__, own, recipe_text, [sha256(f) for f in files]])


def _is_whole(benchmark: BenchmarkPaths, key: str) -> bool:
    """Whether the root is of this key, all that it links to is there, and it links to predictions if there
    are any."""
    root = receipts.read(benchmark.stac / "catalog.json")
    hrefs = {link["href"] for link in root.get("links", [])}
    predicted = {link.href for link in predictions.links(benchmark)}
    is_linked = predicted <= hrefs and all((benchmark.stac / href).is_file() for href in hrefs)
    return root.get(receipts.KEY) == key and is_linked


def _write_root(benchmark: BenchmarkPaths, recipe: Recipe, children: list[pystac.Link], key: str) -> None:
    root = pystac.Catalog(
        id=benchmark.name,
        title=recipe.title,
        description=f"{recipe.title}. Made by minebench {__version__}. {recipe.citation}".strip(),
        stac_extensions=[objects.extension("file/v2.1.0")],
    )
    links = [
        objects.link("root", "./catalog.json"),
        *children,
        *predictions.links(benchmark),
        *activity_items.links(benchmark),
        *(
            objects.link(rel, f"./{name}", kind, **objects.checked(benchmark.stac / name))
            for rel, name, kind in BESIDE
            if (benchmark.stac / name).is_file()
        ),
    ]
    objects.write(root, links, benchmark.stac / "catalog.json", **{receipts.KEY: key})


def _write_splits(benchmark: BenchmarkPaths, recipe: Recipe) -> None:
    """The split of each site, from which the next release goes on (`pipeline.index.split`)."""
    path = benchmark.stac / "splits.parquet"
    if recipe.split.by != "site":
        path.unlink(missing_ok=True)
        return
    tiles = tables.read(benchmark.table("tiles"), "tile")
    splits = tiles[["site_id", "split"]].drop_duplicates().sort_values("site_id", ignore_index=True)
    released = pd.DataFrame(splits)
    released.attrs = {split.RULE: split.rule_key(recipe.split)}
    tables.write(released, path)


def write_items(benchmark: BenchmarkPaths, sites: list[Site]) -> None:
    """All items but predictions, which are added later, as stac-geoparquet, hrefs made relative to the
    catalog's root; without tiles that have no place, which no search by area could find. They go through a
    file of lines, so that few are in memory at a time."""
    path = benchmark.stac / "items.parquet"
    with tempfile.TemporaryDirectory(dir=benchmark.stac, prefix=".items-") as folder:
        lines = Path(folder) / "items.ndjson"
        with lines.open("w", encoding="utf-8") as file:
            for content in _items(benchmark, sites):
                file.write(json.dumps(content) + "\n")
        if not lines.stat().st_size:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            reader = parse_stac_ndjson_to_arrow(lines, chunk_size=ITEMS)
            stac_geoparquet.arrow.to_parquet(reader, temporary)


ITEMS = 1000
"""Items that are in memory together."""
OF_ANY_FORM = ("mlm:hyperparameters", "minebench:external")
"""Properties whose values differ in type from model to model, which a column cannot hold."""


def _items(benchmark: BenchmarkPaths, sites: list[Site]) -> Iterator[dict[str, Any]]:
    folders = [*(benchmark.stac / site.site_id for site in sites), benchmark.stac / model_items.FOLDER]
    paths = [path for folder in folders for path in sorted(folder.glob("*/*.json"))]
    for path in [*paths, *activity_items.paths(benchmark)]:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["geometry"]:
            for name in OF_ANY_FORM:
                content["properties"].pop(name, None)
            yield _relocated(content, objects.relative(path.parent, benchmark.stac))


def _relocated(item: dict[str, Any], folder: str) -> dict[str, Any]:
    assets = {
        key: {**asset, "href": objects.joined(folder, asset["href"])} for key, asset in item["assets"].items()
    }
    links = [{**link, "href": objects.joined(folder, link["href"])} for link in item["links"]]
    return {**item, "assets": assets, "links": links}
