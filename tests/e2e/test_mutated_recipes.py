"""Recipes with anything in them: laid out, or refused in one sentence."""

import copy
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from minebench.errors import MinebenchError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.scenes.plan import estimate
from pipeline.sites import build, site
from tests.conftest import MINES, RECIPE, run

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 13, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 10**23, 10**31, "",
    "x",     "2020", "2020-13", "3000", "0000", [], [1], ["a"], {}, {"a": 1}, [0, 0], [1, 12], [12, 2],
    "day", "month",
    "once", "merge", "clip", "local", "stac", "a" * 3000, "../../etc/passwd", [[[[]]]], 1e-300,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def mutated(seed: int) -> dict[str, Any]:
    """The tiny recipe, spelt out, with one or two values replaced or removed."""
    rng = random.Random(seed)
    content = yaml.safe_load(RECIPE)
    content["sites"] |= {"group_m": 500.0, "buffer_m": 500.0, "limit": 3, "filters": {"min_area_km2": 0.1}}
    content["split"] |= {"seed": 1, "min_distance_m": 10.0, "folds": 3, "stratify": ["production"]}
    content["selection"] |= {"min_months_apart": 2, "max_days": 3, "clear_classes": [4, 5], "exclude": []}
    for _ in range(rng.randint(1, 2)):
        path = rng.choice(places(content))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if rng.random() < 0.1 and isinstance(holder, dict):
            holder.pop(path[-1], None)
            break
        holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        if not isinstance(holder, dict | list):
            break
    return content


def attempted(folder: Path, seed: int) -> str | None:
    """What became of one recipe: None where it was laid out, else the sentence."""
    benchmark = BenchmarkPaths("tiny", folder)
    benchmark.mines.mkdir(parents=True)
    (benchmark.mines / "mines.csv").write_text(MINES)
    benchmark.recipe.write_text(yaml.safe_dump(mutated(seed), sort_keys=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = recipe.load(benchmark.recipe)
            table = build.lay_out(benchmark, loaded)
            estimate(loaded, site.listed(table, loaded)).sentences()
        except MinebenchError as error:
            return str(error)
    return None


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_a_recipe_is_laid_out_or_refused_in_one_sentence(tmp_path: Path, start: int) -> None:
    said = [attempted(tmp_path / str(seed), seed) for seed in range(start, start + 100)]
    refused = [sentence for sentence in said if sentence]
    assert 20 < len(refused) < 100
    for sentence in refused:
        assert "\n" not in sentence, sentence
        assert sentence.endswith("."), sentence


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("point_radius_m: 400", "point_radius_m: .inf", "sites.point_radius_m"),
        ("buffer_m: 90", "buffer_m: 1.0e+7", "buffer_m: Input should be less than or equal to 200000"),
        ("end: \"2023\"", "end: \"3000\"", "years may be 1900 to 2100"),
        ("unit: year, start: \"2021\", end: \"2023\"",
         "unit: day, start: \"2001-01-01\", end: \"2023-01-01\"",
         "more than 1,200; choose a longer unit"),
        ("test: 0.33}", "test: 0.33, seed: 12345678901234567890123}", "split.seed"),
        ("citation: synthetic, for tests", "citation: " + "[" * 2000, "nests too deeply"),
        ("title: tiny (synthetic)", "title: 2020-13-45", "has a value that YAML cannot take"),
        ("title: tiny (synthetic)", "title: " + "9" * 5000, "has a value that YAML cannot take"),
        ("mines: mines.csv", "mines: " + "a" * 3000, "there is no mine list"),
        ("min_clear: 0.2", "min_clear: 0.2\n  min_months_apart: 1234567890123456789012345678901",
         "selection.min_months_apart"),
    ],
)  # fmt: skip
def test_absurd_values_are_refused_with_their_field(
    empty_project: Path, old: str, new: str, says: str
) -> None:
    path = empty_project / "catalogs/tiny/recipe.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = run("sites", cwd=empty_project)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
