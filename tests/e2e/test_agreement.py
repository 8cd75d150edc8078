"""Several annotators' layers: how they agree, and one label of them."""

import json
import shutil
from concurrent.futures import Executor
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minebench.cube import shards
from pipeline.label import agreement, edits
from tests.conftest import project_to_label, run
from tests.pipeline.label.test_session import TOLD, latest, opened

SQUARES = {"anna": 30, "ben": 30, "cleo": 40}


@pytest.fixture(scope="module")
def layers(built: Path, executor: Executor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three annotators outlined 2021, two of them alike; one says of 2022 that there is nothing."""
    project = project_to_label(built, tmp_path_factory.mktemp("layers") / "project")
    for name, side in SQUARES.items():
        session = opened(project, executor, folder=project / f"catalogs/tiny/annotations/layers/{name}")
        told = {**TOLD, "by": name}
        session.draw("2021", [[[10, 10], [side, 10], [side, side], [10, side]]], adds=True, **told)
    session.set_mark("2022", edits.NOTHING, **latest(session))
    return project


@pytest.fixture
def layered(layers: Path, tmp_path: Path) -> Path:
    """A copy of the project with three layers, to change."""
    return Path(shutil.copytree(layers, tmp_path / "project"))


def test_annotators_are_compared(layered: Path) -> None:
    done = run("agree", cwd=layered)
    assert done.stdout.splitlines()[0] == (
        "agree: anna and ben on 1 date: IoU 1.000, kappa 1.000, outlines 0.0 pixels apart (medians)"
    )
    rows = json.loads(run("agree", "--json", cwd=layered).stdout)["agreement"]
    assert [(row["one"], row["other"]) for row in rows] == [
        ("anna", "ben"),
        ("anna", "cleo"),
        ("ben", "cleo"),
    ]
    assert rows[1]["iou"] == pytest.approx(20 * 20 / (30 * 30))
    assert 0 < rows[1]["kappa"] < 1
    assert 4 < rows[1]["boundary"] < 6
    for stage, file in (
        ("catalog", "catalogs/tiny/stac/README.md"),
        ("report", "data/tiny/report/index.html"),
    ):
        assert run(stage, cwd=layered).returncode == 0
        assert "anna and cleo on 1 date: IoU 0.444" in (layered / file).read_text()


@pytest.mark.parametrize(("rule", "side"), [("majority", 30), ("cleo", 40)])
def test_a_consensus_is_what_annotate_reads(layered: Path, rule: str, side: int) -> None:
    done = run("agree", "--consensus", rule, cwd=layered)
    assert done.stdout.splitlines()[-2 if "next" in done.stdout else -1].endswith(
        "annotations of 1 site written"
    )
    assert run("annotate", cwd=layered).returncode == 0
    (path,) = (layered / "catalogs/tiny/annotations").glob("*.gpkg")
    masks = shards.read(layered / f"data/tiny/cubes/{path.stem}.zarr/mine")
    wanted = np.zeros(masks.shape[1:], np.uint8)
    wanted[10:side, 10:side] = 1
    assert (masks[0] == wanted).all()
    assert (masks[1] == 0).all()
    assert (masks[2] == 255).all()
    assert (
        run("agree", "--consensus", "majority", cwd=layered).returncode == 0
    )  # its own file may be written again


def test_bad_input_is_one_sentence(layered: Path, executor: Executor) -> None:
    opened(layered, executor).set_mark("2021", edits.NOTHING, **TOLD)
    for words, sentence in (
        (["agree", "--consensus", "dora"], "There is no layer of 'dora'; layers: anna, ben, cleo"),
        (["agree", "--consensus", "majority"], "was not made by `agree`: move it away"),
        (["label", "--layer", "../x"], "'../x' cannot be an annotator's name"),
    ):
        done = run(*words, cwd=layered)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert sentence in done.stderr


def test_nothing_is_written_where_one_site_is_somebodys_own(layered: Path, executor: Executor) -> None:
    folder = layered / "catalogs/tiny/annotations"
    other = opened(layered, executor, 1, folder / "layers/anna")
    other.set_mark("2021", edits.NOTHING, **TOLD)
    table = gpd.read_file(other.path).drop(columns="how")
    table.to_file(folder / other.path.name)  # as any GIS writes it
    before = {path: path.read_bytes() for path in folder.glob("*.gpkg")}
    done = run("agree", "--consensus", "anna", cwd=layered)
    assert (done.returncode, "was not made by `agree`" in done.stderr) == (2, True)
    assert {path: path.read_bytes() for path in folder.glob("*.gpkg")} == before


def test_what_is_undefined_is_said(labelled: Path, executor: Executor) -> None:
    for name in ("anna", "ben"):
        session = opened(labelled, executor, folder=labelled / f"catalogs/tiny/annotations/layers/{name}")
        session.set_mark("2021", edits.NOTHING, **TOLD)
    said = run("agree", cwd=labelled).stdout
    assert "on 1 date: IoU undefined, kappa undefined, outlines undefined pixels apart" in said


def test_without_layers_there_is_one_sentence(labelled: Path) -> None:
    done = run("agree", cwd=labelled)
    assert (done.returncode, "has labels of two annotators" in done.stderr) == (1, True)


masks = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=5, max_size=5).map(
    lambda rows: np.array(rows, bool)
)


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_the_distance_of_outlines_is_that_of_a_plain_loop(
    one: NDArray[np.bool_], other: NDArray[np.bool_]
) -> None:
    def edge(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
        full = np.pad(mask, 1)
        inner = full[:-2, 1:-1] & full[2:, 1:-1] & full[1:-1, :-2] & full[1:-1, 2:]
        return [tuple(place) for place in np.argwhere(mask & ~inner)]

    a, b = edge(one), edge(other)
    found = agreement.boundary_distance(one, other)
    assert found == pytest.approx(agreement.boundary_distance(other, one), nan_ok=True)
    if not a or not b:
        assert np.isnan(found)
        return
    away = [
        min(np.hypot(y - v, x - u) for v, u in theirs) for own, theirs in ((a, b), (b, a)) for y, x in own
    ]
    assert found == pytest.approx(np.mean(away))


def test_layers_are_no_annotations(layered: Path) -> None:
    assert not list((layered / "catalogs/tiny/annotations").glob("*.gpkg"))
    assert len(gpd.read_file(next((layered / "catalogs/tiny/annotations/layers/cleo").glob("*.gpkg")))) == 2
