"""What a step changes: the model, the moving average of its weights, the optimiser."""

from dataclasses import dataclass

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kinema.motion_prompt import MotionPromptClassifier, parameter_groups
from kinema.recognition.recipe import Recipe


@dataclass(frozen=True)
class Learner:
    """A model, its average where the recipe asks for one, and its optimiser.

    Each group of the optimiser keeps its highest learning rate as "highest_lr".
    """

    model: MotionPromptClassifier
    averaged: AveragedModel | None
    optimizer: torch.optim.Optimizer

    @property
    def kept(self) -> MotionPromptClassifier:
        """The model that a run is to give: of the average where there is one."""
        if self.averaged is None:
            return self.model
        averaged: MotionPromptClassifier = self.averaged.module  # type: ignore[assignment]
        return averaged


def new_learner(model: MotionPromptClassifier, recipe: Recipe) -> Learner:
    """Make optimiser and average for what of a model learns, on the model's device."""
    averaged = None
    if recipe.ema_decay is not None:
        rule = get_ema_multi_avg_fn(recipe.ema_decay)
        averaged = AveragedModel(model, multi_avg_fn=rule, use_buffers=False)
    return Learner(model, averaged, _optimiser(model, recipe))


def _optimiser(model: MotionPromptClassifier, recipe: Recipe) -> torch.optim.Optimizer:
    groups = parameter_groups(
        model,
        lr=recipe.learning_rate,
        prompt_lr=recipe.prompt_learning_rate,
        weight_decay=recipe.weight_decay,
    )
    learning = []
    for group in groups:
        parameters = [each for each in group["params"] if each.requires_grad]
        if parameters:
            learning.append(group | {"params": parameters, "highest_lr": group["lr"]})
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(learning, momentum=recipe.momentum)
    return torch.optim.AdamW(learning)
