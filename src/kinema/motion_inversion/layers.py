"""The layers of every supported model, and another forward for each of them for a while."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from kinema.motion_inversion.sites import plain_model

_LAYERS = re.compile(
    r"(?:(?:down_blocks\.\d+|mid_block|up_blocks\.\d+)\."
    r"(?:resnets|temp_convs|attentions|temp_attentions|motion_modules)"
    r"|transformer_blocks|temporal_transformer_blocks)\.\d+"
)


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that a model is made of, by path: convolutions and transformers."""
    return {
        name: module
        for name, module in plain_model(model).named_modules()
        if _LAYERS.fullmatch(name)
    }


@contextmanager
def with_forwards(
    layers: Iterable[nn.Module], wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Let layers compute by what `wrapped` makes of their forward; then they have theirs again."""
    layers = list(layers)
    # Offloading puts a forward of its own on a module; it has to come back afterwards.
    kept = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.__dict__["forward"] = wrapped(layer.forward)
    try:
        yield
    finally:
        for layer, forward in zip(layers, kept, strict=True):
            del layer.__dict__["forward"]
            if forward is not None:
                layer.__dict__["forward"] = forward
