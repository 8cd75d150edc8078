"""Command `new`: a benchmark's folder from a user's mine list and a source of images."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import jinja2
import shapely
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from minebench import layout
from minebench.errors import InputError
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from minebench.text import counted, few
from pipeline import recipe
from pipeline.core import templates
from pipeline.geo import vector
from pipeline.image_folder import band_names, scan
from pipeline.image_folder.contents import Accept, Images
from pipeline.scenes import attribution, scene_table
from pipeline.scenes.plan import Estimate, estimate
from pipeline.sites import build, mines, published, site, summary
from pipeline.sites.repairs import MuchRepaired

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
SOURCES = {
    "earthengine": "Google Earth Engine: Sentinel-2, with an account",
    "stac": "Sentinel-2 from a STAC API, without an account",
    "local": "your own dated images: a folder, SAFE products, or cubes (--images)",
    "xyz": "dated web tiles, under their terms of use",
    "synthetic": "invented images, for trying the pipeline out",
}
TITLES = {
    "earthengine": "{}: Sentinel-2 images of mines", "stac": "{}: Sentinel-2 images of mines",
    "local": "{}: own images of mines", "xyz": "{}: web tiles of mines", "synthetic": "{} (synthetic)",
}  # fmt: skip
FINE = ("local", "xyz")
"""Sources whose pixels are usually a metre or so: smaller sites, larger tiles."""
ABOUT_PUBLISHED = "{} is fetched from its publisher, or taken from this folder where the file is put here.\n"
ABOUT_ANNOTATIONS = (
    "Footprint polygons with a column `year` or `date` go here, or change polygons with columns `t1` and\n"
    "`t2` where the recipe's labels are of kind change (GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GML or\n"
    "GeoParquet).\n"
    "The recipe then says `labels: {source: annotations}`; `none` makes images without labels.\n"
)


@dataclass(frozen=True)
class Wanted:
    """What a user asks for. `source` is one of `SOURCES`; `like` a benchmark whose recipe to start from;
    `images` the folder or cube of the source `local`, and `sensor` which of its images are taken. `yes`
    accepts what would be asked, such as large repairs of the list."""

    name: str
    mines: str
    layer: str | None = None
    source: str | None = None
    like: str | None = None
    images: Path | None = None
    yes: bool = False
    sensor: str | None = None


@dataclass(frozen=True)
class Seen:
    """What the list and the images are: the `layer` of a file that may have several, whether the list has
    points alone."""

    layer: str | None
    is_of_points: bool
    images: Images | None


@dataclass(frozen=True)
class Made:
    """The new benchmark, what became of the list, and what it comes to."""

    benchmark: BenchmarkPaths
    account: list[str]
    estimate: Estimate
    to_do: list[str]


def scaffold(
    wanted: Wanted,
    root: Path = Path(),
    then: Callable[[BenchmarkPaths], None] = lambda draft: None,
    accept: Accept = lambda images: None,
) -> Made:
    """Make catalogs/<name>/ with a copy of the list (a file, or a published list's name) and a recipe, which
    `then` may change before anybody sees it. `accept` is told what was understood of own images, and raises
    where that is not to be used. InputError, and nothing written, where anything is wrong."""
    benchmark, path = BenchmarkPaths(wanted.name, root), Path(wanted.mines)
    seen = _see(wanted, _check(wanted, benchmark, path))
    if seen.images is not None:
        accept(seen.images)
    model = layout.find(wanted.like, root) if wanted.like else None
    with replacing(benchmark.folder) as temporary:
        draft = BenchmarkPaths(temporary.name, root)
        draft.mines.mkdir(parents=True)
        if wanted.mines in published.LISTS:
            (draft.mines / "README.md").write_text(ABOUT_PUBLISHED.format(wanted.mines))
        else:
            _copy_list(path, draft.mines)
        draft.annotations.mkdir()
        (draft.annotations / "README.md").write_text(ABOUT_ANNOTATIONS)
        try:
            if model is None:
                _write(wanted, seen, draft.recipe)
            else:
                _adapt(model.recipe, draft.recipe, wanted, seen)
            then(draft)
            loaded, table = _laid_out(draft, wanted.yes)
        except InputError as error:
            # The draft's folder is about to vanish: speak of the user's own file.
            message = str(error).replace(str(draft.mines / path.name), str(path))
            raise type(error)(message.replace(str(draft.recipe), str(benchmark.recipe))) from None
    laid_out = site.listed(table, loaded)
    # Own images are counted, and not estimated: how often they were taken nobody knows.
    source = loaded.source.open(loaded.setting(benchmark)) if loaded.source.name == "local" else None
    made = estimate(loaded, laid_out, source)
    sentences = [
        *summary.of(table, loaded),
        *_taken_over(wanted, seen),
        *_uncovered(seen, laid_out, loaded.selection.min_period_clear),
    ]
    return Made(benchmark, sentences, made, _to_do(loaded, seen, root))


def _taken_over(wanted: Wanted, seen: Seen) -> list[str]:
    """What is said of a recipe that began as another benchmark's."""
    if wanted.like is None:
        return []
    if seen.images is not None:
        own = f"{', '.join(OF_IMAGES[:-1])} and {OF_IMAGES[-1]}"
        return [f"{own} follow from the images; all else but the list is as in {wanted.like}"]
    source = " and the source" if wanted.source else ""
    return [f"all but the list{source} is as in {wanted.like}: bands, periods, selection, tiles, split"]


def _uncovered(seen: Seen, laid_out: Sequence[site.Site], least: float) -> list[str]:
    """What is said where own images cover less than a share of sites, by the bounds of their files."""
    if seen.images is None:
        return []
    ground = shapely.union_all(seen.images.outlines)
    shares = {one.label: one.geometry.intersection(ground).area / one.geometry.area for one in laid_out}
    if not (lost := {label: share for label, share in shares.items() if share < least}):
        return []
    west, south, east, north = ground.bounds
    where = f"they lie from {west:.3f} to {east:.3f} east and from {south:.3f} to {north:.3f} north"
    if not any(shares.values()):
        return [f"the images cover no site: {where}"]
    told = few([f"{label}: {share:.0%}" for label, share in lost.items()], 3)
    return [f"the images cover less than {least:.0%} of {counted(len(lost), 'site')} ({told}): {where}"]


def _see(wanted: Wanted, layer: str | None) -> Seen:
    """Look at the list and the images. InputError where the images are none that a recipe can name."""
    path = Path(wanted.mines)
    is_of_points = wanted.mines not in published.LISTS and mines.is_of_points(path, layer)
    own = wanted.images if wanted.source == "local" else None
    images = scan.look(own, wanted.sensor) if own else None
    return Seen(layer if path.suffix.lower() in vector.LAYERED else None, is_of_points, images)


def _check(wanted: Wanted, benchmark: BenchmarkPaths, path: Path) -> str | None:
    """The layer to read. InputError where what is asked for does not fit."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", wanted.name):
        raise InputError(f"'{wanted.name}' cannot name a benchmark: use lower-case letters, digits, - and _.")
    if benchmark.folder.exists():
        raise InputError(f"{benchmark.folder} exists already: choose another name or remove it.")
    is_published = wanted.mines in published.LISTS
    if not is_published and not path.is_file():
        known = ", ".join(published.LISTS)
        raise InputError(f"There is no file {path}, and no published list of that name ({known}).")
    if wanted.source is not None and wanted.source not in SOURCES:
        raise InputError(f"--source: there is no source '{wanted.source}'; sources: {', '.join(SOURCES)}.")
    if wanted.source != "local" and wanted.images is not None:
        raise InputError("--images: own images are of --source local; add it, or leave --images out.")
    if wanted.source == "local" and wanted.images is None:
        raise InputError("--source local needs --images FOLDER, with dated images, or a cube.")
    if wanted.sensor is not None and wanted.images is None:
        raise InputError("--sensor says which images of --images FOLDER are taken, and there is none.")
    if is_published:
        return wanted.layer
    try:
        return mines.choose_layer(path, wanted.layer)
    except InputError as error:
        raise InputError(str(error).replace("name one with layer:", "name one with --layer:")) from None


def needs_source(like: str | None, root: Path = Path()) -> bool:
    """Whether the user must say where images come from: nobody gets invented ones unasked."""
    return like is None or recipe.load(layout.find(like, root).recipe).source.is_synthetic


def _copy_list(mine_list: Path, folder: Path) -> None:
    is_shapefile = mine_list.suffix.lower() == ".shp"
    parts = [mine_list.with_suffix(suffix) for suffix in SHAPEFILE_PARTS] if is_shapefile else [mine_list]
    for part in parts:
        if part.is_file():
            shutil.copyfile(part, folder / part.name)


def _write(wanted: Wanted, seen: Seen, target: Path) -> None:
    """The recipe of a source, with the citation that its upstreams ask for."""
    render = _rendered(wanted, seen)
    target.write_text(render(""), encoding="utf-8")
    target.write_text(render(_citation(recipe.load(target))), encoding="utf-8")


def _rendered(wanted: Wanted, seen: Seen) -> Callable[[str], str]:
    """A source's recipe as a function of its citation."""
    fine = wanted.source in FINE
    parts = {
        "name": wanted.name, "list": Path(wanted.mines).name, "mines": Path(wanted.mines).name,
        "title": f'"{TITLES[str(wanted.source)].format(wanted.name)}"', "source": wanted.source,
        "layer": seen.layer, "images": seen.images,
        "few": few, "how_to_check": band_names.HOW_TO_CHECK, "points": seen.is_of_points,
        "tile": 256 if fine else 160, "min_size_m": 512 if fine else 2560,
        "last_year": date.today().year - 1,
    }  # fmt: skip
    template = templates.load(
        "pipeline.cli", "new_recipe.yaml", {"word": _as_yaml}, autoescape=False, keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return lambda citation: _squeezed(template.render(parts, citation=citation))


YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
"""Words that YAML takes for something else than words."""


def _as_yaml(value: int | str) -> str:
    """A number or a word as YAML has it, quoted where it needs to be."""
    is_plain = isinstance(value, int) or (
        re.fullmatch(r"[A-Za-z_][\w-]*", value) and value.lower() not in YAML_WORDS
    )
    return str(value) if is_plain else json.dumps(value)


def _squeezed(text: str) -> str:
    """Without the empty lines that an unused part of the template leaves."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _citation(loaded: recipe.Recipe) -> str:
    none_yet = scene_table.of_rows([])
    return " ".join(dict.fromkeys(upstream.citation for upstream in attribution.used(loaded, none_yet)))


OF_THE_LIST = ("columns", "join", "filters", "layer", "limit", "per_country", "gadm")
"""Parts of a recipe's sites that belong to its mine list."""

OF_IMAGES = ("sensor", "source", "periods", "selection")
"""Parts of a recipe that follow from own images."""


def _adapt(model: Path, target: Path, wanted: Wanted, seen: Seen) -> None:
    """Another benchmark's recipe with the new list and source. What it says of its own list and images
    goes: the heading, the comments of `sites` and of a source that is replaced."""
    yaml = YAML()
    yaml.width = 4096  # a line stays a line
    content = yaml.load(model.read_text(encoding="utf-8"))
    content.ca.comment = None
    content.yaml_set_start_comment(f"{wanted.name}: by `minebench new` from the recipe of {wanted.like}.")
    if seen.images is not None or (wanted.source and wanted.source != _name_of(content["source"])):
        _take_source(content, wanted, seen)
    synthetic = _name_of(content["source"]) == "synthetic"
    content["title"] = f"{wanted.name} (synthetic)" if synthetic else wanted.name
    own = {key: value for key, value in content["sites"].items() if key not in OF_THE_LIST}
    content["sites"] = CommentedMap({**own, "mines": Path(wanted.mines).name})
    if seen.layer is not None:
        content["sites"]["layer"] = seen.layer
    if seen.is_of_points:
        content["sites"]["geometry"] = "extent"
    if content["split"].get("by") == "list":
        content["split"] = {"by": "site"}
    content["citation"] = ""
    for _ in range(2):  # once to be read, once with what its upstreams ask for
        with target.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        content["citation"] = _citation(recipe.load(target))


def _laid_out(draft: BenchmarkPaths, accepts_repairs: bool) -> tuple[recipe.Recipe, gpd.GeoDataFrame]:
    """Return the recipe and its sites. Large repairs of the list are accepted in the recipe, if at all, only
    where there are any."""
    loaded = recipe.load(draft.recipe)
    try:
        return loaded, build.lay_out(draft, loaded)
    except MuchRepaired:
        if not accepts_repairs:
            raise
    _accept_repairs(draft.recipe)
    loaded = recipe.load(draft.recipe)
    return loaded, build.lay_out(draft, loaded)


def _accept_repairs(target: Path) -> None:
    """Say in a recipe that the list may be used as it is repaired."""
    yaml = YAML()
    yaml.width = 4096
    content = yaml.load(target.read_text(encoding="utf-8"))
    content["sites"]["accept_repairs"] = True
    with target.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _name_of(source: Any) -> str:
    """The name of a recipe's source; of a list none."""
    return "" if isinstance(source, list) else str(source["name"])


def _take_source(content: Any, wanted: Wanted, seen: Seen) -> None:
    """Put in the source, and the labels that go with it, of the source's own recipe; of own images also what
    follows from them."""
    own = YAML().load(_rendered(wanted, seen)(""))
    if seen.images is None:
        content["source"] = dict(own["source"])
    else:
        for part in OF_IMAGES:
            content[part] = own[part]
            content.ca.items.pop(part, None)
    content["labels"]["source"] = own["labels"]["source"]
    content["labels"].ca.items.pop("source", None)  # its comment was about the other one


def _to_do(loaded: recipe.Recipe, seen: Seen, root: Path) -> list[str]:
    """What must be there before the first run."""
    tasks = []
    if loaded.labels.source == "annotations":
        tasks = ["put your labels into annotations/ (README.md there), or set labels.source to none"]
    if seen.images is not None and seen.images.has_guess:
        tasks.append("check what is a guess under source: which band is which, or what the numbers are")
    for options in loaded.source.members.values():
        path = getattr(options, "path", None)
        if path is not None and not (root / path).exists():
            tasks.append(f"put your images into {path}, or name their folder in source.path")
        if options.name == "xyz" and "example.org" in getattr(options, "template", ""):
            tasks.append("fill in the web tiles' address, releases, attribution and terms under source")
    return tasks
