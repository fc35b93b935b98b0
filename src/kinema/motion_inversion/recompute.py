"""Gradient checkpointing for every supported model, three of which do not offer it themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kinema.motion_inversion.layers import layers_of, with_forwards


@contextmanager
def recomputing(model: nn.Module, *, on: bool = True) -> Iterator[None]:
    """Keep only what goes into each layer of a model and compute the rest again when needed.

    Layers get back the very forward they had. Without gradients nothing is computed twice.

    Args:
        model: of a supported class.
        on: False for a block that changes nothing.
    """
    layers = layers_of(model).values() if on else ()
    with with_forwards(layers, lambda forward: partial(_recomputed, forward)):
        yield


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
