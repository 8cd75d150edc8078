import json
from datetime import UTC, datetime
from pathlib import Path

import pystac

from pipeline.stac import objects, paging


def written(folder: Path, count: int) -> pystac.Collection:
    """A collection of so many items under a root, read back as anyone would."""
    objects.write(
        pystac.Catalog("root", "a root"),
        [objects.link("root", "./catalog.json"), objects.link("child", "./c/collection.json")],
        folder / "catalog.json",
    )
    path, links = folder / "c/collection.json", []
    for number in range(count):
        item = pystac.Item(f"i{number:04}", None, None, datetime(2024, 1, 1, tzinfo=UTC), {})
        up = [objects.link("root", "../../catalog.json"), objects.link("parent", "../collection.json")]
        objects.write(item, up, folder / f"c/{item.id}/item.json")
        links.append(objects.link("item", f"./{item.id}/item.json", objects.ITEM, item.id))
    collection = pystac.Collection(
        "c", "many items", objects.extent(None, *[datetime(2024, 1, 1, tzinfo=UTC)] * 2)
    )
    up = [objects.link(rel, "../catalog.json") for rel in ("root", "parent")]
    objects.write(collection, [*up, *paging.shelved(path, "c", folder / "catalog.json", links)], path)
    return pystac.Collection.from_file(str(path))


def test_many_items_stand_on_shelves_and_all_are_found(tmp_path: Path) -> None:
    collection = written(tmp_path, 2001)
    assert [child.id for child in collection.get_children()] == ["c-0001", "c-0002", "c-0003"]
    assert {item.id for item in collection.get_items(recursive=True)} == {f"i{n:04}" for n in range(2001)}
    for path in [tmp_path / "c/collection.json", *tmp_path.glob("c/shelves/*/catalog.json")]:
        links = json.loads(path.read_text())["links"]
        assert sum(link["rel"] in ("child", "item") for link in links) <= paging.MOST
        for link in links:
            assert (path.parent / link["href"]).is_file(), link
    # Fewer: no shelf is left over.
    assert [child.id for child in written(tmp_path, 1500).get_children()] == ["c-0001", "c-0002"]
    assert [path.name for path in sorted((tmp_path / "c/shelves").iterdir())] == ["0001", "0002"]
    # Few again: the shelves are gone.
    collection = written(tmp_path, 3)
    assert not (tmp_path / "c/shelves").exists()
    assert len(list(collection.get_items())) == 3
