"""Arithmetic on the tensors of motions: all of it linear but `compressed`; none of it debiases."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from kinema.motion_inversion.embedding import at_grid, low_rank_factors, low_rank_value
from kinema.motion_inversion.parameters import (
    QUERY_KEY_GRID,
    VALUE,
    VALUE_DIRECTIONS,
    VALUE_SCORES,
    named_module,
)

Tensors = Mapping[str, Tensor]


def scaled(tensors: Tensors, factor: float) -> dict[str, Tensor]:
    """Every embedding times a number; of scores and directions, the scores."""
    return {
        name: tensor if name.startswith(VALUE_DIRECTIONS) else tensor * factor
        for name, tensor in tensors.items()
    }


def in_time(tensors: Tensors, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Every embedding with a linear change of its frames, `(..., N, C)` to `(..., M, C)`."""
    return {
        name: tensor if name.startswith(VALUE_DIRECTIONS) else change(tensor)
        for name, tensor in tensors.items()
    }


def compressed(tensors: Tensors, rank: int) -> dict[str, Tensor]:
    """Value embeddings of low rank, close to what was learned; those that are smaller stay."""
    small = {name: tensor for name, tensor in tensors.items() if not name.startswith("value")}
    for path in dict.fromkeys(named_module(name) for name in tensors if name.startswith("value")):
        kept = _value(tensors, path)
        value = _full(kept, path)
        scores, directions = low_rank_factors(value, min(rank, value.shape[-1]))
        factors = {VALUE_SCORES + path: scores, VALUE_DIRECTIONS + path: directions}
        small |= factors if _num_numbers(factors) < _num_numbers(kept) else kept
    return small


def _num_numbers(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def summed(a: Tensors, b: Tensors) -> dict[str, Tensor]:
    """The sum of two motions' embeddings of one length; where one has none, the other's.

    Value embeddings of low rank stay so, with the ranks of both; any other two are added in full.
    Either is on the finer of the two grids.
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
    names = (kind + path for kind in (VALUE, VALUE_SCORES, VALUE_DIRECTIONS))
    return {name: tensors[name] for name in names if name in tensors}


def _summed_value(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    if not a or not b:
        return a or b
    path = named_module(next(iter(a)))
    scores, directions = VALUE_SCORES + path, VALUE_DIRECTIONS + path
    if scores in a and scores in b:
        return {
            scores: torch.cat(_of_one_grid(a[scores], b[scores]), dim=-1),
            directions: torch.cat([a[directions], b[directions]], dim=0),
        }
    return {VALUE + path: _on_the_finer_grid(_full(a, path), _full(b, path))}


def _full(value: Tensors, path: str) -> Tensor:
    """A value embedding `(H, W, N, C)`, whatever its form."""
    if VALUE + path in value:
        return value[VALUE + path]
    return low_rank_value(value[VALUE_SCORES + path], value[VALUE_DIRECTIONS + path])


def _on_the_finer_grid(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two embeddings `(H, W, N, C)` of any grids."""
    a, b = _of_one_grid(a, b)
    return a + b


def _of_one_grid(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two embeddings or scores `(H, W, ...)` on the finer of their grids."""
    grid = (max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1]))
    return at_grid(a, grid), at_grid(b, grid)
