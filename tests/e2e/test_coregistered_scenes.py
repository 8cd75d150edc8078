"""Shifts between scenes of a whole project, measured and corrected through the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.scenes.coregister import TRUSTED
from tests.conftest import MINES, RECIPE, make_project, run


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Scenes of a project of larger sites, with the archive's true shifts against the reference."""
    recipe = RECIPE.replace("  min_period_clear: 0.5", "  min_period_clear: 0.5\n  coregister: true")
    # Two sites of three: those with the fewest scenes.
    header, _alpha, *mines = MINES.splitlines(keepends=True)
    project = make_project(
        tmp_path_factory.mktemp("co"),
        recipe.replace("min_size_m: 960", "min_size_m: 2400"),
        "".join([header, *mines]),
    )
    for stage in ("sites", "archive", "fetch", "compose"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    table = pd.read_parquet(project / "data" / "tiny" / "index" / "scenes.parquet")
    table = table[table.selected].reset_index(drop=True)
    true = [_true(project, row) for row in table.itertuples()]
    table[["true_dx", "true_dy"]] = true
    assert table.site_id.nunique() == 2
    reference = table[table.confidence.eq(1) & table.dx.eq(0) & table.dy.eq(0)].set_index("site_id")
    for axis in ("true_dx", "true_dy"):
        table[axis] -= table.site_id.map(reference[axis])
    return table


def _true(project: Path, row: object) -> list[float]:
    path = project / "data" / "tiny" / "archive" / str(row.href)  # type: ignore[attr-defined]
    return json.loads(path.read_text())["properties"]["synthetic:shift_m"]


def test_true_shifts_of_the_archive_are_corrected(corrected: pd.DataFrame) -> None:
    """Issue 3's own measure: the median is at most a tenth of a pixel, and no date gets worse."""
    table = corrected
    before = np.hypot(table.true_dx, table.true_dy)
    left_x = table.true_dx - np.where(table.corrected, table.dx, 0)
    left_y = table.true_dy - np.where(table.corrected, table.dy, 0)
    after = np.hypot(left_x, left_y)
    others = before > 0
    assert table.corrected.sum() > 10
    assert np.median(before[others]) > 2
    assert np.median(after[others]) <= 1.0
    assert (after <= before + 1e-9).all()


def test_what_was_done_is_in_the_table(corrected: pd.DataFrame) -> None:
    done = corrected[corrected.corrected]
    assert (np.hypot(done.dx_left, done.dy_left) < np.hypot(done.dx, done.dy)).all()
    assert (done.confidence >= TRUSTED).all()
    assert corrected[~corrected.corrected].dx_left.isna().all()
