import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift

from pipeline.geo import grid
from pipeline.scenes.coregister import TRUSTED, Reference
from pipeline.scenes.store import SceneStore, name_of
from tests.conftest import MINES, RECIPE, make_project, run


def land(seed: int, side: int = 192) -> np.ndarray:
    """Fields with edges and texture, three bands."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (3, side // 12 + 2, side // 12 + 2))
    fields = coarse.repeat(12, axis=1).repeat(12, axis=2)[:, :side, :side]
    return gaussian_filter(1000 + 2000 * fields + rng.normal(0, 60, fields.shape), (0, 1, 1))


@settings(max_examples=25)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.integers(0, 50))
def test_known_shifts_are_found(down: float, right: float, seed: int) -> None:
    image = land(seed)
    moved = shift(image, (0, down, right), order=3, mode="nearest") * 1.2 + 100
    clear = np.ones(image.shape[1:], bool)
    clear[:4] = clear[-4:] = clear[:, :4] = clear[:, -4:] = False
    found = Reference.of(image, clear).measure(moved, clear)
    assert found.down == pytest.approx(down, abs=0.08)
    assert found.right == pytest.approx(right, abs=0.08)
    assert found.is_sure


def test_clouds_and_a_growing_mine_pull_nowhere() -> None:
    image = land(1)
    moved = shift(image, (0, 0.4, -0.3), order=3, mode="nearest")
    moved[:, 60:110, 70:120] = 4000  # a new pit
    moved[:, 120:170, :60] = 9000  # a cloud, known as such
    clear = np.ones(image.shape[1:], bool)
    clear[115:175, :65] = False
    found = Reference.of(image, clear).measure(moved, clear)
    assert (found.down, found.right) == (pytest.approx(0.4, abs=0.1), pytest.approx(-0.3, abs=0.1))


def test_nothing_is_claimed_of_unlike_or_hidden_images() -> None:
    image, clear = land(1), np.ones((192, 192), bool)
    assert not Reference.of(image, clear).measure(land(2), clear).is_sure
    assert Reference.of(image, clear).measure(image, np.zeros_like(clear)).confidence == 0
    flat = np.full_like(image, 500.0)
    assert Reference.of(flat, clear).measure(flat, clear).size == pytest.approx(0, abs=1e-6)


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


def test_a_shifted_file_of_a_killed_run_does_not_count_twice(tmp_path: Path) -> None:
    store = SceneStore(tmp_path)
    pixels = np.ones((1, 4, 4), np.uint16)
    box = grid.geobox(32633, 0, 40, 4, 4, 10)
    for metres in ((0.0, 0.0), (1.5, -2.0)):
        store.write(name_of("s", "10m", metres), pixels, box, ["B02"])
    resumed = SceneStore(tmp_path)
    assert resumed.has(name_of("s", "10m"))
    assert resumed.bands("s") == [name_of("s", "10m")]
