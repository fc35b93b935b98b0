"""Signals as a wish to stop: the first is noted, the handlers of before come back."""

import signal
import threading

import pytest

from kinema import interruption
from kinema.interruption import interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_what_comes_with_it_is_the_same_wish(number: int) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptions() as asked:
        assert not asked.is_set()
        signal.raise_signal(number)
        assert asked.is_set()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_later_ctrl_c_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.9, 11.0])
    monkeypatch.setattr(interruption.time, "monotonic", lambda: next(clock))
    before = signal.getsignal(signal.SIGINT)
    with interruptions() as asked:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)  # a scheduler may say it again: it does not look
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with interruptions() as asked:
            seen.append((signal.getsignal(signal.SIGINT), asked.is_set()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_a_signal_within_a_signal_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several are sent at once, and Python takes one while it is at another."""

    def waited(number: int, frame: object) -> None:
        raise AssertionError("the second signal waits for the first, for ever")

    before = signal.signal(signal.SIGALRM, waited)
    plain = threading.Event.set

    def interrupted(event: threading.Event) -> None:
        with event._cond:
            if not event.is_set():
                monkeypatch.undo()
                signal.raise_signal(signal.SIGTERM)
        plain(event)

    monkeypatch.setattr(threading.Event, "set", interrupted)
    signal.alarm(10)
    try:
        with interruptions() as asked:
            signal.raise_signal(signal.SIGINT)
            assert asked.is_set()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
