"""Stages on a real Dask cluster on loopback: a scheduler and workers in processes of their own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MINEBENCH, Run, contents, make_project, run
from tests.forks import FORKS
from tests.standins.base import running

DASK = [sys.executable, "-m", "dask"]
WORKING = ("archive", "fetch", "compose", "annotate", "tile", "catalog")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Cluster:
    """A scheduler and its workers. A task is given up when so many of its workers died and one more."""

    def __init__(self, allowed_failures: int = 3) -> None:
        failures = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
        self.environment = {**os.environ, **failures}
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.processes: list[subprocess.Popen[str]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        port = self.address.rpartition(":")[2]
        words = ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        self.scheduler = self._start([*FORKS.module("dask"), *words], "Scheduler at")

    def lose_scheduler(self) -> None:
        """Kill it, and wait until nobody answers: a fork ends after what stands for it."""
        self.scheduler.kill()
        self.scheduler.wait()
        host, _, port = self.address.removeprefix("tcp://").partition(":")
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                socket.create_connection((host, int(port))).close()
                time.sleep(0.01)

    def add_worker(self, threads: int = 1) -> subprocess.Popen[str]:
        """A worker without a nanny: killed, it stays away. A fork, see `tests.forks`."""
        return self._start([*FORKS.module("dask"), *self._worker(threads), "--no-nanny"], "Registered to")

    def add_worker_alone(self, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """A worker in an interpreter of its own."""
        return self._start([*before, *DASK, *self._worker(1), *words], "Registered to")

    def _worker(self, threads: int) -> list[str]:
        return ["worker", self.address, "--nthreads", str(threads), "--no-dashboard"]

    def _start(self, command: list[str], sign: str) -> subprocess.Popen[str]:
        process = self._begin(command)
        self._wait(process, sign)
        return process

    def _begin(self, command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env=self.environment,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def _wait(self, process: subprocess.Popen[str], sign: str) -> None:
        """Wait until a process has printed a sign of its readiness."""
        assert process.stderr is not None
        for line in process.stderr:
            if sign in line:
                # Nobody reads on: a full pipe would stop the process.
                subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
                return
        raise AssertionError(f"{process.args} did not start")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        subprocess.run(["pkill", "-f", self.address], check=False)


@pytest.fixture(scope="module")
def standing() -> Iterator[Cluster]:
    """A cluster of one worker for all tests; what they add to it goes with them (`cluster`)."""
    cluster = Cluster()
    cluster.add_worker()
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(standing: Cluster) -> Iterator[Cluster]:
    before = list(standing.processes)
    yield standing
    for process in standing.processes[len(before) :]:
        process.terminate()
        process.wait()
    standing.processes = before


@pytest.fixture
def doomed() -> Iterator[Cluster]:
    """A cluster of the test's own, without a worker."""
    cluster = Cluster(allowed_failures=1)
    try:
        yield cluster
    finally:
        cluster.close()


def wiped(project: Path) -> None:
    """What the stages made is gone, and the sites are laid out."""
    for path in (project / "data/tiny", project / "catalogs/tiny/stac"):
        shutil.rmtree(path, ignore_errors=True)
    assert run("sites", cwd=project).returncode == 0


def without_scenes(project: Path) -> None:
    """What `fetch` made is gone."""
    shutil.rmtree(project / "data/tiny/scenes")
    (project / "data/tiny/index/scenes.parquet").unlink()


def results(project: Path) -> dict[str, bytes]:
    """Every file but logs; times of writing are in none."""
    found = {**contents(project / "data/tiny"), **{f"stac/{k}": v for k, v in contents(
        project / "catalogs/tiny/stac").items()}}  # fmt: skip
    return {name: content for name, content in found.items() if name.partition("/")[0] != "logs"}


