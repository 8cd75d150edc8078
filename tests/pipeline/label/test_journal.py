"""Every step can be undone; a journal that was cut, or that several write, gives one state."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minebench.errors import InputError
from pipeline.label import edits
from pipeline.label.edits import Edit, Labels
from pipeline.label.journal import Journal

SHAPE = (6, 7)
boxes = st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 6), st.integers(1, 7), st.booleans())
actions = st.lists(st.one_of(boxes, st.sampled_from(["undo", "redo"])), max_size=25)


def box(labels: Labels, of: tuple[int, int, int, int, bool], how: str = "clicked", by: str = "a") -> Edit:
    row, column, height, width, adds = of
    codes = labels.of("2019")
    wanted = codes.copy()
    wanted[row : row + height, column : column + width] = labels.code(how) if adds else 0
    mark = (labels.mark("2019"), edits.DRAWN)
    return Edit("2019", how, edits.changed(codes, wanted), mark, by, "2026-01-01T00:00:00+00:00", 1.5)


@settings(max_examples=80, deadline=None)
@given(actions)
def test_undo_and_redo_go_back_and_forth(given_: list[object]) -> None:
    labels, past, future = Labels(SHAPE), [np.zeros(SHAPE, np.uint8)], []
    assert (labels.of("2019") == past[-1]).all()
    for action in given_:
        if action == "undo":
            number = labels.last("a")
            assert (number is None) == (len(past) == 1)
            if number is not None:
                labels.undo(number)
                future.append(past.pop())
        elif action == "redo":
            number = labels.next("a")
            assert (number is None) == (not future)
            if number is not None:
                labels.redo(number)
                past.append(future.pop())
        else:
            labels.take(box(labels, action))  # type: ignore[arg-type]
            past.append(labels.of("2019").copy())
            future = []
        assert (labels.of("2019") == past[-1]).all()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal/a.jsonl", SHAPE)


def filled(journal: Journal, count: int, by: str = "a") -> None:
    for number in range(count):
        with journal.writing():
            journal.add(
                box(journal.labels, (number % 5, 1, 2, 3, True), ("clicked", "drawn")[number % 2], by)
            )


def same(one: Labels, other: Labels) -> bool:
    return (
        bool((one.of("2019") == other.of("2019")).all())
        and one.made == other.made
        and one.marks == other.marks
    )


def test_a_journal_is_read_again(journal: Journal) -> None:
    filled(journal, 5)
    with journal.writing():
        journal.undo(4, "a", "now")
    again = Journal(journal.path, SHAPE)
    again.refresh()
    assert same(again.labels, journal.labels)
    assert again.lines == 6
    assert again.labels.next("a") == 4


def test_a_kill_at_any_byte_loses_the_last_step_at_most(journal: Journal) -> None:
    filled(journal, 4)
    content = journal.path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    for cut in range(len(content) + 1):
        journal.path.write_bytes(content[:cut])
        again = Journal(journal.path, SHAPE)
        again.refresh()
        assert again.lines == sum(end <= cut for end in ends)
    journal.path.write_bytes(content[:-20])
    again = Journal(journal.path, SHAPE)
    filled(again, 1)
    assert [json.loads(line)["edit"]["by"] for line in journal.path.read_text().splitlines()] == ["a"] * 4


def test_two_processes_write_one_journal(journal: Journal) -> None:
    other = Journal(journal.path, SHAPE)
    filled(journal, 2, "a")
    filled(other, 3, "b")
    filled(journal, 1, "a")
    other.refresh()
    assert same(other.labels, journal.labels)
    assert journal.touched == [("2019", "a")] * 2 + [("2019", "b")] * 3 + [("2019", "a")]


def test_a_foreign_line_is_named(journal: Journal) -> None:
    filled(journal, 1)
    with journal.path.open("a") as file:
        file.write('{"edit": {"subject": "2019"}}\n')
    with pytest.raises(InputError, match=r"a\.jsonl line 2 is no step"):
        Journal(journal.path, SHAPE).refresh()
