"""Command `new`: a benchmark's folder from a user's mine list and another benchmark's recipe."""

import re
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from models.errors import InputError
from models.files import replacing
from pipeline import layout, mines, recipe, sites
from pipeline.layout import Benchmark

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
ABOUT_ANNOTATIONS = (
    "Footprint polygons with a column `year` or `date` go here (GeoPackage, GeoJSON, Shapefile or\n"
    "GeoParquet). Then say `labels: {source: annotations}` in the recipe.\n"
)


def scaffold(
    name: str, mine_list: Path, layer: str | None, like: str, root: Path = Path()
) -> tuple[Benchmark, int]:
    """Make catalogs/<name>/ with a copy of the list and the recipe of `like`; returns it and how
    many sites it lays out. InputError, and nothing written, where anything is wrong."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"'{name}' cannot name a benchmark: use lower-case letters, digits, - and _.")
    benchmark = Benchmark(name, root)
    if benchmark.folder.exists():
        raise InputError(f"{benchmark.folder} exists already: choose another name or remove it.")
    if not mine_list.is_file():
        raise InputError(f"There is no file {mine_list}.")
    model = layout.find(like, root)
    layer = mines.choose_layer(mine_list, layer)
    with replacing(benchmark.folder) as temporary:
        draft = Benchmark(temporary.name, root)
        _copy_list(mine_list, draft.mines)
        draft.annotations.mkdir()
        (draft.annotations / "README.md").write_text(ABOUT_ANNOTATIONS)
        _adapt(model.recipe, draft.recipe, name, mine_list, layer)
        try:
            count = len(sites.lay_out(draft, recipe.load(draft.recipe)))
        except InputError as error:
            # The draft's folder is about to vanish: speak of the user's own file.
            message = str(error).replace(str(draft.mines / mine_list.name), str(mine_list))
            raise InputError(message.replace(str(draft.recipe), str(model.recipe))) from None
    return benchmark, count


def _copy_list(mine_list: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    is_shapefile = mine_list.suffix.lower() == ".shp"
    parts = [mine_list.with_suffix(suffix) for suffix in SHAPEFILE_PARTS] if is_shapefile else [mine_list]
    for part in parts:
        if part.is_file():
            shutil.copyfile(part, folder / part.name)


def _adapt(source: Path, target: Path, name: str, mine_list: Path, layer: str | None) -> None:
    """The recipe with the new list; comments stay. What belonged to the old list goes."""
    yaml = YAML()
    yaml.width = 100
    content = yaml.load(source.read_text(encoding="utf-8"))
    content["title"] = f"{name} (synthetic)" if content["source"]["name"] == "synthetic" else name
    for key in ("columns", "join", "filters", "layer", "limit"):
        content["sites"].pop(key, None)
    content["sites"]["mines"] = mine_list.name
    if layer is not None and mine_list.suffix.lower() == ".gpkg":
        content["sites"].insert(1, "layer", layer)
    content["citation"] = ""
    with target.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
