"""What goes with a published benchmark: a dataset card, licences and citations, Croissant metadata.

README.md        dataset card; its header is Hugging Face's
LICENCES.md      every upstream that was used, with licence and citation
croissant.json   MLCommons Croissant 1.0: the index tables, their columns and checksums
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from minebench import __version__, tables
from minebench.files import replacing, sha256, write_json
from minebench.layout import BenchmarkPaths
from minebench.text import counted
from pipeline.core import templates
from pipeline.geo import geodesy
from pipeline.index import annotators, statistics
from pipeline.index.split import NAMES
from pipeline.recipe import Recipe
from pipeline.scenes import attribution

CROISSANT_FILE = "croissant.json"
TABLES = ("sites", "scenes", "composites", "tiles", "tile_periods", "pairs")
TYPES = ((pa.types.is_boolean, "sc:Boolean"), (pa.types.is_integer, "sc:Integer"),
         (pa.types.is_floating, "sc:Float"), (pa.types.is_temporal, "sc:DateTime"))  # fmt: skip
CROISSANT = (
    "citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes",
    "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in CROISSANT},
}
"""The context that Croissant 1.0 prescribes."""


def publish(benchmark: BenchmarkPaths, recipe: Recipe) -> None:
    """Write card, licences and Croissant beside the catalog's root."""
    beside(benchmark, recipe, benchmark.stac)
    write_json(croissant(benchmark, recipe), benchmark.stac / CROISSANT_FILE)


def beside(benchmark: BenchmarkPaths, recipe: Recipe, folder: Path) -> None:
    """Write card and licences into a folder."""
    write(contents(benchmark, recipe), folder)


def contents(benchmark: BenchmarkPaths, recipe: Recipe) -> dict[str, Any]:
    """What card and licences say. NotMadeYet where a table is missing."""
    sources = attribution.used(recipe, tables.read(benchmark.table("scenes"), "fetch"))
    found = statistics.read(benchmark)
    return {
        "recipe": recipe, "benchmark": benchmark.name, "version": __version__, "sources": sources,
        "licence": attribution.shared_under(sources), "balance": tables.records(found["balance"]),
        "leakage": found["leakage"].set_index("split").share.to_dict(),
        "sites": found["sites"], "countries": sorted(found["sites"].country.dropna().unique()),
        "undated": [period.label for period in recipe.periods.periods() if period.is_unknown],
        "periods": [period.label for period in recipe.periods.periods()],
        "synthetic": recipe.source.is_synthetic,
        "tested": any(row["split"] == "test" and row["tiles"] for row in tables.records(found["balance"])),
        "labelled": is_labelled(found["balance"]),
        "annotators": annotators.sentences(benchmark),
        "overlap": _overlap_km2(tables.read_geo(benchmark.table("sites"), "sites")),
    }  # fmt: skip


def write(parts: dict[str, Any], folder: Path) -> None:
    """Write card and licences of such contents into a folder, such as an export's."""
    parquet = [name for name in NAMES if any((folder / "data").glob(f"{name}-*"))]
    for name in ("README.md", "LICENCES.md"):
        template = templates.load(
            "pipeline.stac", name, {"json": json.dumps, "counted": counted}, autoescape=False,
            keep_trailing_newline=True,
        )  # fmt: skip
        with replacing(folder / name) as temporary:
            temporary.write_text(template.render(parts, parquet=parquet), encoding="utf-8")


def is_labelled(balance: pd.DataFrame) -> bool:
    """Whether any pixel of any mask or pair is known."""
    return bool(balance[["changed", "unchanged", "mine", "background"]].to_numpy().any())


def _overlap_km2(sites: Any) -> float:
    """Ground that lies in the AOIs of two sites."""
    shared = sites.elsewhere.dropna() if "elsewhere" in sites else []
    return sum(geodesy.area_km2(ground) for ground in shared)


def croissant(benchmark: BenchmarkPaths, recipe: Recipe) -> dict[str, Any]:
    """The index tables as Croissant: a FileObject and a RecordSet each. Links are relative to the
    catalog's root, as in its STAC."""
    sources = attribution.used(recipe, tables.read(benchmark.table("scenes"), "fetch"))
    paths = {name: benchmark.table(name) for name in TABLES}
    labelled = is_labelled(tables.read(benchmark.table("statistics/balance"), "tile"))
    meaning = f"{recipe.labels.meaning} " if labelled else ""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": benchmark.name,
        "description": f"{recipe.title}. {meaning}Pixels are in one Zarr cube per site, data/"
        f"{benchmark.name}/cubes/<site_id>.zarr; a tile is a window of it, a pair a row of pairs.",
        "license": licence_url(attribution.shared_under(sources)),
        "url": "./catalog.json",
        "version": __version__,
        "citeAs": recipe.citation or recipe.title,
        "creator": {"@type": "sc:Organization", "name": "minebench"},
        "datePublished": latest(benchmark),
        "distribution": [_file(benchmark, name, path) for name, path in paths.items()],
        "recordSet": [_records(name, path) for name, path in paths.items()],
    }


def latest(benchmark: BenchmarkPaths) -> str:
    """The last day of its images: the content's date, so that the same benchmark has the same bytes."""
    days = tables.read(benchmark.table("statistics/acquisitions"), "tile").last_day.dropna()
    return str(days.max()) if len(days) else "1970-01-01"


def _file(benchmark: BenchmarkPaths, name: str, path: Path) -> dict[str, Any]:
    href = Path("..", "..", "..", path.relative_to(benchmark.root)).as_posix()
    return {
        "@type": "cr:FileObject", "@id": f"{name}.parquet", "name": f"{name}.parquet", "contentUrl": href,
        "encodingFormat": "application/x-parquet", "sha256": sha256(path),
        "contentSize": f"{path.stat().st_size} B",
    }  # fmt: skip


def _records(name: str, path: Path) -> dict[str, Any]:
    """A table's columns; geometry, which Croissant has no type for, is left out."""
    schema = pq.read_schema(path)
    fields = [
        {
            "@type": "cr:Field", "@id": f"{name}/{column.name}", "name": column.name,
            "dataType": _type(column.type),
            "source": {"fileObject": {"@id": f"{name}.parquet"}, "extract": {"column": column.name}},
        }
        for column in schema
        if not pa.types.is_binary(column.type) and not pa.types.is_nested(column.type)
    ]  # fmt: skip
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _type(kind: pa.DataType) -> str:
    return next((name for test, name in TYPES if test(kind)), "sc:Text")


def licence_url(licence: str) -> str:
    """The address of a licence; of terms of several kinds the file that lists them."""
    urls = {
        "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
        "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
        "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    }
    return urls.get(licence, "./LICENCES.md")
