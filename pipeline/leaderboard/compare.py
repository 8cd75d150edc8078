"""Stage `compare`: all evaluated models side by side.

leaderboard/models.parquet     a row a run: size, speed, scores with intervals
leaderboard/tests.parquet      whether two runs differ
leaderboard/conditions.parquet scores by season, cloud and sun (`conditions`)
leaderboard/ablations.parquet  what a part of a model brings (`ablations`)
leaderboard/cards/<run>.md     a model card each
"""

import html
import re
from typing import Any

import pandas as pd

from minebench import __version__, receipts, tables
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from models.evaluation import ranking, run_files, runs
from models.evaluation.score_names import SCORES
from pipeline.core import templates
from pipeline.leaderboard import ablations, conditions
from pipeline.recipe import Recipe
from pipeline.scenes import attribution


def build(benchmark: BenchmarkPaths, recipe: Recipe) -> pd.DataFrame:
    """Write the leaderboard; returns models.parquet's rows."""
    table = ranking.leaderboard(benchmark.data)
    folder = benchmark.leaderboard
    with replacing(folder) as temporary:
        (temporary / "cards").mkdir(parents=True)
        table.to_parquet(temporary / "models.parquet", index=False)
        tests = ranking.tests(benchmark.data, table)
        tests.to_parquet(temporary / "tests.parquet", index=False)
        parts = ablations.table(table, tests, lambda run: ranking.weights_of(benchmark.run(run)))
        parts.to_parquet(temporary / "ablations.parquet", index=False)
        _by_conditions(benchmark, list(table.run)).to_parquet(temporary / "conditions.parquet", index=False)
        for row in table.itertuples():
            card = _external_card if row.external else _card
            (temporary / "cards" / f"{row.run}.md").write_text(card(benchmark, recipe, row), encoding="utf-8")
    return table


def _by_conditions(benchmark: BenchmarkPaths, names: list[str]) -> pd.DataFrame:
    metrics = {name: run_files.metrics_of(benchmark.run(name)) for name in names}
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    taken = conditions.images(scenes, tables.read_geo(benchmark.table("sites"), "sites"))
    return conditions.table(
        metrics, lambda name: pd.read_parquet(benchmark.run(name) / "counts.parquet"), taken
    )


def _card(benchmark: BenchmarkPaths, recipe: Recipe, row: Any) -> str:
    folder = benchmark.run(row.run)
    saved = ranking.weights_of(folder)
    run = receipts.read(folder / "run.json")
    sources = attribution.used(recipe, tables.read(benchmark.table("scenes"), "fetch"))
    return templates.load("pipeline.leaderboard", "MODEL.md", {"plain": plain}, autoescape=False).render(
        **_head(benchmark, recipe, row),
        licence=attribution.shared_under(sources),
        saved=saved,
        begun_with=_begun_with(saved),
        run=run,
        weights=f"data/{benchmark.name}/runs/{row.run}/model.pt",
        settings=[(name, value) for name, value in saved["settings"].items() if value not in (None, {}, "")],
    )


def _begun_with(saved: dict[str, Any]) -> str | None:
    """Where its weights began, if not at random."""
    if not (given := saved["settings"].get("weights")):
        return None
    # Only then: transformers takes two seconds to import.
    from models.training import weights

    return weights.begun_with(saved["model"], saved["options"], given)


def _external_card(benchmark: BenchmarkPaths, recipe: Recipe, row: Any) -> str:
    metrics = run_files.metrics_of(benchmark.run(row.run))
    return templates.load("pipeline.leaderboard", "EXTERNAL.md", {"plain": plain}, autoescape=False).render(
        **_head(benchmark, recipe, row), external=metrics[runs.EXTERNAL], partial=row.predicted < 1
    )


def plain(text: str) -> str:
    """Return a submitter's words as one line that Markdown and HTML show as they stand."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", escaped)


def _head(benchmark: BenchmarkPaths, recipe: Recipe, row: Any) -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "recipe": recipe,
        "version": __version__,
        "synthetic": recipe.source.is_synthetic,
        "row": row,
        "scores": list(_shown(row)),
    }


def _shown(row: Any) -> Any:
    for name, score in SCORES.items():
        value = getattr(row, name)
        if value == value:
            interval = (
                f" ({row.f1_low:.3f} to {row.f1_high:.3f})"
                if name == "f1" and row.f1_low == row.f1_low
                else ""
            )
            yield score.title, f"{value:.3f}{interval}"
