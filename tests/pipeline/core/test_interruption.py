import signal
import weakref
from functools import partial

import pytest

from pipeline.core import interruption


def test_a_deferred_signal_takes_effect_after_the_block() -> None:
    events = []

    def forking() -> None:
        with interruption.deferred():
            signal.raise_signal(signal.SIGINT)
            events.append("went on")

    # A shell's background job is started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            forking()
        assert events == ["went on"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


class Subject:
    """Something to refer to weakly."""


@pytest.mark.parametrize("raised", [interruption.Interrupted(2), ValueError("a defect")])
def test_a_signal_within_a_weak_callback_is_not_printed(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    hook = partial(interruption._say_unless_interrupted, lambda lost: said.append(lost.exc_value))
    monkeypatch.setattr("sys.unraisablehook", hook)

    def fail(_: object) -> None:
        raise raised

    subject = Subject()
    kept = weakref.ref(subject, fail)
    del subject
    assert kept() is None
    assert said == ([raised] if isinstance(raised, ValueError) else [])
