"""The command line in forks of one process that has imported it.

A test of the command line waits for its work, not for the second or more that its imports take each time.
What runs is the real `pipeline.cli.app.main` in a process of its own, with its own folder, environment,
output and exit status. Tests that interrupt a command start the console script itself;
`Forks.begin` is for those that kill it.

Other modules (servers of stand-ins, kernels of notebooks) run in such forks too, see `Forks.module`.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from filelock import FileLock

from tests import ask

CLI = "pipeline.cli.app"
PRELOADED = (
    "pipeline.cli.app", "pipeline.params", "pipeline.recipe", "pipeline.stages", "pipeline.sites.build",
    "pipeline.synthetic.make", "pipeline.scenes.fetch", "pipeline.sources.stac.items",
    "pipeline.sources.earthengine.images",
    "pipeline.sources.xyz", "pipeline.cubes.compose", "pipeline.cubes.period_image",
    "pipeline.cubes.writer", "pipeline.cubes.annotate", "pipeline.index.tile", "pipeline.stac.root",
    "pipeline.stac.check", "pipeline.report.page", "pipeline.leaderboard.compare",
    "pipeline.activity.measure_sites", "pipeline.inference.explain", "pipeline.inference.predict",
    "pipeline.export.export", "pipeline.cli.new", "pipeline.scoring.score",
    "pipeline.label.agreement", "pipeline.publish.publish_folder", "models.training.train",
    "models.evaluation.evaluate", "models.segmentation.unet", "models.change.cva",
    "models.change.fc_siam_diff",
    # What those import only where it is needed.
    "dask.array", "distributed", "dvc.cli.parser", "dvc.repo.experiments", "dvclive",
    "geopandas.io._geoarrow", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
    "matplotlib.pyplot", "multiprocessing.pool", "multiprocessing.synchronize",
    "pandas.core.arrays.arrow.extension_types",
    "pydantic.type_adapter", "pyogrio", "rich.progress", "rich.markdown", "scipy.optimize",
    "scipy.sparse.csgraph", "scipy.stats", "scmrepo.git", "torch._dynamo", "torch.utils.serialization",
    "transformers.modeling_utils",
)  # fmt: skip


class Forks:
    """A process to fork from, one for all workers of a test run, started by the first that needs it."""

    def __init__(self) -> None:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        self.folder = Path(tempfile.gettempdir()) / f"forks-{run}"
        self.address = str(self.folder / "socket")
        self.server: subprocess.Popen[bytes] | None = None

    def run(
        self, words: list[str], cwd: Path, timeout: float, module: str = CLI
    ) -> subprocess.CompletedProcess[str]:
        """Run `minebench` with these words in a folder; or another module, as `python -m` would."""
        self.start()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            status = ask.ask(self.address, [module, *words], cwd, (out.fileno(), err.fileno()), timeout)
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(["minebench", *words], status, out.read(), err.read())
        if status < 0:
            print(f"minebench {words} died of {status}:\n{done.stderr}", file=sys.stderr)
        return done

    def begin(self, words: list[str], cwd: Path) -> "Begun":
        """Start `minebench` with these words in a folder, and do not wait for it; its output is discarded."""
        self.start()
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(self.address)
        with Path(os.devnull).open("w") as nothing:
            ask.send(wire, [CLI, *words], cwd, (nothing.fileno(), nothing.fileno()))
        return Begun(wire)

    def module(self, name: str) -> list[str]:
        """Return the words that do what `python -m NAME` does, in a fork. They start a small process that
        passes signals on to the fork and waits for it."""
        self.start()
        return [sys.executable, "-S", "-E", ask.__file__, self.address, name]

    def install(self, folder: Path) -> None:
        """Write a `minebench` into a folder, to be put first on PATH, whose commands are forked: for
        notebooks and others that start commands by name."""
        script = folder / "minebench"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(self.module(CLI))} "$@"\n')
        script.chmod(0o755)

    def start(self) -> None:
        """Start the process, unless it is there."""
        self.folder.mkdir(exist_ok=True)
        process = self.folder / "process"
        with FileLock(str(self.folder / "lock")):
            if process.exists() and psutil.pid_exists(int(process.read_text())):
                return
            Path(self.address).unlink(missing_ok=True)
            words = [sys.executable, "-X", "faulthandler", "-m", "tests.forks", self.address]
            # Large pages make forks cheaper: ten files of tests took a tenth less time.
            settings = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
            self.server = subprocess.Popen(words, env=settings)
            while not Path(self.address).exists():
                assert self.server.poll() is None, "the process to fork from ended"
                time.sleep(0.02)
            process.write_text(str(self.server.pid))

    def stop(self) -> None:
        """End the process, if it was started here; a worker that still needs one starts another."""
        if self.server is not None:
            with FileLock(str(self.folder / "lock")):
                shutil.rmtree(self.folder)
            self.server.terminate()
            self.server.wait()


class Begun:
    """A command that was started in a fork."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire

    def is_running(self) -> bool:
        return not select.select([self.wire], [], [], 0)[0]

    def kill(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it ended by itself meanwhile
            self.wire.sendall(bytes([signal.SIGKILL]))

    def wait(self) -> int:
        """Return the exit status, once the command has ended."""
        with self.wire:
            return ask.status_of(self.wire)


FORKS = Forks()


def warm_up() -> None:
    """Import what commands import, and call once what is slow in a process's first call: PROJ opens its
    database, numba loads compiled kernels, Pillow its formats."""
    gc.disable()
    for name in PRELOADED:
        importlib.import_module(name)
    import numpy as np
    from PIL import Image
    from pyproj import CRS

    from minebench.metrics.popcount import stable_counts
    from pipeline.cubes.composite import median

    CRS.from_user_input(CRS(4326).to_json_dict())
    Image.init()
    median(np.ones((1, 2, 2), np.uint16), np.ones((1, 2, 2), np.uint8), (2, 2))
    masks, counts = np.zeros((1, 8), np.uint64), np.zeros((1, 1), np.int64)
    stable_counts(masks, masks, counts, counts)
    gc.freeze()
    gc.enable()


def serve(address: str) -> None:
    """Fork for every connection, until the process that asked for this one is gone or ends it; what runs
    by then is run to its end."""
    parent, server = os.getppid(), socket.socket(socket.AF_UNIX)
    warm_up()
    commands = Commands()
    commands.waiting.register(server, selectors.EVENT_READ)
    signal.signal(signal.SIGTERM, lambda *_: server.close())
    server.bind(address + ".new")
    server.listen(64)
    Path(address + ".new").rename(address)
    while commands.wires or (server.fileno() >= 0 and os.getppid() == parent):
        for key, _ in commands.waiting.select(5):
            if key.fileobj is not server:
                key.data()
            elif server.fileno() >= 0:
                with contextlib.suppress(OSError, ValueError):  # who asked is gone already
                    commands.begin(server.accept()[0])
        commands.report()


class Commands:
    """The commands that run, by their process, and the connections of those who asked for them."""

    def __init__(self) -> None:
        self.wires: dict[int, socket.socket] = {}
        self.waiting = selectors.DefaultSelector()
        # The end of a process wakes up who waits.
        ended, tell = socket.socketpair()
        tell.setblocking(False)
        self.pair = ended, tell
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        self.waiting.register(ended, selectors.EVENT_READ, lambda: ended.recv(64))

    def begin(self, wire: socket.socket) -> None:
        _, streams, _, _ = socket.recv_fds(wire, 1, 2)
        request = json.loads(wire.makefile().readline())
        child = os.fork()
        if child == 0:
            self.leave()
            wire.close()
            command(request, streams)
        for stream in streams:
            os.close(stream)
        self.wires[child] = wire
        self.waiting.register(wire, selectors.EVENT_READ, functools.partial(self.pass_on, wire, child))

    def leave(self) -> None:
        """In a fork: nothing of what its parent waits for."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for key in list(self.waiting.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self.pair[1].close()
        self.waiting.close()

    def pass_on(self, wire: socket.socket, child: int) -> None:
        """Send a process the signals of who asked for it, and kill it when that one is gone."""
        numbers = b""
        with contextlib.suppress(OSError):
            numbers = wire.recv(64)
        for number in numbers or [signal.SIGKILL]:
            os.kill(child, number)
        if not numbers:
            self.waiting.unregister(wire)

    def report(self) -> None:
        """Tell the status of what has ended to who asked for it; its processor time becomes ours."""
        with contextlib.suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    return
                wire = self.wires.pop(child)
                if wire in self.waiting.get_map():
                    self.waiting.unregister(wire)
                with wire, contextlib.suppress(OSError):
                    wire.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


def command(request: dict, streams: list[int]) -> None:
    """What a fresh interpreter would do with the console script, or with `-m` and another module."""
    for place, opened in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
        os.dup2(opened, place)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    module, *words = request["words"]
    sys.argv = ["minebench", *words]
    status = 0
    try:
        if module == CLI:
            importlib.import_module(CLI).main()
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
