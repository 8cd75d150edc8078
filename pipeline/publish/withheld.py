"""Images whose terms do not let them be passed on: leaving them out of a published folder, and saying so.

Masks, tables, predictions and cards stay, and the catalog names no file that is not there. Whoever has the
right to the images makes them again from the recipe.
"""

import json
from pathlib import Path
from typing import Any

from minebench.cube.encoding import ENCODINGS
from minebench.errors import InputError
from minebench.files import replacing, write_compact_json, write_json
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from pipeline.cubes import cube
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sources.protocol import Upstream
from pipeline.stac import assets, objects, root

PICTURES = ("visual.tif", "reflectance.tif", "preview.png", "thumbnail.png")
"""Files of an item that show the image."""
KINDS = [encoding.kind for encoding in ENCODINGS.values()]
KEYS = ("visual", "preview", "thumbnail", *KINDS, *(f"{kind}-cog" for kind in KINDS))
"""Assets that are the image."""


def images(upstreams: list[Upstream]) -> list[Upstream]:
    """Those whose images stay here. InputError where areas of the sites themselves may not be passed on."""
    kept = [upstream for upstream in upstreams if not upstream.may_be_passed_on]
    areas = [upstream.name for upstream in kept if upstream.use != "images"]
    if areas:
        raise InputError(
            f"{areas[0]} may not be passed on, and the sites' areas are of it: publish a list in which every "
            "mine has a place (recipe.yaml, sites)."
        )
    return kept


def shows_pixels(benchmark: BenchmarkPaths, file: Path, recipe: Recipe) -> bool:
    """Whether a published file holds pixels of the images, or pictures of them."""
    if file.is_relative_to(benchmark.stac):
        return file.name in PICTURES
    folder, *inside = file.relative_to(benchmark.data).parts
    return folder == "report" or (folder == "cubes" and cube.image_name(recipe) in inside[1:2])


def restate(published: BenchmarkPaths, recipe: Recipe, kept: list[Upstream]) -> None:
    """Make the catalog, the cards and the viewer's data of a published folder say what is there."""
    said = ", ".join(upstream.name for upstream in kept)
    sentence = f"The images are not part of this release: the terms of {said} do not let them be passed on."
    listed = sites.listed(sites.read(published), recipe)
    present = [site for site in listed if (published.stac / site.site_id / "collection.json").is_file()]
    with progress("publish", len(present), "sites") as advance:
        for site in present:
            _restate_cube(published.cube(site.site_id), cube.image_name(recipe))
            _restate_site(published, site.site_id)
            advance()
    root.write_items(published, present)
    for name in ("README.md", "LICENCES.md"):
        path = published.stac / name
        with replacing(path) as temporary:
            temporary.write_text(
                f"{path.read_text(encoding='utf-8').rstrip()}\n\n{sentence}\n", encoding="utf-8"
            )
    restate_links(published)
    path = published.data / "viewer" / "benchmark.json"
    write_compact_json({**read(path), "report": False, "withheld": sentence}, path)


def restate_links(published: BenchmarkPaths) -> None:
    """The checksums of what stands beside the root, as those files are now."""
    path = published.stac / "catalog.json"
    content = read(path)
    for link in content["links"]:
        if "file:checksum" in link:
            link.update(objects.checked(path.parent / link["href"]))
    write_json(content, path)


def _restate_cube(path: Path, name: str) -> None:
    """The group's list of its arrays, without the image."""
    content = read(path / "zarr.json")
    listed = content.get("consolidated_metadata", {}).get("metadata", {})
    listed.pop(name, None)
    write_json(content, path / "zarr.json")


def _restate_site(published: BenchmarkPaths, site_id: str) -> None:
    """Items and collection of a site: no asset of the image, and the cube's sums as it is now."""
    tree = assets.tree(published.cube(site_id))
    folder = published.stac / site_id
    for path in (folder / "collection.json", *folder.glob("*/*.json")):
        content = read(path)
        for group in ("assets", "item_assets"):
            if group in content:
                content[group] = {key: asset for key, asset in content[group].items() if key not in KEYS}
        for asset in content["assets"].values():
            if "zarr" in asset["type"]:
                asset.update(tree.fields())
            if "minebench:files" in asset:
                asset["minebench:files"] = tree.sums
        write_json(content, path)
    path = published.data / "viewer" / "sites" / f"{site_id}.json"
    content = read(path)
    for image in content["images"]:
        image["files"] = [name for name in image["files"] if name not in PICTURES]
    write_compact_json(content, path)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
