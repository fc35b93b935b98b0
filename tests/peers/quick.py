"""Settings of every method that take seconds, and what a model is made of."""

import dataclasses
from typing import Any

import torch
from torch import nn

from kinema.motion_inversion import InversionSettings
from kinema.peers import (
    METHODS,
    DmtSettings,
    MotionDirectorSettings,
    MotionInversionV1Settings,
    PeerSettings,
    VmcSettings,
)
from kinema.peers.task import Task, task_of
from tests.motion_inversion.clip import PROMPT, moving_square

NUM_FRAMES = 4
_SAMPLING: dict[str, Any] = {"sampling_steps": 2, "guidance": 3.0}
_TRAINING: dict[str, Any] = {**_SAMPLING, "num_steps": 2, "inversion_steps": 2}

QUICK: dict[str, Any] = {
    "none": PeerSettings(**_SAMPLING),
    "kinema": InversionSettings(num_steps=2, batch_size=1, inversion_steps=0),
    "motion-inversion": dataclasses.replace(
        METHODS["motion-inversion"].defaults, num_steps=2, inversion_steps=2
    ),
    "motion-inversion-v1": MotionInversionV1Settings(**_TRAINING, gradient_checkpointing=False),
    "motiondirector": MotionDirectorSettings(**_TRAINING, rank=2),
    "vmc": VmcSettings(**_TRAINING),
    "dmt": DmtSettings(**_SAMPLING, inversion_steps=4, guided_steps=1, inner_steps=2),
}
PEERS = ("none", "motion-inversion-v1", "motiondirector", "vmc", "dmt")


def learned_by(method: str, pipe: Any, *, settings: Any = None, seed: int = 0) -> Any:
    return METHODS[method].learn(
        pipe,
        moving_square(NUM_FRAMES),
        prompt=PROMPT,
        seed=seed,
        settings=settings or QUICK[method],
        progress=False,
    )


def video_by(method: str, pipe: Any, learned: Any, **arguments: Any) -> torch.Tensor:
    return METHODS[method].generate(
        pipe, "a red circle", learned, **{"num_steps": 2, "guidance": 3.0, **arguments}
    )


def task_on(pipe: Any, settings: Any) -> Task:
    return task_of(
        pipe,
        moving_square(NUM_FRAMES),
        method="a test",
        prompt=PROMPT,
        seed=0,
        settings=settings,
        num_frames=None,
        size=None,
        frames_per_second=None,
    )


def makeup(model: nn.Module) -> dict[str, Any]:
    """Everything that learning and generating have to leave alone, values as copies."""
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "parameters": {
            name: (id(value), value.requires_grad) for name, value in model.named_parameters()
        },
        "modules": {name: (id(m), m.training) for name, m in model.named_modules()},
        "forwards": {name: "forward" in vars(m) for name, m in model.named_modules()},
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
        "processors": {name: id(value) for name, value in model.attn_processors.items()},
        # A motion that is put on and taken off writes down that the model is not compiled.
        "attributes": sorted(vars(model).keys() - {"_compiled_call_impl"}),
    }


def assert_same_makeup(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = before["state"], after["state"]
    assert list(old) == list(new)
    for name, value in old.items():
        assert torch.equal(value, new[name]), name
    for part in before:
        if part != "state":
            assert before[part] == after[part], part
