"""What a piece of work costs: its seconds, and the memory it takes at its highest."""

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

_SECONDS_BETWEEN_LOOKS = 0.02


@dataclass
class Cost:
    """Of a block of work.

    Attributes:
        seconds: wall time.
        peak_bytes: highest memory above that at the start: allocated on the GPU where the work is
            there, else resident in the process, looked at every 20 ms. What the process had freed
            and kept is given back to the system first, where that can be asked for (glibc).
    """

    seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measure a block; the cost is known when it has ended."""
    cost = Cost()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        started = time.monotonic()
        yield cost
        torch.cuda.synchronize(device)
        cost.peak_bytes = torch.cuda.max_memory_allocated(device) - before
    else:
        _give_back()
        process, done = psutil.Process(), threading.Event()
        before = process.memory_info().rss

        def look() -> None:
            while not done.wait(_SECONDS_BETWEEN_LOOKS):
                cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss - before)

        watch = threading.Thread(target=look, daemon=True)
        watch.start()
        started = time.monotonic()
        try:
            yield cost
        finally:
            done.set()
            watch.join()
    cost.seconds = time.monotonic() - started


def _give_back() -> None:
    """Give freed memory back to the system.

    The C library keeps what was freed, and what a block takes out of that would not be seen.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