@contextlib.contextmanager
def started(stage: str, address: str, project: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [MINEBENCH, stage, "--scheduler", address], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stages", [("fetch",), pytest.param(WORKING, marks=pytest.mark.slow)])
def test_a_worker_killed_in_the_middle_of_a_stage(
    project: Path, cluster: Cluster, stages: tuple[str, ...]
) -> None:
    """The others do its work; in the end the bytes are those of one machine."""
    reference = results(project)
    wiped(project)
    for stage in WORKING:
        if stage not in stages:
            done = run(stage, "--scheduler", cluster.address, cwd=project)
            assert done.returncode == 0, done.stderr
            continue
        victim = cluster.add_worker()
        with started(stage, cluster.address, project) as process:
            wait_for_work(project, stage, process)
            victim.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, (stage, out, err)
    assert results(project) == reference


def wait_for_work(project: Path, stage: str, process: subprocess.Popen[str]) -> None:
    """Until a worker was told of the stage: the mark of a command's cluster is there."""
    ends = time.monotonic() + 60
    while not list(project.glob(".cluster-*")) and process.poll() is None:
        assert time.monotonic() < ends, stage
        time.sleep(0.02)
    time.sleep(0.4)


def goes_on(project: Path, cluster: Cluster, reference: dict[str, bytes]) -> None:
    """What is left of the fetching is done, and the bytes are those of one machine."""
    done = run("fetch", "--scheduler", cluster.address, cwd=project)
    assert done.returncode == 0, done.stderr
    assert results(project) == reference


def test_a_worker_without_memory_is_told_and_the_next_run_goes_on(project: Path, doomed: Cluster) -> None:
    cluster = doomed
    reference = results(project)
    without_scenes(project)
    # A process that has loaded what reads images is larger than that: its nanny kills it each time.
    small = cluster.add_worker_alone("--memory-limit", "170MiB")
    done = run("fetch", "--scheduler", cluster.address, cwd=project)
    assert done.returncode == 1
    assert "probably of too little memory" in done.stderr
    assert "Traceback" not in done.stderr
    small.terminate()
    small.wait()
    cluster.add_worker()
    goes_on(project, cluster, reference)


def test_a_lost_scheduler_is_told_and_the_next_run_goes_on(project: Path, doomed: Cluster) -> None:
    cluster = doomed
    reference = results(project)
    without_scenes(project)
    worker = cluster.add_worker()
    with started("fetch", cluster.address, project) as process:
        wait_for_work(project, "fetch", process)
        cluster.lose_scheduler()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
    assert "was lost" in err
    assert "Traceback" not in err
    worker.wait(timeout=60)  # it ends by itself, after the site that it has in hand (docs/cluster.md)
    cluster.start_scheduler()
    cluster.add_worker()
    goes_on(project, cluster, reference)
    assert not list(project.glob(".cluster-*"))


def test_a_worker_elsewhere_is_told(project: Path, cluster: Cluster) -> None:
    """In a namespace of its own another file system lies over the project's folder."""
    hides = f'mount -t tmpfs tmpfs {project} && exec "$@"'
    namespace = ("unshare", "-rm", "sh", "-c", hides, "sh")
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make mount namespaces")
    cluster.add_worker_alone("--no-nanny", before=namespace)
    done = run("compose", "--scheduler", cluster.address, cwd=project)
    assert done.returncode == 0  # nothing to do, so nobody was asked
    shutil.rmtree(project / "data/tiny/cubes")
    done = run("compose", "--scheduler", cluster.address, cwd=project)
    assert done.returncode == 1
    assert f"does not see {project}: all workers need this folder" in done.stderr


def test_params_and_environment_name_the_scheduler(
    project: Path, cluster: Cluster, run_hurried: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "tcp://127.0.0.1:1"
    shutil.rmtree(project / "data/tiny/cubes")
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(f"{params}scheduler: {nowhere}\n")
    assert f"No Dask scheduler answers at {nowhere}" in run_hurried("compose", cwd=project).stderr
    monkeypatch.setenv("MINEBENCH_SCHEDULER", cluster.address)
    done = run("compose", cwd=project)
    assert done.returncode == 0, done.stderr


TILES = """\
title: tiles
sensor: {{bands: [R, G, B], rgb: [R, G, B], resolution: 2.4, dtype: uint8}}
source:
  name: xyz
  template: {url}/pattern/{{release}}/{{z}}/{{x}}/{{y}}
  releases: {{"2020-03-01": r1, "2022-03-01": r2}}
  zoom: 16
  attribution: Nobody's tiles
  terms: https://example.org/terms
  parallel: 3
  per_second: {per_second}
periods: {{dates: ["2020", "2022"]}}
selection: {{policy: least_cloudy, min_clear: 0, min_period_clear: 0, measure_shifts: false}}
sites: {{mines: mines.csv, geometry: extent, point_radius_m: 100, buffer_m: 100, min_size_m: 200}}
labels: {{source: none}}
tiling: {{size: 64}}
pairs: all
split: {{train: 0.34, val: 0.33, test: 0.33}}
citation: ""
"""


def test_a_services_limits_hold_for_the_whole_cluster(tmp_path: Path, cluster: Cluster, built: Path) -> None:
    """Three workers, two of them of four threads: never more than three requests at once, nor faster than
    allowed."""
    for _ in range(2):
        cluster.add_worker(threads=4)
    with running("tiles", str(built / "data/tiny/archive"), "14.223,51.630") as server:
        for per_second in (200, 8):
            project = make_project(
                tmp_path / str(per_second), TILES.format(url=server.url, per_second=per_second)
            )
            server.set(latency=0.15)
            for stage in ("sites", "fetch"):
                words = ["--scheduler", cluster.address] if stage == "fetch" else []
                done = run(stage, *words, cwd=project)
                assert done.returncode == 0, done.stderr
            asked = server.asked()
            assert len(asked) >= 18
            together, begun = [entry[5] for entry in asked], sorted(entry[6] for entry in asked)
            assert max(together) <= 3
            if per_second == 200:
                assert max(together) == 3
            for first, later in zip(begun, begun[per_second:], strict=False):
                # But for what the way to the server takes on a busy machine; three at once alone would take
                # 0.4 s.
                assert later - first >= 0.8


def test_locks_say_who_holds_them(project: Path) -> None:
    """Two runs of a stage: the second says who is at work; a killed one holds nothing."""
    shutil.rmtree(project / "data/tiny/scenes")
    with subprocess.Popen([MINEBENCH, "fetch"], cwd=project, stderr=subprocess.PIPE, text=True) as first:
        lock = project / "data/tiny/logs/fetch.lock"
        ends = time.monotonic() + 60
        while f'"pid": {first.pid},' not in lock.read_text() and time.monotonic() < ends:
            time.sleep(0.02)
        assert json.loads(lock.read_text())["pid"] == first.pid
        first.send_signal(signal.SIGSTOP)
        second = run("fetch", cwd=project)
        first.send_signal(signal.SIGCONT)
        first.send_signal(signal.SIGKILL)
    assert second.returncode == 1
    assert f"is at work already, process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert run("fetch", cwd=project).returncode == 0
