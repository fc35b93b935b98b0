"""Numbers of the command line that the libraries below would refuse with a traceback."""

import re
from typing import Any

from kinema.errors import InputError

_SEEDS = 2**64
"""So many are there for a generator of torch."""


def check_seeds(first: int, count: int = 1) -> None:
    """Refuse seeds that a generator does not take.

    Raises:
        InputError: one is below 0 or has more than 64 bits.
    """
    if not 0 <= first <= _SEEDS - count:
        raise InputError(f"--seed is {first}; give a number from 0 to {_SEEDS - count}")


def check_frames(count: int | None) -> None:
    """Refuse a number of frames that is none, before a model is loaded.

    Raises:
        InputError: it is below 1.
    """
    if count is not None and count < 1:
        raise InputError(f"--frames is {count}; give 2 or more, or leave it out")


def size_of(text: str | None) -> tuple[int, int] | None:
    """Read a size such as "320x576", height and width in pixels; None stays None.

    Raises:
        InputError: it is not of that form.
    """
    if text is None:
        return None
    sides = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if sides is None:
        raise InputError(f"--size is {text!r}; give height and width in pixels, such as 320x576")
    return int(sides[1]), int(sides[2])


def check_steps(pipe: Any, count: int | None) -> None:
    """Refuse more steps of denoising than a pipeline was trained with.

    Raises:
        InputError: there are more.
    """
    most = pipe.scheduler.config.num_train_timesteps
    if count is not None and count > most:
        raise InputError(f"--steps is {count}, and this model has {most}; give {most} or fewer")
