"""The frozen layers of a model by torch.compile: they are the same in every step of learning."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kinema.errors import first_line
from kinema.motion_inversion.layers import layers_of, with_forwards
from kinema.motion_inversion.sites import find_sites

_MOST_FORMS = 256
"""Of one layer's code. torch's own limit of 8 is for code that meets ever new shapes; here each
layer of a model meets one, and many share their code."""


@contextmanager
def compiled_layers(
    model: nn.Module, *, on: bool = True, backend: str = "inductor"
) -> Iterator[None]:
    """Compile the layers of a model that hold no temporal attention, while the block runs.

    Those that hold one change as motions come and go. What cannot be compiled, as without a
    compiler for the processor, runs as it is, and one warning says so. Layers get back the very
    forward they had.

    Args:
        model: of a supported class.
        on: False for a block that changes nothing.
        backend: of torch.compile.
    """
    if not on:
        yield
        return
    embedded = [f"{site.name}." for site in find_sites(model, blocks="all")]
    layers = {
        name: layer
        for name, layer in layers_of(model).items()
        if not any(path.startswith(f"{name}.") for path in embedded)
    }
    told: list[Exception] = []

    # These take a second or two to load.
    import torch._dynamo.config
    import torch._functorch.config

    def compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
        return _Compiled(forward, backend, told)

    forms: Any = torch._dynamo.config
    limits = {"recompile_limit": _MOST_FORMS, "accumulated_recompile_limit": 8 * _MOST_FORMS}
    # Else what is wrong with a backward pass comes out where nobody can go on without.
    early: Any = torch._functorch.config
    with (
        forms.patch(limits),
        early.patch(force_non_lazy_backward_lowering=True),
        with_forwards(layers.values(), compiled),
    ):
        yield


class _Compiled:
    """A compiled forward that gives way to the plain one where the compiler fails."""

    def __init__(self, forward: Callable[..., Any], backend: str, told: list[Exception]) -> None:
        from torch._dynamo.exc import TorchDynamoException

        self.forward, self.told = forward, told
        # Only of the compiler: others are the layer's own, or pass through on their way.
        self.failures = TorchDynamoException
        self.call: Callable[..., Any] = torch.compile(forward, backend=backend, dynamic=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.call(*args, **kwargs)
        except self.failures as error:
            self.call = self.forward
            if not self.told:
                self.told.append(error)
                warnings.warn(
                    "torch.compile could not compile the model's layers, which go on without, "
                    f"slower: {type(error).__name__}: {first_line(error)}",
                    stacklevel=2,
                )
            return self.forward(*args, **kwargs)
