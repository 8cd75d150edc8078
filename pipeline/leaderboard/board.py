"""The leaderboard as it was last written; reading it needs no torch."""

import pandas as pd

from minebench.layout import BenchmarkPaths


def conditions(benchmark: BenchmarkPaths) -> pd.DataFrame | None:
    """Scores by condition; None where nothing was compared yet."""
    path = benchmark.leaderboard / "conditions.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def ablations(benchmark: BenchmarkPaths) -> pd.DataFrame | None:
    """Runs with and without a part; None where nothing was compared yet."""
    path = benchmark.leaderboard / "ablations.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def read(benchmark: BenchmarkPaths) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """models and tests; None where nothing was compared yet, or there was nothing to compare."""
    folder = benchmark.leaderboard
    if not (folder / "models.parquet").is_file():
        return None
    models = pd.read_parquet(folder / "models.parquet")
    return None if models.empty else (models, pd.read_parquet(folder / "tests.parquet"))
