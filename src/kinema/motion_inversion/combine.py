"""Arithmetic on the tensors of motions: everything here is linear, and none of it debiases."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from kinema.motion_inversion.embedding import at_grid, low_rank_value
from kinema.motion_inversion.parameters import (
    QUERY_KEY_GRID,
    VALUE,
    VALUE_SPACE,
    VALUE_TIME,
    named_module,
)

Tensors = Mapping[str, Tensor]


def scaled(tensors: Tensors, factor: float) -> dict[str, Tensor]:
    """Every embedding times a number; of two factors, the one over time takes it."""
    return {
        name: tensor if name.startswith(VALUE_SPACE) else tensor * factor
        for name, tensor in tensors.items()
    }


def in_time(tensors: Tensors, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Every embedding with a linear change of its frames, `(..., N, C)` to `(..., M, C)`."""
    return {
        name: tensor if name.startswith(VALUE_SPACE) else change(tensor)
        for name, tensor in tensors.items()
    }


def summed(a: Tensors, b: Tensors) -> dict[str, Tensor]:
    """The sum of two motions' embeddings of one length; where one has none, the other's.

    Value embeddings of low rank stay so, with the ranks of both. A full one and another grid or
    form are added on the finer of the two grids.
    """
    total = {name: tensor for name, tensor in a.items() if not name.startswith("value")}
    for name, tensor in b.items():
        if name.startswith(QUERY_KEY_GRID) and name in total:
            total[name] = _on_the_finer_grid(total[name], tensor)
        elif not name.startswith("value"):
            total[name] = total[name] + tensor if name in total else tensor
    paths = dict.fromkeys(named_module(name) for name in (*a, *b) if name.startswith("value"))
    for path in paths:
        total |= _summed_value(_value(a, path), _value(b, path))
    return total


def _value(tensors: Tensors, path: str) -> dict[str, Tensor]:
    names = (kind + path for kind in (VALUE, VALUE_SPACE, VALUE_TIME))
    return {name: tensors[name] for name in names if name in tensors}


def _summed_value(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    if not a or not b:
        return a or b
    path = named_module(next(iter(a)))
    space, time = VALUE_SPACE + path, VALUE_TIME + path
    if space in a and space in b and a[space].shape[:2] == b[space].shape[:2]:
        return {
            space: torch.cat([a[space], b[space]], dim=-1),
            time: torch.cat([a[time], b[time]], dim=0),
        }
    full = [
        value[VALUE + path] if VALUE + path in value else low_rank_value(value[space], value[time])
        for value in (a, b)
    ]
    return {VALUE + path: _on_the_finer_grid(*full)}


def _on_the_finer_grid(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two embeddings `(H, W, N, C)` of any grids."""
    grid = (max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1]))
    return at_grid(a, grid) + at_grid(b, grid)
