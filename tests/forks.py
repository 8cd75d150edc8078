"""The command line in forks of one process that has imported it.

A test of the command line waits for its work, not for the second or more that its imports take each time.
What runs is the real `pipeline.cli.main` in a process of its own, with its own folder, environment, output
and exit status. Tests that kill commands, and those of DVC, start the console script itself.
"""

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRELOADED = (
    "pipeline.cli", "pipeline.recipe", "pipeline.stages", "pipeline.sites.lay_out", "pipeline.archive.make",
    "pipeline.scenes.fetch", "pipeline.sources.stac.items", "pipeline.sources.earthengine.images",
    "pipeline.sources.xyz", "pipeline.cubes.compose", "pipeline.cubes.period_image",
    "pipeline.cubes.cube_store", "pipeline.cubes.annotate", "pipeline.index.tile", "pipeline.catalog.root",
    "pipeline.catalog.check", "pipeline.report.page", "pipeline.leaderboard.compare",
    "pipeline.monitor.measure_sites", "pipeline.apply.explain", "pipeline.apply.predict",
    "pipeline.interchange.export", "pipeline.interchange.scaffold", "pipeline.judge.score",
    "pipeline.publish.publish_folder", "models.training.train", "models.evaluation.evaluate",
    "models.segmentation.unet", "models.change.cva", "models.change.fc_siam_diff",
    # What those import only where it is needed.
    "dask.array", "distributed", "dvc.repo.experiments", "dvclive", "geopandas.io._geoarrow",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.pyplot",
    "multiprocessing.pool", "multiprocessing.synchronize", "pandas.core.arrays.arrow.extension_types",
    "pydantic.type_adapter", "pyogrio", "rich.progress", "rich.markdown", "scipy.optimize",
    "scipy.sparse.csgraph", "scipy.stats", "scmrepo.git", "torch._dynamo", "torch.utils.serialization",
)  # fmt: skip


class Forks:
    """A process to fork from, started when it is first needed."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="forks")
        self.address = str(Path(self.folder.name) / "socket")
        self.server: subprocess.Popen[bytes] | None = None

    def run(self, words: list[str], cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
        """`minebench` with these words in a folder."""
        self._start()
        with tempfile.TemporaryDirectory() as held, socket.socket(socket.AF_UNIX) as wire:
            out, err = Path(held) / "out", Path(held) / "err"
            wire.settimeout(timeout)
            wire.connect(self.address)
            request = {
                "words": words,
                "cwd": str(cwd),
                "env": dict(os.environ),
                "out": str(out),
                "err": str(err),
            }
            wire.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(wire.makefile().readline())
            if answer["status"] < 0:
                print(f"minebench {words} died of {answer['status']}:\n{err.read_text()}", file=sys.stderr)
            return subprocess.CompletedProcess(
                ["minebench", *words], answer["status"], out.read_text(), err.read_text()
            )

    def _start(self) -> None:
        if self.server is not None and self.server.poll() is None:
            return
        Path(self.address).unlink(missing_ok=True)
        self.server = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.forks", self.address]
        )
        for _ in range(1200):
            if Path(self.address).exists():
                return
            time.sleep(0.1)
        raise RuntimeError("the process to fork from did not start")

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
        self.folder.cleanup()


def warm_up() -> None:
    """Import what commands import, and call once what is slow in a process's first call: PROJ opens its
    database, numba loads compiled kernels, Pillow its formats."""
    for name in PRELOADED:
        importlib.import_module(name)
    import numpy as np
    from PIL import Image
    from pyproj import CRS

    from models.popcount import stable_counts
    from pipeline.cubes.composite import median

    CRS.from_user_input(CRS(4326).to_json_dict())
    Image.init()
    median(np.ones((1, 2, 2), np.uint16), np.ones((1, 2, 2), np.uint8), (2, 2))
    masks, counts = np.zeros((1, 8), np.uint64), np.zeros((1, 1), np.int64)
    stable_counts(masks, masks, counts, counts)


def serve(address: str) -> None:
    """Fork for every connection, until the process that asked for it is gone."""
    parent = os.getppid()
    warm_up()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address + ".new")
        server.listen(64)
        Path(address + ".new").rename(address)
        server.settimeout(5)
        while os.getppid() == parent:
            with contextlib.suppress(ChildProcessError):  # and their processor time becomes ours
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            with contextlib.suppress(TimeoutError):
                wire, _ = server.accept()
                if os.fork() == 0:
                    server.close()
                    watch(wire)
                wire.close()


def watch(wire: socket.socket) -> None:
    """Run one command in a fork of its own and report its status."""
    request = json.loads(wire.makefile().readline())
    child = os.fork()
    if child == 0:
        wire.close()
        command(request)
    _, status = os.waitpid(child, 0)
    wire.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
    os._exit(0)


def command(request: dict) -> None:
    """What a fresh interpreter would do with the console script."""
    for path, place in ((os.devnull, 0), (request["out"], 1), (request["err"], 2)):
        opened = os.open(path, os.O_RDONLY if place == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, place)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["minebench", *request["words"]]
    status = 0
    try:
        from pipeline.cli import main

        main()
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
