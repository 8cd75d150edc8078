import signal

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
