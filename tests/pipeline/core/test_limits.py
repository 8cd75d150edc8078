"""Limits of a service in one process; those of a whole cluster are in tests/e2e/test_cluster.py."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pipeline.core import limits
from pipeline.web import client


@pytest.fixture
def alone() -> Iterator[None]:
    """What a test joins, it leaves again."""
    yield
    limits._joined.clear()
    limits.gate.cache_clear()
    limits._turn.cache_clear()


def test_no_more_at_once_than_allowed() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def ask() -> None:
        nonlocal under_way, most
        with limits.gate("at-once.example", 3):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_turns_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only sleeping moves."""
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    begun = []
    for _ in range(4):
        limits.wait_for_turn("turns.example", 50)
        begun.append(now)
    assert begun == pytest.approx([100.0, 100.02, 100.04, 100.06])


def test_a_worker_has_as_many_threads_as_it_was_given(alone: None) -> None:
    assert limits.threads_for(20) == 20
    limits.join(SimpleNamespace(state=SimpleNamespace(nthreads=4)))
    assert (limits.threads_for(20), limits.threads_for(2)) == (4, 2)


def test_another_worker_takes_nothing_over(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases belong to the cluster of the worker that asked for them."""
    monkeypatch.setattr(limits, "_leases", lambda name, most: (limits._joined["worker"], name, most))
    found = []
    for worker in ("first", "second"):
        limits.join(worker)
        found += [limits.gate("x", 3), limits._turn("x")]
    assert found == [("first", "x at once", 3), ("first", "x turn", 1),
                     ("second", "x at once", 3), ("second", "x turn", 1)]  # fmt: skip


RATES = {
    "earthengine-highvolume.googleapis.com": ("earthengine-highvolume.googleapis.com", 100.0),
    "stac.dataspace.copernicus.eu": ("dataspace.copernicus.eu", 2000 / 60),
    "sh.dataspace.copernicus.eu:443": ("sh.dataspace.copernicus.eu", 5.0),
    "notdataspace.copernicus.eu": None,
    "earth-search.aws.element84.com": None,
    "127.0.0.1:8000": None,
}


@pytest.mark.parametrize("host", RATES)
def test_documented_rates_are_kept(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every try: those that are refused count too."""
    turns: list[tuple[str, float]] = []
    monkeypatch.setattr(limits, "wait_for_turn", lambda *turn: turns.append(turn))
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.0)
    statuses = iter([503, 200])
    monkeypatch.setattr(client, "_send", lambda *_: client.Answer(next(statuses), {}, b""))
    client.request(f"https://{host}/v1/search")
    assert turns == ([RATES[host]] * 2 if RATES[host] else [])
