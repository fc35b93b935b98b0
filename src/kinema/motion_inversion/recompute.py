"""Gradient checkpointing for every supported model, three of which do not offer it themselves."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kinema.motion_inversion.sites import plain_model

_LAYERS = re.compile(
    r"(?:(?:down_blocks\.\d+|mid_block|up_blocks\.\d+)\."
    r"(?:resnets|temp_convs|attentions|temp_attentions|motion_modules)"
    r"|transformer_blocks|temporal_transformer_blocks)\.\d+"
)


@contextmanager
def recomputing(model: nn.Module, *, on: bool = True) -> Iterator[None]:
    """Keep only what goes into each layer of a model and compute the rest again when needed.

    Layers get back the very forward they had. Without gradients nothing is computed twice.

    Args:
        model: of a supported class.
        on: False for a block that changes nothing.
    """
    layers = [
        module
        for name, module in plain_model(model).named_modules()
        if on and _LAYERS.fullmatch(name)
    ]
    # Offloading puts a forward of its own on a module; it has to come back afterwards.
    kept = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.__dict__["forward"] = partial(_recomputed, layer.forward)
    try:
        yield
    finally:
        for layer, forward in zip(layers, kept, strict=True):
            del layer.__dict__["forward"]
            if forward is not None:
                layer.__dict__["forward"] = forward


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
