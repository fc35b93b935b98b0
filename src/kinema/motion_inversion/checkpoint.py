"""An inversion on its way: written while it runs, read to go on exactly where it was."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.files import replacing
from kinema.motion_inversion.origin import Origin

HEADER = "kinema_inversion"
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(eq=False)
class Progress:
    """How far an inversion is.

    Attributes:
        step: steps done.
        tensors: the embeddings, leaves that require gradients.
        optimizer: AdamW over them, in their order.
        losses: of every step done.
    """

    step: int
    tensors: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    losses: list[float]


def write_checkpoint(path: str | Path, progress: Progress, origin: Origin) -> None:
    """Write everything that the next step depends on, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    from safetensors.torch import save_file

    content = {f"embedding/{name}": tensor for name, tensor in progress.tensors.items()}
    for name, tensor in progress.tensors.items():
        state = progress.optimizer.state.get(tensor, {})
        content |= {f"{moment}/{name}": state[moment] for moment in _MOMENTS if moment in state}
    content["losses"] = torch.tensor(progress.losses, dtype=torch.float64)
    header = json.dumps({"step": progress.step, "origin": origin.to_json()}, sort_keys=True)
    with replacing(path) as temporary:
        try:
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in content.items()},
                temporary,
                metadata={HEADER: header},
            )
        except Exception as error:  # a full disk reaches us as safetensors' own exception
            raise InputError(
                f"cannot write the checkpoint {path}: {error}; make room, or choose another place"
            ) from error


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
    except Exception as error:  # SafetensorError is no public class; KeyError, OSError, ...
        raise InputError(
            f"{path} is no checkpoint of an inversion, or only part of one ({error!r}); start "
            "without it"
        ) from error
    _check_same(there, json.loads(json.dumps(origin.to_json())), path)
    with torch.no_grad():
        for name, tensor in progress.tensors.items():
            tensor.copy_(content[f"embedding/{name}"])
            state = {
                moment: content[f"{moment}/{name}"].to(tensor)
                for moment in _MOMENTS
                if f"{moment}/{name}" in content
            }
            if state:
                state["step"] = torch.tensor(float(step))
                progress.optimizer.state[tensor] = state
    progress.step = step
    progress.losses[:] = content["losses"].tolist()


def _check_same(there: dict[str, Any], here: dict[str, Any], path: str | Path) -> None:
    """A longer run of the same inversion is the same; anything else is another."""
    free = {"num_steps", "kinema_version", "patience", "min_improvement", "inversion_steps"}
    for what in ("settings", None):
        old, new = (values[what] if what else values for values in (there, here))
        for name in new:
            if name != "settings" and name not in free and old.get(name) != new[name]:
                raise InputError(
                    f"{path} is a checkpoint of another inversion: {name} is {old.get(name)!r} "
                    f"there and {new[name]!r} here; give the same, or start without it"
                )
