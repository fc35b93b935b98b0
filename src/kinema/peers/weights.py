"""Weights of a model exchanged for others, and the very ones it had put back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from kinema.errors import InputError


@contextmanager
def exchanged(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a model compute with other weights while the block runs.

    Args:
        model: any.
        weights: by the names of `named_parameters`; parameters are put in as they are, so that
            they can learn.

    Raises:
        InputError: a weight that the model does not have, or of another shape.
    """
    own = dict(model.named_parameters())
    for name, weight in weights.items():
        if name not in own or own[name].shape != weight.shape:
            there = f"as {tuple(own[name].shape)}" if name in own else "not at all"
            raise InputError(
                f"a weight {name} of shape {tuple(weight.shape)} was learned, which this "
                f"{type(model).__name__} has {there}; learn it anew there"
            )
    try:
        for name, weight in weights.items():
            put = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, False)
            _put(model, name, put)
        yield
    finally:
        for name in weights:
            _put(model, name, own[name])


def _put(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    path, _, attribute = name.rpartition(".")
    model.get_submodule(path).register_parameter(attribute, parameter)
