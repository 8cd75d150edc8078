"""Paths of a benchmark's files; no other module builds them."""

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
        """Folder of the user's files: recipe, mine lists, annotations."""
        return self.root / "catalogs" / self.name

    @property
    def recipe(self) -> Path:
        """The recipe."""
        return self.folder / "recipe.yaml"

    @property
    def mines(self) -> Path:
        """Folder of mine lists."""
        return self.folder / "mines"

    @property
    def annotations(self) -> Path:
        """Folder of the user's annotations."""
        return self.folder / "annotations"

    @property
    def stac(self) -> Path:
        """Folder of the published STAC catalog."""
        return self.folder / "stac"

    @property
    def data(self) -> Path:
        """Folder of everything that stages write."""
        return self.root / "data" / self.name

    @property
    def archive(self) -> Path:
        """Folder of the synthetic archive, if the recipe's source is `synthetic`."""
        return self.data / "archive"

    def table(self, name: str) -> Path:
        """Return the path of an index table, such as ``sites`` or ``statistics/by_period``."""
        return self.data / "index" / f"{name}.parquet"

    def scenes(self, site_id: str) -> Path:
        """Return the folder of a site's fetched scenes."""
        return self.data / "scenes" / site_id

    def cube(self, site_id: str) -> Path:
        """Return the path of a site's cube."""
        return self.data / "cubes" / f"{site_id}.zarr"

    def run(self, model: str) -> Path:
        """Return the folder of a run's weights and metrics."""
        return self.data / "runs" / model

    @property
    def predictions(self) -> Path:
        """Folder of predictions for whole sites: a STAC catalog with one collection per run."""
        return self.data / "predictions"

    @property
    def activity(self) -> Path:
        """Folder of change activity: a STAC collection with one item per site."""
        return self.data / "activity"

    def explanation(self, run: str) -> Path:
        """Return the folder of a run's attributions."""
        return self.data / "explanations" / run

    @property
    def leaderboard(self) -> Path:
        """Folder of the comparison of all evaluated models."""
        return self.data / "leaderboard"

    @property
    def report(self) -> Path:
        """The report's start page."""
        return self.data / "report" / "index.html"

    def lock(self, name: str) -> Path:
        """Return the path of a lock file; see `pipeline.core.locks`."""
        return self.data / "logs" / f"{name}.lock"

    def log(self, stage: str) -> Path:
        """Return the path of a stage's log."""
        return self.data / "logs" / f"{stage}.log"


LONGEST = 200
"""Longest name in characters; file systems limit a folder's name to 255 bytes."""


def find(name: str, root: Path = Path()) -> BenchmarkPaths:
    """Return the paths of the benchmark `name`. InputError if it has no recipe."""
    benchmark = BenchmarkPaths(name, root)
    if "/" in name or name in {"", ".", ".."} or len(name) > LONGEST:
        raise InputError(f"'{name}' is not a benchmark's name: give a folder name, not a path.")
    if not benchmark.recipe.is_file():
        names = sorted(path.parent.name for path in root.glob("catalogs/[!.]*/recipe.yaml"))
        choices = ", ".join(names) if names else "none here: run from the repository root"
        raise UnknownName(f"There is no {benchmark.recipe}; benchmarks: {choices}.")
    return benchmark
