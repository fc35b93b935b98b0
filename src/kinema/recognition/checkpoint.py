"""Checkpoints of a run: tensors in safetensors, the rest as JSON beside them in the same file.

accelerate's own `save_state` pickles the optimiser and the random states. Here the optimiser's
state is tensors, and there are no random states to keep, since every step draws from a seed of
its own.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kinema.errors import InputError
from kinema.files import save_tensors
from kinema.recognition.learner import Learner

CHECKPOINT = "checkpoint.safetensors"

_MAY_DIFFER = {
    "num_workers",
    "steps_between_checkpoints",
    "on_error",
    "epochs_between_tests",
    "num_views",
    "num_crops",
    "test_size",
}
"""Settings that change nothing in what is learned."""


@dataclass(frozen=True)
class Progress:
    """What a run goes on from.

    step: optimiser steps done.
    recipe: settings of the run.
    num_processes: that trained it together.
    num_clips: it trains on.
    clips: a digest of which ones these are, see `Source.digest`.
    """

    step: int
    recipe: dict[str, Any]
    num_processes: int
    num_clips: int
    clips: str


def save_checkpoint(folder: Path, learner: Learner, progress: Progress) -> None:
    """Write the checkpoint of a run, in place of the one before."""
    tensors = {f"weights.{name}": value for name, value in learner.model.state_dict().items()}
    if learner.averaged is not None:
        state = learner.averaged.state_dict()
        tensors |= {f"average.{name}": value for name, value in state.items()}
    for index, values in learner.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    metadata = {"progress": json.dumps(vars(progress))}
    save_tensors(folder / CHECKPOINT, tensors, metadata)


def load_checkpoint(folder: Path, learner: Learner, progress: Progress) -> int:
    """Load the checkpoint of a run, where there is one; return the step, 0 without one.

    Args:
        folder: of the run.
        learner: what to load into, built by the same recipe.
        progress: of the run that would go on; its step is not read.

    Raises:
        InputError: the checkpoint is of another recipe, of other clips or another number of
            processes, or is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    try:
        with safe_open(path, "pt") as checkpoint:
            before = Progress(**json.loads(checkpoint.metadata()["progress"]))
            _check_same(path, before, progress)
            for key in checkpoint.keys():  # noqa: SIM118 - not a mapping
                group, _, name = key.partition(".")
                groups[group][name] = checkpoint.get_tensor(key)
    except (SafetensorError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no checkpoint of a run ({error}); remove it to start anew"
        ) from error
    learner.model.load_state_dict(groups["weights"])
    if learner.averaged is not None:
        learner.averaged.load_state_dict(groups["average"])
    state = learner.optimizer.state_dict()
    for key, value in groups["optimizer"].items():
        index, _, name = key.partition(".")
        state["state"].setdefault(int(index), {})[name] = value
    learner.optimizer.load_state_dict(state)
    return before.step


def _check_same(path: Path, before: Progress, now: Progress) -> None:
    # Through JSON and back, as the settings of the checkpoint went: tuples become lists.
    there = before.recipe
    here = json.loads(json.dumps(now.recipe))
    differing = [
        name
        for name in sorted(set(there) | set(here))
        if name not in _MAY_DIFFER and there.get(name) != here.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} was made with another recipe ("
            + ", ".join(f"{name} {there.get(name)!r}, now {here.get(name)!r}" for name in differing)
            + "); give that recipe or another folder"
        )
    for name in ("num_processes", "num_clips"):
        if getattr(before, name) != getattr(now, name):
            raise InputError(
                f"{path} was made with {name} {getattr(before, name)}, now it is "
                f"{getattr(now, name)}; go on with the same, or give another folder"
            )
    if before.clips != now.clips:
        raise InputError(
            f"{path} was made with {before.num_clips} other clips or other classes; go on with the "
            "same, or give another folder"
        )
