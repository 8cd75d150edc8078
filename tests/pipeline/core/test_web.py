"""How long is waited between the tries of a request, on a clock that only counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import tenacity

from pipeline.core import web
from pipeline.core.errors import WorkError
from pipeline.core.traffic import Traffic, counting

ADDRESS = "http://127.0.0.1:1/x"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited, one by one."""
    found: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=found.append))
    return found


def answers(monkeypatch: pytest.MonkeyPatch, statuses: list[int]) -> None:
    """Each try is answered with the next of the statuses."""
    left = iter(statuses)

    def send(*_: Any) -> web.Answer:
        return web.Answer(next(left), {}, b"whole")

    monkeypatch.setattr(web, "_send", send)


def test_waits_double_and_differ(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [429, 503, 500, 502, 504, 408, 200])
    traffic = Traffic()
    with counting(traffic):
        assert web.request(ADDRESS).content == b"whole"
    assert traffic.retries == len(waits) == 6
    for number, seconds in enumerate(waits):
        shortest = web.FIRST_WAIT_S * 2**number
        assert shortest <= seconds <= shortest + 1
    assert len({round(seconds % 0.25, 6) for seconds in waits}) > 1, "all come back together"


def test_no_wait_is_longer_than_the_longest(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LONGEST_WAIT_S", 2.0)
    answers(monkeypatch, [503] * 7)
    with pytest.raises(WorkError, match="failed 7 times: HTTP 503"):
        web.request(ADDRESS)
    assert len(waits) == web.ATTEMPTS - 1
    assert waits[-2:] == [2.0, 2.0]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 410])
def test_what_stands_is_not_waited_for(
    status: int, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [status])
    assert web.request(ADDRESS).status == status
    assert waits == []
