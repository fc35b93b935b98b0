"""Weights into a built backbone: read safely, compared key by key, every difference named."""

import logging
import pickle
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kinema.backbones.download import download
from kinema.backbones.facts import BackboneFacts
from kinema.errors import InputError

logger = logging.getLogger(__name__)

KINETICS = "k400"

Model = TypeVar("Model", bound=nn.Module)


def with_weights(model: Model, weights: str | Path | None, facts: BackboneFacts) -> Model:
    """Load what `weights` names into the model and return it.

    Args:
        model: as the row of the table describes it, its number of classes free.
        weights: None for none, "k400" for the zoo's, else the path of a file.
        facts: the row.

    Raises:
        InputError: as `load_weights`; or the zoo cannot be reached.
    """
    if weights is None:
        return model
    path = Path(weights)
    if weights == facts.trained_on and facts.url is not None:
        path = download(facts.url, sha256=facts.sha256)
    load_weights(model, path, head=str(facts.head))
    return model


def load_weights(model: nn.Module, path: str | Path, *, head: str) -> None:
    """Load a file of weights into a model, all of them but a head of another number of classes.

    Such a head stays as it is in the model, and a warning is logged. The model is untouched
    where anything else differs.

    Args:
        model: any module.
        path: a safetensors file, or one of `torch.save` that holds a state dict, alone or under
            "model_state" as in the public zoo. Pickled code is never run.
        head: name of the linear layer that gives the logits.

    Raises:
        InputError: the file cannot be read so, or a tensor is missing, left over, or of another
            shape; the first one is named with both shapes.
    """
    path = Path(path)
    load_state(model, read_state(path), head=head, path=path)


def load_state(model: nn.Module, state: dict[str, Tensor], *, head: str, path: Path) -> None:
    """`load_weights` of a state dict that was read from `path`."""
    own = model.state_dict()
    weight, bias = f"{head}.weight", f"{head}.bias"
    if weight in state and weight in own and state[weight].shape[1:] == own[weight].shape[1:]:
        there, here = len(state[weight]), len(own[weight])
        if there != here:
            say_head_is_fresh(path.name, there, here, head)
            state = state | {name: own[name] for name in (weight, bias) if name in own}
    _check_same(state, own, path)
    model.load_state_dict(state)


def say_head_is_fresh(source: str, there: int, here: int, head: str) -> None:
    """Warn that the weights' own head was left out."""
    logger.warning(
        "%s has a head for %d classes and this model one for %d: %s starts afresh",
        source,
        there,
        here,
        head,
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, on the CPU.

    Raises:
        InputError: there is no such file, or it holds no state dict that can be read safely.
    """
    if not path.is_file():
        raise InputError(
            f"there is no file of weights {path}; expected a path or {KINETICS!r}: check the path"
        )
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} cannot be read as weights alone; expected a file of torch.save that holds "
            "tensors and nothing that runs code: if you trust it, load it with "
            "weights_only=False and save its state dict again"
        ) from error
    # A damaged file makes either reader fail in a dozen ways, IndexError and struct.error among
    # them.
    except Exception as error:
        raise InputError(
            f"{path} is no file of weights ({in_one_line(error)}); expected safetensors, or a "
            "state dict written by torch.save"
        ) from error
    state = content.get("model_state", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"{path} holds no state dict; expected names and tensors, alone or under 'model_state'"
        )
    return dict(state)


def _check_same(state: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    for name, tensor in own.items():
        here = tuple(tensor.shape)
        if name not in state:
            # Files from before torch 0.4.1 do not count batches, and torch loads them so.
            if name.endswith("num_batches_tracked"):
                continue
            raise InputError(
                f"{path} does not fit this model: {name} is missing there and {here} here; give "
                "the weights of this architecture"
            )
        there = tuple(state[name].shape)
        if there != here:
            raise InputError(
                f"{path} does not fit this model: {name} is {there} there and {here} here; give "
                "the weights of this architecture and size"
            )
    for name, tensor in state.items():
        if name not in own:
            raise InputError(
                f"{path} does not fit this model: {name} is {tuple(tensor.shape)} there and "
                "missing here; give the weights of this architecture"
            )


def in_one_line(error: Exception) -> str:
    """What an exception says first, with the line that it announces by a colon."""
    first, *others = (str(error).strip() or type(error).__name__).splitlines()
    return f"{first} {others[0].strip()}" if others and first.endswith(":") else first
