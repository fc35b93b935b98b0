"""Settings with which methods learn and invert in few steps, to see a script through."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from kinema.peers import Method


def shortened(methods: Mapping[str, Method], num_steps: int | None) -> dict[str, Any]:
    """Return the settings of each method, of `num_steps` of learning and of DDIM inversion at most.

    With None there are none: each method has its own.
    """
    if num_steps is None:
        return {}
    return {
        name: dataclasses.replace(
            method.defaults,
            **{
                each: min(num_steps, getattr(method.defaults, each))
                for each in ("num_steps", "inversion_steps")
                if hasattr(method.defaults, each)
            },
        )
        for name, method in methods.items()
    }
