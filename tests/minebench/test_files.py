import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minebench import errors
from minebench.files import replacing, write_json


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


def test_leftovers_of_the_same_process_number_go(tmp_path: Path) -> None:
    """In a container a process, and each of its threads, may have the number of one that was killed."""
    own, thread = os.getpid(), threading.get_native_id()
    for name in (f".{own}-{thread}.a", f".{own}-{thread + 1}.a", f".{own}-1.a.b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    with replacing(tmp_path / "a") as temporary:
        temporary.mkdir()
    assert {p.name for p in tmp_path.rglob("*")} == {f".{own}-1.a.b", "part", "a"}


def test_threads_that_write_one_path_leave_each_other_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("first")
        second = threading.Thread(target=write_json, args=({}, tmp_path / "a"))
        second.start()
        second.join()
        assert temporary.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


NAMESPACE = ("unshare", "-pf", "--mount-proc", "--kill-child")
KILLED = """
import os, sys
from pathlib import Path
from minebench.files import replacing
with replacing(Path("x")) as temporary:
    temporary.mkdir()
    print(temporary, flush=True)
    if "die" in sys.argv:
        os._exit(1)
"""


def test_a_run_after_a_kill_in_a_container(tmp_path: Path) -> None:
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("process namespaces are not allowed here: process numbers cannot be repeated")
    command = [*NAMESPACE, sys.executable, "-c", KILLED]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = [
        subprocess.run([*command, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        for words in (["die"], [])
    ]
    assert [run.returncode for run in done] == [1, 0], done[1].stderr
    assert done[0].stdout == done[1].stdout
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_failure_that_names_no_file_gets_the_name_of_what_is_written(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "export") as temporary:
            temporary.mkdir()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as error:
        write()
    told = errors.explained(error.value)
    assert str(told).startswith(f"{tmp_path / 'export'}: the disk is full")
