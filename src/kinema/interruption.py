"""SIGINT and SIGTERM as a wish to stop at the next step, so that nothing is lost."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SECONDS_OF_ONE_WISH = 1.0


@contextmanager
def interruptions() -> Iterator[threading.Event]:
    """Give what is set when a signal has come; outside the main thread it never is.

    Ctrl-C once more, a second after the first signal or later, does not wait for a step's end and
    raises KeyboardInterrupt. What comes sooner is the same wish: terminals, `timeout` and
    `torchrun` send a process several signals at once.
    """
    asked = threading.Event()
    first: float | None = None

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # Not by asking the event, whose lock a second signal would find taken by the first.
        if first is None:
            first = time.monotonic()
            asked.set()
        elif number == signal.SIGINT and time.monotonic() - first >= _SECONDS_OF_ONE_WISH:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
