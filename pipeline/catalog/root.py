"""Stage `catalog`: the benchmark as a static STAC 1.1 catalog, self-contained, relative links.

    stac/catalog.json                              root
    stac/items.parquet                             all items (stac-geoparquet), for search
    stac/<site_id>/collection.json                 one site
    stac/<site_id>/<period>/<item>.json            one period, its files beside it
    stac/models/<run>/<run>.json                   a trained model, once some were compared

The cubes and index tables are not copied: assets point to data/<benchmark>/ by relative links, so
a published benchmark is the folders catalogs/<benchmark>/stac and data/<benchmark>, side by side
as they are here.
"""

import json
import shutil
from typing import Any

import pyarrow as pa
import stac_geoparquet.arrow
from stac_geoparquet.arrow import parse_stac_items_to_arrow

from pipeline import __version__
from pipeline.catalog import collection, dataset_card, model_items
from pipeline.core import tables
from pipeline.core.errors import WorkError
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark, prune
from pipeline.core.runner import each_site
from pipeline.recipe import Recipe

BESIDE = (
    ("items", "items.parquet", "application/vnd.apache.parquet"),
    ("describedby", "README.md", "text/markdown"),
    ("license", "LICENCES.md", "text/markdown"),
    ("alternate", "croissant.json", "application/ld+json"),
)
"""Files beside the catalog's root: relation, name, media type."""


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Write the catalog; sites whose cube and recipe did not change keep their files. Returns how
    many sites were written anew."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    index = collection.index_assets(benchmark)
    prune(benchmark.stac, {*sites.site_id, model_items.FOLDER})
    tasks = [
        (benchmark, recipe, row, scenes[scenes.site_id == row.site_id], index) for row in sites.itertuples()
    ]
    made = each_site("catalog", tasks, collection.write_site, workers, scheduler)
    present = [site for site in sites.site_id if (benchmark.stac / site / "collection.json").is_file()]
    if not present:
        raise WorkError("No site has a cube to publish: run `minebench compose` and `annotate`.")
    _write_items(benchmark)
    dataset_card.publish(benchmark, recipe)
    trained = model_items.write(benchmark, recipe, sites[sites.site_id.isin(present)])
    if not trained:
        shutil.rmtree(benchmark.stac / model_items.FOLDER, ignore_errors=True)
    _write_root(benchmark, recipe, [*present, *([model_items.FOLDER] if trained else [])])
    return sum(made)


def _write_root(benchmark: Benchmark, recipe: Recipe, children: list[str]) -> None:
    root = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "stac_extensions": [collection.EXTENSION.format("file/v2.1.0")],
        "id": benchmark.name,
        "title": recipe.title,
        "description": f"{recipe.title}. Made by minebench {__version__}. {recipe.citation}".strip(),
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            *(
                {"rel": "child", "href": f"./{child}/collection.json", "type": "application/json"}
                for child in children
            ),
            *(_link(benchmark, *beside) for beside in BESIDE if (benchmark.stac / beside[1]).is_file()),
        ],
    }
    write_json(root, benchmark.stac / "catalog.json")


def _link(benchmark: Benchmark, rel: str, name: str, media_type: str) -> dict[str, Any]:
    """A file beside the root, with size and checksum as assets have them."""
    path = benchmark.stac / name
    sums = {"file:size": path.stat().st_size, "file:checksum": "1220" + sha256(path)}
    return {"rel": rel, "href": f"./{name}", "type": media_type, **sums}


def _write_items(benchmark: Benchmark) -> None:
    """All items as stac-geoparquet, hrefs made relative to the catalog's root; without tiles that
    have no place, which no search by area could find."""
    items = []
    for path in sorted(benchmark.stac.glob("*/*/*.json")):
        if path.parent.parent.name == model_items.FOLDER:
            continue
        content = json.loads(path.read_text())
        if content["geometry"]:
            items.append(_relocated(content, path.parent.relative_to(benchmark.stac).as_posix()))
    if not items:
        (benchmark.stac / "items.parquet").unlink(missing_ok=True)
        return
    reader = parse_stac_items_to_arrow(items)
    table = pa.Table.from_batches(reader, schema=reader.schema)
    with replacing(benchmark.stac / "items.parquet") as temporary:
        stac_geoparquet.arrow.to_parquet(table, temporary)


def _relocated(item: dict[str, Any], folder: str) -> dict[str, Any]:
    assets = {
        key: {**asset, "href": collection.joined(folder, asset["href"])}
        for key, asset in item["assets"].items()
    }
    links = [{**link, "href": collection.joined(folder, link["href"])} for link in item["links"]]
    return {**item, "assets": assets, "links": links}
