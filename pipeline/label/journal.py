"""The record of one site's labelling, a line a step: annotations/journal/<site>.jsonl.

A step counts once its line is on the disk. A kill leaves at most a line without an end, which is no line.
Several processes may write: whoever does holds the file's lock, reads what the others wrote, and then adds
its own.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from minebench.errors import InputError
from pipeline.label.edits import Edit, Labels

FOLDER = "journal"


class Journal:
    """A site's journal, and its labels as far as they were read."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.labels, self.read_to = path, Labels(shape), 0
        self.touched: list[tuple[str, str]] = []
        """Of each line the subject, and by whom."""

    @property
    def lines(self) -> int:
        """How many steps there were, taking back among them."""
        return len(self.touched)

    def refresh(self) -> None:
        """Take in what was written since."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                self._read(file)

    @contextmanager
    def writing(self) -> Iterator["Journal"]:
        """Alone with the file, and up to date."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._read(file)
            file.truncate(self.read_to)  # what a kill left of a line
            self._file = file
            yield self

    def add(self, edit: Edit) -> int:
        """A new step, done once this returns; its number. Within `writing`."""
        self._write({"edit": edit.as_json()}, edit.subject, edit.by)
        return self.labels.take(edit)

    def undo(self, number: int, by: str, at: str) -> None:
        self._write({"undo": number, "by": by, "at": at}, self.labels.steps[number].subject, by)
        self.labels.undo(number)

    def redo(self, number: int, by: str, at: str) -> None:
        self._write({"redo": number, "by": by, "at": at}, self.labels.steps[number].subject, by)
        self.labels.redo(number)

    def _write(self, line: dict[str, Any], subject: str, by: str) -> None:
        text = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            # A full disk may have taken half of it.
            self._file.truncate(self.read_to)
            raise
        self.read_to += len(text)
        self.touched.append((subject, by))

    def _read(self, file: BinaryIO) -> None:
        file.seek(self.read_to)
        whole, _, _ = file.read().rpartition(b"\n")
        for text in whole.split(b"\n") if whole else []:
            self.touched.append(self._take(text))
            self.read_to += len(text) + 1

    def _take(self, text: bytes) -> tuple[str, str]:
        """Do what a line says; its subject, and by whom."""
        labels = self.labels
        try:
            line = json.loads(text)
            if "edit" in line:
                edit = Edit.of_json(line["edit"])
                labels.take(edit)
                return edit.subject, edit.by
            number = int(line["undo"] if "undo" in line else line["redo"])
            (labels.undo if "undo" in line else labels.redo)(number)
            return labels.steps[number].subject, line["by"]
        except (ValueError, KeyError, TypeError, IndexError):
            raise InputError(
                f"{self.path} line {self.lines + 1} is no step of a labelling: restore the file, or remove "
                "it and label the site again."
            ) from None
