"""Command `new`: a benchmark's folder from a user's mine list and another benchmark's recipe."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import recipe
from pipeline.core import layout
from pipeline.core.errors import InputError
from pipeline.core.files import replacing
from pipeline.core.layout import Benchmark
from pipeline.scenes.plan import Estimate, estimate
from pipeline.sites import lay_out, mines, published, site

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
ABOUT_PUBLISHED = "{} is fetched from its publisher, or taken from this folder where the file is put here.\n"
ABOUT_ANNOTATIONS = (
    "Footprint polygons with a column `year` or `date` go here, or change polygons with columns `t1` and\n"
    "`t2` where the recipe's labels are of kind change (GeoPackage, GeoJSON, Shapefile or GeoParquet).\n"
    "The recipe then says `labels: {source: annotations}`; `none` makes images without labels.\n"
)


@dataclass(frozen=True)
class Made:
    """The new benchmark and what it comes to."""

    benchmark: Benchmark
    repaired: list[str]
    estimate: Estimate


def scaffold(
    name: str, mine_list: str, layer: str | None, like: str, synthetic: bool = False, root: Path = Path()
) -> Made:
    """Make catalogs/<name>/ with a copy of the list (a file, or a published list's name) and the recipe of
    `like`, `synthetic` for a trial over the synthetic archive. InputError, and nothing written, where
    anything is wrong."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"'{name}' cannot name a benchmark: use lower-case letters, digits, - and _.")
    benchmark, path = Benchmark(name, root), Path(mine_list)
    if benchmark.folder.exists():
        raise InputError(f"{benchmark.folder} exists already: choose another name or remove it.")
    is_published = mine_list in published.LISTS
    if not is_published and not path.is_file():
        known = ", ".join(published.LISTS)
        raise InputError(f"There is no file {path}, and no published list of that name ({known}).")
    model = layout.find(like, root)
    layer = layer if is_published else mines.choose_layer(path, layer)
    with replacing(benchmark.folder) as temporary:
        draft = Benchmark(temporary.name, root)
        draft.mines.mkdir(parents=True)
        if is_published:
            (draft.mines / "README.md").write_text(ABOUT_PUBLISHED.format(mine_list))
        else:
            _copy_list(path, draft.mines)
        draft.annotations.mkdir()
        (draft.annotations / "README.md").write_text(ABOUT_ANNOTATIONS)
        _adapt(model.recipe, draft.recipe, name, mine_list, layer, synthetic)
        try:
            loaded = recipe.load(draft.recipe)
            table = lay_out.lay_out(draft, loaded)
        except InputError as error:
            # The draft's folder is about to vanish: speak of the user's own file.
            message = str(error).replace(str(draft.mines / path.name), str(path))
            raise InputError(message.replace(str(draft.recipe), str(model.recipe))) from None
    return Made(
        benchmark, table.site_id[table.repaired].tolist(), estimate(loaded, site.listed(table, loaded))
    )


def _copy_list(mine_list: Path, folder: Path) -> None:
    is_shapefile = mine_list.suffix.lower() == ".shp"
    parts = [mine_list.with_suffix(suffix) for suffix in SHAPEFILE_PARTS] if is_shapefile else [mine_list]
    for part in parts:
        if part.is_file():
            shutil.copyfile(part, folder / part.name)


OF_THE_LIST = ("columns", "join", "filters", "layer", "limit", "per_country", "gadm")
"""Parts of a recipe's sites that belong to its mine list."""


def _adapt(source: Path, target: Path, name: str, mine_list: str, layer: str | None, synthetic: bool) -> None:
    """The recipe with the new list; comments stay. What belonged to the old list goes."""
    yaml = YAML()
    yaml.width = 4096  # a line stays a line
    content = yaml.load(source.read_text(encoding="utf-8"))
    if synthetic:
        content["source"] = {"name": "synthetic"}
        content["labels"]["source"] = "archive"
    content["title"] = f"{name} (synthetic)" if content["source"]["name"] == "synthetic" else name
    for key in OF_THE_LIST:
        content["sites"].pop(key, None)
    content["sites"]["mines"] = Path(mine_list).name
    if layer is not None and mine_list.lower().endswith(".gpkg"):
        content["sites"].insert(1, "layer", layer)
    if content["split"].get("by") == "list":
        content["split"] = {"by": "site"}
    content["citation"] = ""
    with target.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
