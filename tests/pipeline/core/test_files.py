from pathlib import Path

import pytest

from pipeline.core.files import replacing, write_json


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_leftovers_of_a_killed_run_go(tmp_path: Path) -> None:
    (tmp_path / ".99999999.a.json").write_text("half")
    (tmp_path / ".99999999.b.json").write_text("another's")
    write_json({"x": float("nan")}, tmp_path / "a.json")
    assert {p.name for p in tmp_path.iterdir()} == {".99999999.b.json", "a.json"}
    assert (tmp_path / "a.json").read_text() == '{\n  "x": null\n}\n'


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "cube.zarr"
    for name in ("one", "two"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [p.name for p in folder.iterdir()] == ["two"]
