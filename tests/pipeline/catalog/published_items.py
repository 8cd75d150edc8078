"""The STAC objects of a published benchmark."""

import json
from pathlib import Path


def objects(folder: Path) -> list[tuple[Path, dict]]:
    """Everything in the STAC catalog of a folder: the root, a collection a site, and its items."""
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
