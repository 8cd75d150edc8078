"""The log file of a command or a stage: data/<benchmark>/logs/<stage>.log."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minebench import rank
from minebench.errors import redacted

QUIET = ("botocore", "googleapiclient", "google", "urllib3", "pystac_client")
"""Libraries that log every address they ask, at no use to a reader."""


class _Discreet(logging.Formatter):
    """Log lines, traces included, without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _handler(path: Path) -> logging.FileHandler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def begin(path: Path) -> None:
    """Log to a file from now on, which begins anew. Of several training processes only the first one logs."""
    if not rank.is_first():
        return
    logging.basicConfig(handlers=[_handler(path)], force=True, level=logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # What other libraries warn of says nothing to a reader of the log.
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module=r"(minebench|pipeline|models)\b")


@contextmanager
def during(path: Path) -> Iterator[None]:
    """Log to a file meanwhile, beside where the caller's program logs to."""
    handler, root = _handler(path), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def where() -> str:
    """Return the path of the log file, relative to the folder we run in where it lies there; "the log" where
    there is none, as in a worker of a cluster."""
    for handler in reversed(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler):
            path = Path(handler.baseFilename)
            return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return "the log"


def with_trace(error: BaseException) -> str:
    """Log a defect with its trace; return the path of the file that has it."""
    if where() == "the log":
        opened, name = tempfile.mkstemp(prefix="minebench-", suffix=".log")
        os.close(opened)
        begin(Path(name))
    logging.getLogger("pipeline").error("unexpected failure", exc_info=error)
    return where()
