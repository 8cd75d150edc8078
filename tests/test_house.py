"""The tree tells: layers without arrows upwards, and stages that say what they use."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline import sources, stages
from tests.conftest import ROOT

MINEBENCH_LAYERS = (
    ("minebench.bands", "minebench.cores", "minebench.errors", "minebench.masks", "minebench.periods"),
    ("minebench.rank", "minebench.receipts", "minebench.text"),
    ("minebench.layout", "minebench.files", "minebench.index", "minebench.progress"),
    ("minebench.tables",),
    ("minebench.cube",),
    ("minebench.metrics",),
    ("minebench.data",),
    ("minebench.predictions",),
    ("minebench.benchmark",),
)
"""From below upwards. A package imports its own modules and what lies below; those of one layer do not
know one another. `minebench` knows nothing else of ours, and `models` only `minebench`."""
LAYERS = (
    ("pipeline.core",),
    ("pipeline.web",),
    ("pipeline.sensors",),
    ("pipeline.geo",),
    ("pipeline.stac.objects",),
    ("pipeline.stac.paging",),
    ("pipeline.published.formats",),
    ("pipeline.sources",),
    ("pipeline.recipe",),
    ("pipeline.published.sites",),
    ("pipeline.sites",),
    ("pipeline.scenes.status",),
    ("pipeline.scenes.scene_table",),
    ("pipeline.published.scenes",),
    ("pipeline.synthetic", "pipeline.scenes"),
    ("pipeline.cubes.cube",),
    ("pipeline.cubes.writer",),
    ("pipeline.published.cubes",),
    ("pipeline.cubes",),
    ("pipeline.index",),
    ("models",),
    ("pipeline.leaderboard",),
    ("pipeline.stac",),
    ("pipeline.activity",),
    ("pipeline.report",),
    ("pipeline.scoring",),
    ("pipeline.inference", "pipeline.export", "pipeline.publish"),
    ("pipeline.published", "pipeline.image_folder"),
    ("pipeline.label", "pipeline.doctor"),
    ("pipeline.stages",),
    ("pipeline.params",),
    ("pipeline.cli.asking", "pipeline.cli.command", "pipeline.cli.headings", "pipeline.cli.options"),
    ("pipeline.cli.new",),
    ("pipeline.running",),
    ("pipeline.cli.label", "pipeline.cli.scoring", "pipeline.cli.doctor", "pipeline.cli.region"),
    ("pipeline.cli.models",),
    ("pipeline.cli.app",),
    ("pipeline.cli",),
)
MODEL_LAYERS = (
    ("models.recipes", "models.base", "models.run_name", "models.smoothing"),
    ("models.layers",),
    ("models.change", "models.segmentation"),
    ("models.registry",),
    ("models.training",),
    ("models.evaluation",),
)
GEOSPATIAL = {
    "affine", "antimeridian", "ee", "geopandas", "odc", "pyogrio", "pyproj", "pystac", "pystac_client",
    "rasterio", "rioxarray", "shapely", "stac_geoparquet", "xarray",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of the three packages, by name."""
    found = {}
    for package in ("minebench", "pipeline", "models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
assert len(MODULES) > 200, "the tests of this file look at every module"


def nodes(path: Path) -> Iterator[ast.AST]:
    """The nodes of a file, but those that only a type checker runs."""
    queue: list[ast.AST] = [ast.parse(path.read_text())]
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue += node.orelse
        else:
            queue += list(ast.iter_child_nodes(node))


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours, and packages of others, that a module imports, in functions too."""
    found = set()
    for node in nodes(MODULES[module]):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = names & set(MODULES)
            found |= inner
            if len(inner) < len(names):
                found.add(node.module if node.module in MODULES else node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {a.name if a.name in MODULES else a.name.split(".")[0] for a in node.names}
    if module == "pipeline.sources":  # it finds its modules by their names
        found |= {name for name in MODULES if name.startswith("pipeline.sources.")}
    if module == "models.registry":
        found |= {name for name in MODULES if name.startswith(("models.change.", "models.segmentation."))}
    return frozenset(found - {module, "minebench", "pipeline", "models"})


def layer(module: str, layers: tuple[tuple[str, ...], ...]) -> tuple[int, str] | None:
    for height, names in enumerate(layers):
        for name in names:
            if module == name or module.startswith(f"{name}."):
                return height, name
    return None


@pytest.mark.parametrize(
    ("package", "layers"), [("minebench", MINEBENCH_LAYERS), ("pipeline", LAYERS), ("models", MODEL_LAYERS)]
)
def test_no_import_points_upwards(package: str, layers: tuple[tuple[str, ...], ...]) -> None:
    wrong = []
    for module in MODULES:
        if not module.startswith(f"{package}.") or module == "minebench.data":
            continue
        own = layer(module, layers)
        assert own, f"{module} is in no layer"
        for other in imports(module):
            there = layer(other, layers)
            if there and there != own and there[0] >= own[0]:
                wrong.append(f"{module} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_minebench_stands_alone_and_models_know_it_only() -> None:
    for module in MODULES:
        above = {"minebench": ("models", "pipeline"), "models": ("pipeline",)}.get(module.split(".")[0], ())
        assert not [name for name in imports(module) if name.split(".")[0] in above], module


def test_a_machine_that_only_trains_needs_no_geospatial_library() -> None:
    queue = [m for m in MODULES if m.startswith(("minebench.", "models."))]
    seen: set[str] = set()
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        found = imports(module)
        # Imported where they are called, by what only a benchmark's reader asks for.
        allowed = {
            "minebench.benchmark": {"geopandas", "xarray"},
            "minebench.predictions": {"rasterio", "xarray"},
            "minebench.tables": {"geopandas"},
        }.get(module, set())
        assert not (found & GEOSPATIAL) - allowed, module
        queue += [name for name in found if name in MODULES]


LOOKS_UP = ("minebench", "minebench.data", "models", "models.registry", "pipeline", "pipeline.sources")
"""Packages that import their own modules by name when they are asked for."""


def test_no_circle() -> None:
    """`visit` raises where a module is on its own path."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module in done:
            return
        for other in sorted(imports(module)):
            if other in MODULES and module not in LOOKS_UP:
                visit(other, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())
    assert done == set(MODULES)


def test_dvc_yaml_is_written_from_the_table_of_stages() -> None:
    written = (ROOT / "dvc.yaml").read_text()
    assert written == stages.dvc(), "run: python -m pipeline.stages"


def closure(module: str) -> set[str]:
    """A module with all that it imports, directly or not. A submodule's packages come along."""
    queue, seen = [module], set()
    while queue:
        name = queue.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        if name not in ("minebench", "pipeline", "models"):  # whose public names are looked up when asked for
            queue += [*imports(name), name.rpartition(".")[0]]
    return seen - {"minebench", "pipeline", "models"}


@pytest.mark.parametrize("stage", stages.STAGES, ids=lambda stage: stage.name)
def test_a_stage_names_all_code_that_it_reaches(stage: stages.Stage) -> None:
    reached = {MODULES[name].relative_to(ROOT).as_posix() for name in closure(stage.entry.split(":")[0])}
    outside = [path for path in reached if not any(path.startswith(code) for code in stage.code)]
    assert not outside
    unused = [code for code in stage.code if not any(path.startswith(code) for path in reached)]
    assert not unused


def test_a_stages_function_is_there() -> None:
    assert len(stages.STAGES) > 10
    for stage in stages.STAGES:
        assert callable(stage.load())


def test_every_source_is_found_by_its_module() -> None:
    assert sources.names() == ["earthengine", "import", "local", "source_coop", "stac", "synthetic", "xyz"]
    for name in sources.names():
        assert sources.options_of(name).model_fields["name"].annotation
