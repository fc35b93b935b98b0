"""Arguments that are numbers, checked."""

import dataclasses
from numbers import Integral, Real
from typing import Any

from kinema.errors import InputError

_SEEDS = 2**64


def finite_number(name: str, number: object) -> float:
    """A number as a float.

    Raises:
        InputError: it is none, or NaN or infinite.
    """
    if isinstance(number, bool) or not isinstance(number, Real):
        raise InputError(f"{name} is {number!r}; expected a number")
    found = float(number)
    if found != found or found in (float("inf"), float("-inf")):
        raise InputError(f"{name} is {number}; expected a finite number")
    return found


def whole_number(name: str, number: object) -> int:
    """A number as an int.

    Raises:
        InputError: it is none, or not whole.
    """
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise InputError(f"{name} is {number!r}; expected a whole number")
    return int(number)


def seed_number(seed: object) -> int:
    """A seed as an int.

    Raises:
        InputError: it is no whole number, or none that a generator takes.
    """
    number = whole_number("seed", seed)
    if not 0 <= number < _SEEDS:
        raise InputError(f"seed is {number}; expected 0 to {_SEEDS - 1}")
    return number


def number_of_frames(num_frames: object, *, usual: int) -> int:
    """How many frames were asked for: the usual number where it is None.

    Raises:
        InputError: it is no whole number, or below 1.
    """
    if num_frames is None:
        return usual
    number = whole_number("num_frames", num_frames)
    if number < 1:
        raise InputError(f"num_frames is {number}; expected 1 or more")
    return number


def two_shares(name: str, shares: Any) -> tuple[float, float]:
    """From which to which share of something, as floats.

    Raises:
        InputError: they are not two, or no range within 0 and 1.
    """
    try:
        start, end = (finite_number(name, share) for share in shares)
    except (TypeError, ValueError, InputError):
        start, end = 1.0, 0.0
    if not 0 <= start < end <= 1:
        raise InputError(
            f"{name} is {shares!r}; expected two shares from 0 to 1, the first below the second, "
            "as (0.0, 0.4)"
        )
    return start, end


def check_numbers(settings: Any) -> None:
    """Refuse what is no number in the fields of a dataclass that are to be numbers.

    Raises:
        InputError: the first such field is named.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.type is float:
            finite_number(field.name, value)
        elif field.type is int or (field.type == int | None and value is not None):
            whole_number(field.name, value)
