"""The STAC objects of a published benchmark."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pystac
from stac_geoparquet.arrow import stac_table_to_items


def objects(folder: Path) -> list[tuple[Path, dict]]:
    """Everything in the STAC catalog of a folder: the root, a collection per site, and its items."""
    found = [(path, json.loads(path.read_text())) for path in sorted(folder.rglob("*.json"))]
    found = [(path, content) for path, content in found if "stac_version" in content]
    types = [content["type"] for _, content in found]
    assert types.count("Catalog") >= 1
    assert types.count("Collection") >= 3
    assert types.count("Feature") >= 9
    return found


def items_of(project: Path) -> list[tuple[Path, dict]]:
    """The items of the tiny project: three sites of three dates."""
    found = [each for each in objects(project / "catalogs/tiny/stac") if each[1]["type"] == "Feature"]
    assert len(found) == 9
    return found


def listed_items(stac: Path) -> dict[str, pystac.Item]:
    """The items of a catalog's table for search, by id, which are those that its links lead to."""
    table = pq.read_table(stac / "items.parquet")
    found = {item["id"]: pystac.Item.from_dict(item) for item in stac_table_to_items(table)}
    catalog = pystac.Catalog.from_file(str(stac / "catalog.json"))
    children = [child for child in catalog.get_children() if child.title != "Predictions"]
    assert set(found) == {item.id for child in children for item in child.get_items(recursive=True)}
    for item in found.values():
        for asset in item.assets.values():
            assert (stac / asset.href).exists(), asset.href
    return found
