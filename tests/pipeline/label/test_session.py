"""A site's labels from the first click to the masks that `annotate` makes of them."""

import errno
import os
import shutil
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from minebench.cube import shards
from minebench.errors import InputError, NotMadeYet, WorkError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.label import annotation_file, edits
from pipeline.label.carry import Proposal
from pipeline.label.session import Overtaken, Session
from pipeline.sites import site as sites
from tests.conftest import contents, run

TOLD: dict[str, Any] = {"by": "anna", "seconds": 2.0, "seen": 0}


def opened(project: Path, executor: Executor, number: int = 0, folder: Path | None = None) -> Session:
    benchmark = BenchmarkPaths("tiny", project)
    loaded = recipe.load(benchmark.recipe)
    site = sites.load(benchmark, loaded)[number]
    return Session(benchmark, loaded, site, executor, folder or benchmark.annotations)


def latest(session: Session) -> dict[str, Any]:
    return {**TOLD, "seen": session.state()["version"]}


def mask(session: Session, subject: str) -> np.ndarray:
    return session.journal.labels.of(subject) > 0


def test_what_is_shown_is_what_annotate_makes(labelled: Path, executor: Executor) -> None:
    session = opened(labelled, executor)
    height, width = session.site.shape
    shown = session.preview("2021", height // 2, width // 2, 300, stacked=False)
    session.click("2021", height // 2, width // 2, 300, stacked=False, adds=True, **TOLD)
    assert mask(session, "2021").sum() == shown["area"] >= 300
    session.draw("2021", [[[2, 2], [20, 3], [12, 15], [2, 2]]], adds=True, **latest(session))
    session.draw("2021", [[[6, 5], [10, 5], [10, 8], [6, 8], [6, 5]]], adds=False, **latest(session))
    session.same("2022", "2021", **latest(session))
    session.set_mark("2023", edits.NOTHING, **latest(session))
    others = [opened(labelled, executor, number) for number in (1, 2)]
    others[0].set_mark("2021", edits.UNSEEN, **TOLD)
    table = gpd.read_file(session.path)
    assert sorted(table.how) == ["clicked", "drawn", "marked", "same as 2021"]
    assert set(table.by) == {"anna"}
    assert set(table.site_id) == {session.site.site_id}
    assert run("annotate", cwd=labelled).returncode == 0
    masks = shards.read(session.cube / "mine")
    assert (masks[0] == mask(session, "2021")).all()
    assert (masks[1] == masks[0]).all()
    assert (masks[2] == 0).all()
    assert (shards.read(others[0].cube / "mine") == 255).all()


def test_nothing_is_lost_between_processes(labelled: Path, executor: Executor) -> None:
    session = opened(labelled, executor)
    session.draw("2021", [[[2, 2], [30, 3], [12, 15]]], adds=True, **TOLD)
    again = opened(labelled, executor)
    assert (mask(again, "2021") == mask(session, "2021")).all()
    session.path.unlink()  # a kill between the journal and the file
    once_more = opened(labelled, executor)
    assert (mask(once_more, "2021") == mask(session, "2021")).all()
    again.undo("anna", 1)
    assert not mask(again, "2021").any()
    assert session.redo("anna", 2) == "2021"
    assert mask(session, "2021").any()


def test_a_full_disk_loses_nothing(
    labelled: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    session = opened(labelled, executor)
    session.draw("2021", [[[2, 2], [30, 3], [12, 15]]], adds=True, **TOLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            session.set_mark("2022", edits.NOTHING, **latest(session))
    assert session.state()["marks"]["2022"] == edits.OPEN
    assert opened(labelled, executor).state()["version"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(annotation_file, "write", full)
        with pytest.raises(WorkError, match=r"The step is kept, but .* could not be written"):
            session.set_mark("2022", edits.NOTHING, **latest(session))
    assert set(gpd.read_file(session.path).year) == {2021}
    again = opened(labelled, executor)  # whoever opens the site next brings the file up to the journal
    assert set(gpd.read_file(session.path).year) == {2021, 2022}
    assert again.state()["marks"]["2022"] == edits.NOTHING


def test_two_annotators_never_overwrite_one_another(labelled: Path, executor: Executor) -> None:
    anna, ben = opened(labelled, executor), opened(labelled, executor)
    anna.draw("2021", [[[2, 2], [30, 3], [12, 15]]], adds=True, **TOLD)
    bens = {"by": "ben", "seconds": 1.0, "seen": 0}
    with pytest.raises(Overtaken, match="anna has changed 2021 meanwhile"):
        ben.set_mark("2021", edits.NOTHING, **bens)
    ben.set_mark("2022", edits.NOTHING, **bens)
    ben.draw("2021", [[[40, 40], [60, 40], [50, 60]]], adds=True, **{**bens, "seen": ben.state()["version"]})
    with pytest.raises(Overtaken, match="ben has changed 2021 since"):
        anna.undo("anna", anna.state()["version"])
    assert anna.state()["marks"]["2022"] == edits.NOTHING
    assert set(gpd.read_file(anna.path).by) == {"anna, ben", "ben"}


def test_two_tabs_of_one_annotator_are_told_as_two_persons_are(labelled: Path, executor: Executor) -> None:
    """A tab's step, answer or undoing counts only on what that tab has been shown."""
    session = opened(labelled, executor)
    session.set_mark("2022", edits.NOTHING, **TOLD)  # tab 2
    square: list[list[list[float]]] = [[[2, 2], [30, 3], [12, 15]]]
    session.open["2022"] = {0: Proposal(np.arange(9), True, 2.5, False)}
    with pytest.raises(Overtaken, match="anna, in another tab, has changed 2022 meanwhile: look at it"):
        session.draw("2022", square, adds=True, **TOLD)
    for accept in (True, False):
        with pytest.raises(Overtaken, match="in another tab"):
            session.answer("2022", 0, accept=accept, **TOLD)
    with pytest.raises(Overtaken, match="in another tab"):
        session.undo("anna", 0)
    assert session.state() == {
        "version": 1,
        "marks": {"2021": edits.OPEN, "2022": edits.NOTHING, "2023": edits.OPEN},
    }
    assert 0 in session.open["2022"]
    with pytest.raises(Overtaken, match="were put back meanwhile"):
        session.draw("2021", square, adds=True, **{**TOLD, "seen": 7})
    session.draw("2022", square, adds=True, **latest(session))
    assert session.undo("anna", 2) == "2022"


def test_a_preview_says_what_a_click_would_do(labelled: Path, executor: Executor) -> None:
    """Also where the pointer is on a pixel that is not in, and the region around it mostly is."""
    session = opened(labelled, executor)
    place = ("2021", 40, 40, 300.0)
    for joins in (True, False):
        shown = session.preview(*place, stacked=False)
        assert (shown["joins"], shown["pixels"]) == (joins, shown["area"])
        assert shown["changes"] == shown["rings"]
        session.click(*place, stacked=False, adds=shown["joins"], **latest(session))
        assert mask(session, "2021").sum() == (shown["area"] if joins else 0)
    session.click(*place, stacked=False, adds=True, **latest(session))
    pond: list[list[list[float]]] = [[[40, 40], [42, 40], [42, 42], [40, 42]]]
    session.draw("2021", pond, adds=False, **latest(session))
    shown = session.preview(*place, stacked=False)
    assert (shown["joins"], shown["pixels"]) == (False, shown["area"] - 4)
    assert shown["changes"] != shown["rings"]


def test_a_save_keeps_what_the_other_saved(labelled: Path, executor: Executor) -> None:
    """Without having asked for the state in between."""
    anna, ben = opened(labelled, executor), opened(labelled, executor)
    anna.set_mark("2021", edits.NOTHING, **TOLD)
    ben.set_mark("2022", edits.NOTHING, **{**TOLD, "by": "ben"})
    anna.set_mark("2023", edits.NOTHING, **TOLD)
    table = gpd.read_file(anna.path)
    assert dict(zip(table.year, table.by, strict=True)) == {2021: "anna", 2022: "ben", 2023: "anna"}


def test_to_look_changes_nothing_and_builds_once(labelled: Path, executor: Executor) -> None:
    asked: list[object] = []

    class Counting:
        def submit(self, work: Any, /, *given: Any) -> Future[Any]:
            asked.append(given)
            return executor.submit(work, *given)

    before = contents(labelled / "catalogs")
    session = opened(labelled, Counting())  # type: ignore[arg-type]
    session.state()
    session.label("2021")
    for area in (10, 100, 1000):
        session.preview("2021", 20, 20, area, stacked=False)
    assert len(asked) == 1
    session.prepare("2021")
    session.preview("2022", 20, 20, 50, stacked=False)
    assert len(asked) == 2
    assert contents(labelled / "catalogs") == before
    session.click("2022", 20, 20, 50, stacked=False, adds=True, **TOLD)
    assert len(asked) == 2


def test_what_came_from_elsewhere_is_taken_over(labelled: Path, executor: Executor) -> None:
    session = opened(labelled, executor)
    session.draw("2021", [[[2, 2], [30, 3], [12, 15]]], adds=True, **TOLD)
    square = shapely.box(*session.site.grid.pad(-30).boundingbox.bbox)
    rows = {"site_id": [session.site.site_id] * 2, "year": [2022, 2023], "how": ["QGIS", "QGIS"]}
    gpd.GeoDataFrame(rows, geometry=[square, None], crs=session.site.epsg).to_file(
        session.path, layer="labels"
    )
    again = opened(labelled, executor)
    assert again.state()["marks"] == {"2021": edits.OPEN, "2022": edits.DRAWN, "2023": edits.NOTHING}
    assert mask(again, "2022").sum() == (session.site.shape[0] - 60) * (session.site.shape[1] - 60)
    version = again.state()["version"]
    assert opened(labelled, executor).state()["version"] == version
    session.path.write_text("no GeoPackage")
    with pytest.raises(InputError, match="cannot be read"):
        opened(labelled, executor)


def test_change_is_labelled_pair_by_pair(labelled: Path, executor: Executor) -> None:
    path = labelled / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("source: annotations", "source: annotations, kind: change"))
    session = opened(labelled, executor)
    assert session.subjects == ["2021|2022", "2021|2023", "2022|2023"]
    height, width = session.site.shape
    session.click("2021|2022", height // 2, width // 2, 200, stacked=False, adds=True, **TOLD)
    session.set_mark("2022|2023", edits.NOTHING, **latest(session))
    with pytest.raises(InputError, match="is not carried on"):
        session.carry("2021|2023", "2021|2022", **latest(session))
    rows = gpd.read_file(session.path)
    assert sorted(zip(rows.t1, rows.t2, strict=True)) == [("2021", "2022"), ("2022", "2023")]
    assert run("annotate", cwd=labelled).returncode == 0
    change = shards.read(session.cube / "change")
    assert (change[0] == mask(session, "2021|2022")).all()
    assert (change[1] == 0).all()
    assert len(change) == 2
    assert opened(labelled, executor).state()["version"] == 2


def test_bad_steps_are_one_sentence(labelled: Path, executor: Executor) -> None:
    session = opened(labelled, executor)
    for wrong, sentence in (
        (lambda: session.preview("2021", 5000, 0, 10, stacked=False), "beside the image"),
        (lambda: session.click("2021", 5000, 0, 10, stacked=False, adds=True, **TOLD), "beside the image"),
        (lambda: session.click("1999", 5, 5, 10, stacked=False, adds=True, **TOLD), "nothing called '1999'"),
        (lambda: session.carry("1999", "2021", **TOLD), "nothing called '1999'"),
        (lambda: session.predicted("../x", "2021", 50), "'../x' is not the name of a run"),
        (lambda: session.set_mark("1999", edits.NOTHING, **TOLD), "nothing called '1999'"),
        (lambda: session.set_mark("2021", "later", **TOLD), "'later' is no mark"),
        (lambda: session.carry("2022", "2021", **TOLD), "2021 is not labelled yet"),
        (lambda: session.draw("2021", [[[1, 1]]], adds=True, **TOLD), "three corners"),
        (lambda: session.draw("2021", [[[1, 1], [9, 9], [1, 1]]], adds=True, **TOLD), "holds no ground"),
        (lambda: session.draw("2021", [[[1, 1]] * 4], adds=True, **TOLD), "holds no ground"),
        (lambda: session.answer("2021", 0, accept=True, **TOLD), "no proposal 0"),
        (lambda: session.undo("anna", 0), "nothing to undo"),
        (lambda: session.redo("anna", 0), "nothing to do again"),
    ):
        with pytest.raises(InputError, match=sentence):
            wrong()
    assert not session.path.exists()
    shutil.rmtree(session.cube)
    with pytest.raises(NotMadeYet, match="run `minebench compose`"):
        opened(labelled, executor)


def test_a_label_is_carried_to_the_next_date(labelled: Path, executor: Executor) -> None:
    """Of the truth of the first year most of the second year's follows; the archive is synthetic."""
    session = opened(labelled, executor)
    truth = shards.read(session.cube / "mine") == 1
    with session.journal.writing() as journal:
        wanted = np.where(truth[0], np.uint8(1), np.uint8(0))
        runs = edits.changed(journal.labels.of("2021"), wanted)
        journal.add(edits.Edit("2021", "drawn", runs, (edits.OPEN, edits.DRAWN), "anna", "2026"))
    session.carry("2022", "2021", **latest(session))
    found = mask(session, "2022")
    assert (found & truth[1]).sum() / (found | truth[1]).sum() > 0.8
    assert set(gpd.read_file(session.path).how) == {"drawn", "carried from 2021"}
    pixels = np.flatnonzero(~found)[:20]
    session.open["2022"] = {n: Proposal(pixels[n * 5 : n * 5 + 5], True, 2.5, False) for n in range(4)}
    session.answer("2022", 1, accept=False, **latest(session))
    session.answer("2022", 2, accept=True, **latest(session))  # its number is its own, whatever went before
    assert [proposal["number"] for proposal in session.label("2022")["proposals"]] == [0, 3]
    assert set(np.flatnonzero(mask(session, "2022") & ~found)) == set(pixels[10:15])
    with pytest.raises(InputError, match="no proposal 1"):
        session.answer("2022", 1, accept=True, **latest(session))
    session.undo("anna", session.state()["version"])
    assert session.label("2022")["proposals"] == []
