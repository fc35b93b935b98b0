"""What is minimised: how far the denoiser is from undoing noise put on the clip's latents."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

OBJECTIVES = ("plain", "debiased", "residual")
"""The losses; `denoising_loss` says what each one is."""
NOISE_SCHEDULE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)
"""What every scheduler of such models says alike about its noise levels."""


def training_scheduler(scheduler: Any) -> "DDPMScheduler":
    """The noise schedule of a pipeline's scheduler, for training.

    Raises:
        InputError: a sampler of another kind of model, such as flow matching.
    """
    from diffusers import DDPMScheduler

    settings = dict(scheduler.config)
    if "beta_schedule" not in settings or settings.get("timestep_type") == "continuous":
        raise InputError(
            f"a {type(scheduler).__name__} as set up here has no table of "
            "noise levels to train at; motions are learned on models with such a table (DDPM)"
        )
    known = {key: value for key, value in settings.items() if key in NOISE_SCHEDULE}
    return DDPMScheduler(**known)


def training_target(
    scheduler: "DDPMScheduler", latents: Tensor, noise: Tensor, timesteps: Tensor
) -> Tensor:
    """What the denoiser should say, in the scheduler's own prediction type.

    Args:
        scheduler: of `training_scheduler`.
        latents: `(B, C, T, h, w)`, clean.
        noise: the same shape.
        timesteps: `(B,)`.

    Raises:
        InputError: a prediction type other than epsilon, v_prediction and sample.
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return latents
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    raise InputError(f"the scheduler predicts {kind!r}; expected epsilon, v_prediction or sample")


def denoising_loss(
    prediction: Tensor,
    target: Tensor,
    *,
    objective: str = "plain",
    weight: Tensor | None = None,
    anchor: int = 0,
    beta: float = 1.0,
) -> Tensor:
    """The loss of one batch.

    Args:
        prediction: `(B, C, T, h, w)`.
        target: the same shape.
        objective: "plain" is the mean squared error (equation 4 of arXiv 2403.20193). "debiased"
            adds the error after the same has been subtracted from every frame: with
            `phi(x_f) = sqrt(beta^2 + 1) x_f - beta x_anchor`, the mean squared error of phi
            (MotionDirector, arXiv 2310.08465). "residual" is the mean squared error of the
            differences between neighbouring frames alone, to which what stands still is nothing.
        weight: `(T, h, w)` or `(B, T, h, w)`, not negative: how much each place counts. Its scale
            does not matter.
        anchor: index of the anchor frame.
        beta: how much of it is subtracted.

    Returns:
        A scalar, float32 or wider.

    Raises:
        InputError: an unknown objective, or a weight of another shape.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}")
    error = prediction - target
    error = error if error.dtype == torch.float64 else error.float()
    if weight is not None:
        weight = weight.to(error)
        if weight.shape[-3:] != error.shape[2:] or weight.ndim not in (3, 4):
            raise InputError(
                f"weight has shape {tuple(weight.shape)}; expected {tuple(error.shape[2:])}, one "
                "number for each frame and place of the latents (see latent_weight)"
            )
    if objective == "residual":
        pairs = None if weight is None else (weight[..., 1:, :, :] + weight[..., :-1, :, :]) / 2
        return _mean_square(error[:, :, 1:] - error[:, :, :-1], pairs)
    loss = _mean_square(error, weight)
    if objective == "debiased":
        # phi is linear, so the error of phi is phi of the error.
        fixed = (beta**2 + 1) ** 0.5 * error - beta * error[:, :, anchor : anchor + 1]
        loss = loss + _mean_square(fixed, weight)
    return loss


def latent_weight(
    attention: Tensor, *, num_frames: int, latent_size: tuple[int, int], floor: float = 0.1
) -> Tensor:
    """Bring an attention map over pixels to a weight over latents: where it moves, it counts.

    Args:
        attention: `(T, H, W)` or `(T-1, H, W)`, in [0, 1] or bools; the latter, of a motion
            prompt, lacks the first frame, which gets the weight of the second.
        num_frames: T.
        latent_size: height and width of the latents.
        floor: what the rest counts where the attention is 0, in [0, 1].

    Returns:
        `(T, h, w)` in [floor, 1].

    Raises:
        InputError: another number of frames or shape, or values outside [0, 1].
    """
    if attention.ndim != 3 or len(attention) not in (num_frames, num_frames - 1):
        raise InputError(
            f"the attention map has shape {tuple(attention.shape)}; expected (T, H, W) with "
            f"{num_frames} or {num_frames - 1} frames, those of the clip"
        )
    if not attention.is_floating_point():
        attention = attention.float()
    if not (attention.min() >= 0 and attention.max() <= 1):
        raise InputError(
            f"the attention map holds values from {attention.min():.3g} to {attention.max():.3g}; "
            "expected them in [0, 1]"
        )
    if len(attention) < num_frames:
        attention = torch.cat([attention[:1], attention])
    pooled = F.adaptive_avg_pool2d(attention[:, None], latent_size)[:, 0]
    return floor + (1 - floor) * pooled


def _mean_square(error: Tensor, weight: Tensor | None) -> Tensor:
    square = error.square().mean(dim=1)  # over latent channels: (B, T, h, w)
    if weight is None:
        return square.mean()
    return (square * weight).mean() / weight.mean()
