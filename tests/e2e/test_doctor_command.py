"""`minebench doctor` by the command line: what it lists, a benchmark's own source, and its exit status."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.doctor.known_catalogues import CATALOGUES
from tests.conftest import Run, run
from tests.e2e.test_stac_benchmark import stac_project
from tests.pipeline.doctor import worlds
from tests.standins.base import Running, running


@pytest.fixture(scope="module")
def api(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    items = worlds.write_items(built, tmp_path_factory.mktemp("doctor"))
    with running("whole_catalogue", str(built / "data/tiny/archive"), str(items)) as standin:
        yield standin


def test_names_are_listed_and_mistakes_name_them(empty_project: Path) -> None:
    listed = run("doctor", cwd=empty_project)
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(CATALOGUES)
    assert list(json.loads(run("doctor", "--json", cwd=empty_project).stdout)["catalogues"]) == list(
        CATALOGUES
    )
    for words, says in (
        (("--source", "earth"), "There is no catalogue 'earth'; choose one of earth-search, "),
        (("--benchmark", "tiny"), "source: synthetic is not on the web"),
        (("--benchmark", "tiny", "--source", "usgs"), "not both"),
    ):
        done = run("doctor", *words, cwd=empty_project)
        assert done.returncode == 2
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_benchmarks_own_source(tmp_path: Path, built: Path, api: Running, run_hurried: Run) -> None:
    api.set()
    project = stac_project(tmp_path / "p", built, f"{api.url}/api/")
    done = run("doctor", "--benchmark", "tiny", cwd=project)
    assert done.returncode == 0, done.stdout
    heading, _, source, _, columns, _, *rows = done.stdout.splitlines()
    assert heading.startswith("minebench ")
    assert " UTC, Python 3." in heading
    assert source == f"**tiny, stac** (stac: {api.url}/api/, sentinel-2-l2a)"
    assert columns == "| check | expected | seen | verdict | s |"
    verdicts = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[-2] for row in rows}
    few = dict.fromkeys(("page of 100", "page of 250"), "not checked")
    assert verdicts == {**dict.fromkeys(verdicts, "ok"), **few}
    assert list(verdicts)[-1] == "limits"
    api.set({"kind": "status", "status": 503, "match": "SCL.tif"})
    failed = run_hurried("doctor", "--benchmark", "tiny", "--json", cwd=project)
    assert failed.returncode == 1
    told = json.loads(failed.stdout)
    assert told["ok"] is False
    rows = {row["check"]: row for row in told["sources"][0]["rows"]}
    assert rows["mask"]["verdict"] == "failed"
    assert "failed 2 times: HTTP 503" in rows["mask"]["seen"]
    assert (rows["band"]["verdict"], rows["band"]["seen"]) == ("not checked", "the mask failed")
    assert rows["search"]["verdict"] == "ok"
