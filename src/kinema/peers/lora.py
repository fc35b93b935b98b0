"""Low-rank layers beside some of a model's own, by peft: on, and off again without a trace."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

_ADAPTER = "kinema"


def layers_inside(
    model: nn.Module, containers: Collection[str], *, parts: Collection[str]
) -> list[str]:
    """Paths of the linear and convolutional layers of some parts of some modules.

    Args:
        model: on any device, "meta" too.
        containers: names of those modules' classes.
        parts: names of modules within them, at any depth.
    """
    inside = tuple(
        f"{name}." for name, module in model.named_modules() if type(module).__name__ in containers
    )
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        for start in inside
        if name.startswith(start) and set(parts) & set(name.removeprefix(start).split("."))
    ]


def check_low_rank(model: nn.Module) -> None:
    """See whether peft is there and can put its layers beside a model's own.

    Raises:
        InputError: peft is missing, or the model carries a LoRA already.
    """
    try:
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError as error:
        raise InputError(
            "MotionDirector needs peft, which is not installed; pip install 'kinema[peers]'"
        ) from error
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise InputError(
            f"this {type(model).__name__} carries a LoRA already, which would come off with the "
            "one to be learned; fuse it into the weights and unload it first"
        )


@contextmanager
def low_rank(
    model: nn.Module, paths: Sequence[str], *, rank: int, dropout: float = 0.0
) -> Iterator[dict[str, "LoraLayer"]]:
    """Add `B A x` to what layers give while the block runs; B is zero, A normal of std 1/rank.

    Factors are float32 on a half-precision model too, so that they can learn. Afterwards the model
    has the very modules that it had.

    Args:
        model: of any class.
        paths: of its linear and convolutional layers.
        rank: of the product.
        dropout: share of what B gives that is dropped, for training. (peft's own drops of what A
            is given.)

    Yields:
        peft's layers, by path.

    Raises:
        InputError: peft is missing, or the model carries a LoRA already.
    """
    check_low_rank(model)
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel
    from peft.tuners.tuners_utils import cast_adapter_dtype

    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=list(paths),
        init_lora_weights="gaussian",
    )
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tuner = LoraModel(model, config, _ADAPTER)  # freezes the model
    try:
        cast_adapter_dtype(model, _ADAPTER)
        layers: dict[str, Any] = {path: model.get_submodule(path) for path in paths}
        for layer in layers.values():
            layer.register_forward_pre_hook(_by_position, with_kwargs=True)
            if dropout:
                layer.lora_B[_ADAPTER].register_forward_hook(
                    lambda _, args, given: F.dropout(given, dropout)
                )
        yield layers
    finally:
        tuner.unload()
        for parameter in learning:
            parameter.requires_grad_(True)


def _by_position(
    _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """AnimateDiff gives some layers their input by torch's name, which is not peft's."""
    return (*args, *(kwargs[name] for name in kwargs if name == "input")), {
        name: value for name, value in kwargs.items() if name != "input"
    }


def switch(layers: Mapping[str, "LoraLayer"], *, on: bool) -> None:
    """Let low-rank layers count, or leave the model's own alone."""
    for layer in layers.values():
        layer.enable_adapters(on)


def factors(layers: Mapping[str, "LoraLayer"]) -> dict[str, nn.Parameter]:
    """The two factors of every low-rank layer: "<path>.lora_A" and "<path>.lora_B"."""
    return {
        f"{path}.{factor}": getattr(layer, factor)[_ADAPTER].weight
        for path, layer in layers.items()
        for factor in ("lora_A", "lora_B")
    }


@contextmanager
def learned_low_rank(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Put factors as `factors` gives them on a model while the block runs.

    Raises:
        InputError: a factor without its place in this model, or of another shape; it is named.
    """
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    known = {
        name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    }
    foreign = next((path for path in paths if path not in known), None)
    if foreign is not None or not paths:
        raise InputError(
            f"a low-rank layer was learned for {foreign!r}, which this {type(model).__name__} does "
            "not have; learn it anew there"
        )
    rank = next(tensor for name, tensor in tensors.items() if name.endswith("lora_A")).shape[0]
    with low_rank(model, paths, rank=rank) as layers, torch.no_grad():
        for name, factor in factors(layers).items():
            given = tensors.get(name)
            if given is None or given.shape != factor.shape:
                found = "is missing" if given is None else f"has shape {tuple(given.shape)}"
                raise InputError(
                    f"the factor {name} {found}; expected {tuple(factor.shape)}: learn it anew"
                )
            factor.copy_(given)
        yield
