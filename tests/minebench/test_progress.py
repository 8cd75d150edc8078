"""How long work talks of itself where nobody draws bars."""

import logging
import time

import pytest

from minebench import progress
from minebench.text import counted, duration, few, size


def test_in_a_pipe_a_line_says_how_far_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "FIRST_S", 0.02)
    with progress.progress("fetch", 3, "sites") as advance:
        time.sleep(0.06)
        for _ in range(3):
            time.sleep(0.03)
            advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fetch: 0 of 3 sites"  # before the first is done
    assert "1 of 3 sites" in lines[1]
    assert lines[1].endswith(" left")
    assert lines[-1].startswith("fetch: 3 of 3 sites")
    assert "left" not in lines[-1]
    assert [record.message for record in caplog.records] == lines


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("fetch", 2, "sites") as advance:
        advance()
        advance()
    assert capsys.readouterr().err == ""


def test_lines_grow_rarer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's work of 10,000 units is told in some hundred lines, not in 10,000."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.progress("train", 10_000, "samples") as advance:
        for _ in range(10_000):
            now += 0.36
            advance(1, "1.0 GiB")
    lines = capsys.readouterr().err.splitlines()
    assert 100 < len(lines) < 400
    assert lines[50].endswith("1.0 GiB")


def test_words() -> None:
    assert [counted(1, "site"), counted(2, "country", "countries"), counted(1200, "pair")] == [
        "1 site", "2 countries", "1,200 pairs",
    ]  # fmt: skip
    assert [duration(s) for s in (0.2, 89, 600, 5400, 12_000, 300_000)] == [
        "1 s", "89 s", "10 min", "1 h 30 min", "3 h 20 min", "3 days",
    ]  # fmt: skip
    assert [size(n) for n in (12, 2_500, 3.2e9, 4e15)] == ["12 B", "2.5 kB", "3.2 GB", "4,000.0 TB"]
    assert few(list("abc"), 2) == "a, b and 1 more"
