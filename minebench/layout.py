"""Where a benchmark keeps its files: the only place that builds such a path."""

from dataclasses import dataclass
from pathlib import Path

from minebench.errors import InputError, UnknownName


@dataclass(frozen=True)
class BenchmarkPaths:
    """Paths of the benchmark `name`, relative to `root`, the folder that has `catalogs/` and `data/`."""

    name: str
    root: Path = Path()

    @property
    def folder(self) -> Path:
        """What a user writes: recipe, mine lists, annotations."""
        return self.root / "catalogs" / self.name

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def mines(self) -> Path:
        return self.folder / "mines"

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations"

    @property
    def stac(self) -> Path:
        """The published catalog."""
        return self.folder / "stac"

    @property
    def data(self) -> Path:
        """Everything derived."""
        return self.root / "data" / self.name

    @property
    def archive(self) -> Path:
        """The synthetic archive, where the recipe's source is `synthetic`."""
        return self.data / "archive"

    def table(self, name: str) -> Path:
        return self.data / "index" / f"{name}.parquet"

    def scenes(self, site_id: str) -> Path:
        """Cache of fetched pixels."""
        return self.data / "scenes" / site_id

    def cube(self, site_id: str) -> Path:
        return self.data / "cubes" / f"{site_id}.zarr"

    def run(self, model: str) -> Path:
        return self.data / "runs" / model

    @property
    def predictions(self) -> Path:
        """Models applied to whole sites: a STAC catalog, a collection a run."""
        return self.data / "predictions"

    @property
    def activity(self) -> Path:
        """How much, where and when each site changed: a STAC collection, an item a site."""
        return self.data / "activity"

    def explanation(self, run: str) -> Path:
        """What a model's decisions come from."""
        return self.data / "explanations" / run

    @property
    def leaderboard(self) -> Path:
        """All evaluated models side by side."""
        return self.data / "leaderboard"

    @property
    def report(self) -> Path:
        return self.data / "report" / "index.html"

    def lock(self, name: str) -> Path:
        """Who writes now; see `pipeline.core.locks`."""
        return self.data / "logs" / f"{name}.lock"

    def log(self, stage: str) -> Path:
        return self.data / "logs" / f"{stage}.log"


LONGEST = 200
"""Characters of a name: file systems take 255 bytes of a folder's."""


def find(name: str, root: Path = Path()) -> BenchmarkPaths:
    """The benchmark called `name`; InputError where it has no recipe."""
    benchmark = BenchmarkPaths(name, root)
    if "/" in name or name in {"", ".", ".."} or len(name) > LONGEST:
        raise InputError(f"'{name}' is not a benchmark's name: give a folder name, not a path.")
    if not benchmark.recipe.is_file():
        known = sorted(path.parent.name for path in root.glob("catalogs/[!.]*/recipe.yaml"))
        choices = ", ".join(known) if known else "none here: run from the repository root"
        raise UnknownName(f"There is no {benchmark.recipe}; benchmarks: {choices}.")
    return benchmark
