"""Optimiser groups for a model with motion prompts."""

from typing import Any

from torch import nn

from kinema.errors import InputError
from kinema.motion_prompt.attach import MotionPromptClassifier
from kinema.motion_prompt.front_ends import FrontEnd
from kinema.motion_prompt.layer import MotionPrompt


def parameter_groups(
    model: nn.Module, *, lr: float, prompt_lr: float | None = None, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Split a model's parameters for an optimiser: the motion prompts apart from the backbone.

    The prompts' scalars m and n get no weight decay, which would pull the slope to its steepest
    and the shift to 0, and their own learning rate: two numbers need larger steps than a
    backbone. Norms and biases stay with the backbone, as in the authors' training.

    Args:
        model: any module; prompts are found wherever they sit in it, and so are the front ends
            that `with_motion_prompt` took in a prompt's place.
        lr: learning rate of the backbone.
        prompt_lr: learning rate of the prompts; by default `lr`.
        weight_decay: of the backbone.

    Returns:
        Groups "backbone" and "motion_prompt", the latter where there is something in it, with
        every parameter of the model (frozen ones too) in exactly one.

    Raises:
        InputError: a negative learning rate or weight decay.
    """
    prompt_lr = lr if prompt_lr is None else prompt_lr
    for name, value in (("lr", lr), ("prompt_lr", prompt_lr), ("weight_decay", weight_decay)):
        if not value >= 0:
            raise InputError(f"{name} is {value}; expected a number from 0 up")
    prompts: list[MotionPrompt | FrontEnd] = []
    for module in model.modules():
        if isinstance(module, MotionPrompt):
            prompts.append(module)
        elif isinstance(module, MotionPromptClassifier):
            # Whatever front end stands in the prompt's place, it is no part of the backbone.
            prompts.append(module.prompt)
    of_prompts = {parameter for prompt in prompts for parameter in prompt.parameters()}
    parameters = list(model.parameters())
    backbone = [parameter for parameter in parameters if parameter not in of_prompts]
    motion = [parameter for parameter in parameters if parameter in of_prompts]
    groups: list[dict[str, Any]] = [
        {"name": "backbone", "params": backbone, "lr": lr, "weight_decay": weight_decay},
        {"name": "motion_prompt", "params": motion, "lr": prompt_lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
