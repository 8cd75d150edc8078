"""Above a thousand children a STAC object links shelves, catalogs of a thousand each, so that none has more.

<folder>/shelves/0001/catalog.json      links to the first thousand, which stay where they are
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pystac

from pipeline.stac import objects

FOLDER = "shelves"
MOST = 1000
"""Children of one object."""


def shelved(parent: Path, name: str, root: Path, children: Iterable[pystac.Link]) -> list[pystac.Link]:
    """The links that the object at `parent` has for its children, whose hrefs are as seen from there: to
    themselves where they are few, else to the shelves, which are written. `name` begins the shelves' ids."""
    folder, links = parent.parent / FOLDER, list(children)
    if len(links) <= MOST:
        shutil.rmtree(folder, ignore_errors=True)
        return links
    shelves = [
        _shelf(folder / f"{number:04}", f"{name}-{number:04}", parent, root, links[first : first + MOST])
        for number, first in enumerate(range(0, len(links), MOST), start=1)
    ]
    # Those in use are written over, one by one: until the parent is written it links what is there.
    for left in sorted(folder.iterdir())[len(shelves) :]:
        shutil.rmtree(left)
    return shelves


def _shelf(folder: Path, name: str, parent: Path, root: Path, children: list[pystac.Link]) -> pystac.Link:
    title = f"{children[0].title or children[0].href} to {children[-1].title or children[-1].href}"
    shelf = pystac.Catalog(id=name, title=title, description=f"{len(children)} of {parent.parent.name}.")
    up = [
        objects.link("root", objects.relative(root, folder)),
        objects.link("parent", objects.relative(parent, folder)),
    ]
    own = (
        objects.link(each.rel, f"../../{each.href.removeprefix('./')}", each.media_type, each.title)
        for each in children
    )
    objects.write(shelf, [*up, *own], folder / "catalog.json")
    return objects.link("child", f"./{FOLDER}/{folder.name}/catalog.json", title=title)
