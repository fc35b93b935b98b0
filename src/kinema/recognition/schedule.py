"""The learning rate over a run, as a share of its highest."""

import math

from kinema.recognition.recipe import Recipe


def relative_rate(recipe: Recipe, epoch: float) -> float:
    """Return the learning rate as a share of its highest.

    It rises over `num_warmup_epochs`, a straight line from 0. Then "cosine" is half a wave from 1
    down to 0 at the end of the run, and "steps" is 1 until the first of `step_epochs` and the
    entry of `step_rates` from each of them on.

    Args:
        recipe: of the run.
        epoch: passed since the start, fractions too; 0 is the first step.
    """
    if epoch < recipe.num_warmup_epochs:
        return epoch / recipe.num_warmup_epochs
    if recipe.schedule == "steps":
        rate = 1.0
        for step_epoch, step_rate in zip(recipe.step_epochs, recipe.step_rates, strict=True):
            if epoch >= step_epoch:
                rate = step_rate
        return rate
    length = recipe.num_epochs - recipe.num_warmup_epochs
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - recipe.num_warmup_epochs) / length)))
