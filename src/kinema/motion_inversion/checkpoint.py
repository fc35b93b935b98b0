"""An inversion on its way: written while it runs, read to go on exactly where it was."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.files import save_tensors
from kinema.motion_inversion.origin import Origin

HEADER = "kinema_inversion"
_STATE = ("step", "exp_avg", "exp_avg_sq")


@dataclass(eq=False)
class Progress:
    """How far an inversion is.

    Attributes:
        step: steps done.
        tensors: the embeddings, leaves that require gradients.
        optimizer: AdamW over them, in their order.
        scaler: of their gradients; it lets a step that overflows go by.
        losses: of every step done.
        weights: a digest of the model that is learned on, with what is loaded on it, and the type
            of its numbers.
    """

    step: int
    tensors: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    losses: list[float]
    weights: str


def write_checkpoint(path: str | Path, progress: Progress, origin: Origin) -> None:
    """Write everything that the next step depends on, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    content = {f"embedding/{name}": tensor for name, tensor in progress.tensors.items()}
    for name, tensor in progress.tensors.items():
        state = progress.optimizer.state.get(tensor, {})
        content |= {f"{what}/{name}": state[what] for what in _STATE if what in state}
    content["losses"] = torch.tensor(progress.losses, dtype=torch.float64)
    values = {
        "step": progress.step,
        "scaler": progress.scaler.state_dict(),
        "origin": origin.to_json(),
        "weights": progress.weights,
    }
    header = json.dumps(values, sort_keys=True)
    save_tensors(path, content, {HEADER: header})


def read_checkpoint(path: str | Path, progress: Progress, origin: Origin) -> None:
    """Bring `progress` to where a checkpoint of the same inversion was.

    Raises:
        InputError: there is no such file, it is no whole checkpoint, or one of another inversion;
            the first difference is named.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise InputError(f"there is no checkpoint {path}; check the path, or start without one")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step, there = int(header["step"]), header["origin"]
            scaler = header.get("scaler")
    except Exception as error:  # SafetensorError is no public class; KeyError, OSError, ...
        raise InputError(
            f"{path} is no checkpoint of an inversion, or only part of one ({error!r}); start "
            "without it"
        ) from error
    _check_same(there, json.loads(json.dumps(origin.to_json())), path)
    if header.get("weights", progress.weights) != progress.weights:
        raise InputError(
            f"{path} is a checkpoint of an inversion on other weights ({header['weights']} there "
            f"and {progress.weights} here); load the same model, in the same precision and with "
            "the same adapters, or start without it"
        )
    wanted = origin.settings.get("num_steps", step)
    if step > wanted:
        raise InputError(
            f"{path} has learned for {step} steps and num_steps is {wanted}; give {step} or more, "
            "or start without it"
        )
    for name, tensor in progress.tensors.items():
        kept = content.get(f"embedding/{name}")
        if kept is None or kept.shape != tensor.shape:
            raise InputError(
                f"{path} is a checkpoint of embeddings of another form, without {name} of shape "
                f"{tuple(tensor.shape)}; start without it"
            )
    with torch.no_grad():
        for name, tensor in progress.tensors.items():
            tensor.copy_(content[f"embedding/{name}"])
            state = {
                # AdamW counts its steps on the CPU.
                what: content[f"{what}/{name}"].to("cpu" if what == "step" else tensor.device)
                for what in _STATE
                if f"{what}/{name}" in content
            }
            if state:
                # Older checkpoints do not say how often AdamW stepped.
                progress.optimizer.state[tensor] = {"step": torch.tensor(float(step)), **state}
    if scaler and progress.scaler.is_enabled():
        progress.scaler.load_state_dict(scaler)
    progress.step = step
    progress.losses[:] = content["losses"].tolist()


def _check_same(there: dict[str, Any], here: dict[str, Any], path: str | Path) -> None:
    """A longer run of the same inversion is the same; anything else is another."""
    free = {"num_steps", "kinema_version", "patience", "min_improvement", "inversion_steps"}
    for what in ("settings", None):
        old, new = (values[what] if what else values for values in (there, here))
        for name in {**new, **old}:
            if name != "settings" and name not in free and old.get(name) != new.get(name):
                raise InputError(
                    f"{path} is a checkpoint of another inversion: {name} is {old.get(name)!r} "
                    f"there and {new.get(name)!r} here; give the same, or start without it"
                )
