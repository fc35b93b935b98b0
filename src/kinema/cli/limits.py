"""Numbers of the command line that the libraries below would refuse with a traceback."""

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
    """Refuse a number of frames that is none, which would stand for the usual one.

    Raises:
        InputError: it is below 1.
    """
    if count is not None and count < 1:
        raise InputError(f"--frames is {count}; give 2 or more, or leave it out")


def check_steps(pipe: Any, count: int | None) -> None:
    """Refuse more steps of denoising than a pipeline was trained with.

    Raises:
        InputError: there are more.
    """
    most = pipe.scheduler.config.num_train_timesteps
    if count is not None and count > most:
        raise InputError(f"--steps is {count}, and this model has {most}; give {most} or fewer")
