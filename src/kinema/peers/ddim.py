"""DDIM in the open: single deterministic steps between any two noise levels (arXiv 2010.02502).

A level is the share of the clip's power in a noisy latent, "alphas_cumprod" in diffusers.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.objective import training_scheduler


def clean_and_noise(
    noisy: Tensor, prediction: Tensor, *, level: float, kind: str
) -> tuple[Tensor, Tensor]:
    """What a prediction says is the clip, and what the noise, in `noisy`.

    Args:
        noisy: `sqrt(level) clip + sqrt(1 - level) noise`.
        prediction: the same shape.
        level: from 0 for noise to 1 for clean.
        kind: "epsilon", "v_prediction" or "sample": what it is a prediction of.

    Raises:
        InputError: another kind.
    """
    alpha, sigma = level**0.5, (1 - level) ** 0.5
    if kind == "epsilon":
        return (noisy - sigma * prediction) / alpha, prediction
    if kind == "v_prediction":
        return alpha * noisy - sigma * prediction, alpha * prediction + sigma * noisy
    if kind == "sample":
        return prediction, (noisy - alpha * prediction) / sigma
    raise InputError(f"the scheduler predicts {kind!r}; expected epsilon, v_prediction or sample")


@dataclass(frozen=True, eq=False)
class Ddim:
    """A pipeline's noise levels, and the steps of a sampling along them.

    Attributes:
        levels: `(num_train_timesteps,)` float64, falling.
        kind: of the model's predictions.
        timesteps: of a sampling, falling.
        last_level: which its last step arrives at.
    """

    levels: Tensor
    kind: str
    timesteps: list[int]
    last_level: float

    @classmethod
    def of(cls, scheduler: Any, num_steps: int) -> "Ddim":
        """DDIM along the noise schedule of any such scheduler; it is not changed.

        Raises:
            InputError: a sampler of another kind of model, or more steps than it has levels.
        """
        from diffusers import DDIMScheduler

        levels = training_scheduler(scheduler).alphas_cumprod
        if num_steps > len(levels):
            raise InputError(
                f"sampling_steps is {num_steps} and this model was trained at {len(levels)} noise "
                "levels; ask for no more"
            )
        sampler = DDIMScheduler.from_config(scheduler.config)
        sampler.set_timesteps(num_steps)
        return cls(
            levels.double(),
            sampler.config.prediction_type,
            sampler.timesteps.tolist(),
            float(sampler.final_alpha_cumprod),
        )

    def level(self, timestep: int | None) -> float:
        """The level at a timestep; None stands for the end of the sampling."""
        return self.last_level if timestep is None else float(self.levels[timestep])

    def step(self, latents: Tensor, prediction: Tensor, *, start: float, end: float) -> Tensor:
        """Move latents from one level to another, up or down (equation 12 without new noise)."""
        clean, noise = clean_and_noise(latents, prediction, level=start, kind=self.kind)
        return end**0.5 * clean + (1 - end) ** 0.5 * noise

    def inversion_timesteps(self, num_steps: int) -> list[int]:
        """Rising timesteps, spread over all there are, with all of the sampling's among them."""
        spread = torch.linspace(0, len(self.levels) - 1, num_steps).round().int().tolist()
        return sorted({*spread, *self.timesteps})


def renoised(latents: Tensor, noise: Tensor, *, start: float, end: float) -> Tensor:
    """Latents of a high level brought to a lower one by new noise, as the forward process does."""
    kept = end / start
    return kept**0.5 * latents + (1 - kept) ** 0.5 * noise
