"""The noise that sampling starts from: random, or with something of the clip's own in it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.denoising import Denoiser
from kinema.motion_inversion.frozen import frozen
from kinema.motion_inversion.objective import NOISE_SCHEDULE
from kinema.motion_inversion.sites import plain_model

NOISES = ("none", "blend", "frequency")
"""How inverted latents enter the starting noise; `starting_noise` says what each one means."""


@torch.no_grad()
def ddim_inversion(
    denoiser: Denoiser,
    latents: Tensor,
    scheduler: Any,
    *,
    num_steps: int = 50,
    before_each: Callable[[], None] | None = None,
) -> Tensor:
    """Walk latents back to the noise that DDIM sampling would make them from.

    Args:
        denoiser: of the pipeline, told the empty prompt.
        latents: `(B, C, T, h, w)`, clean.
        scheduler: of the pipeline; it is not changed.
        num_steps: steps of diffusers' `DDIMInverseScheduler`.
        before_each: called before each step; what it raises ends the walk.

    Returns:
        `(B, C, T, h, w)`, float32, about normal.

    Raises:
        InputError: num_steps below 1, or more than the model has noise levels.
    """
    from diffusers import DDIMInverseScheduler

    if num_steps < 1:
        raise InputError(f"the number of inversion steps is {num_steps}; expected 1 or more")
    check_inversion_steps(num_steps, scheduler)
    settings = dict(scheduler.config)
    spacing = settings.get("timestep_spacing", "leading")
    inverse = DDIMInverseScheduler(
        **{key: settings[key] for key in NOISE_SCHEDULE if key in settings},
        # Latents may lie outside [-1, 1], and clipping them could not be undone.
        clip_sample=False,
        timestep_spacing=spacing if spacing in ("leading", "trailing") else "leading",
    )
    inverse.set_timesteps(num_steps)
    noisy = latents.float()
    with frozen(plain_model(denoiser.model)):
        for timestep in inverse.timesteps:
            if before_each is not None:
                before_each()
            now = timestep.to(latents.device).expand(len(latents))
            prediction = denoiser.predict(noisy, now).float()
            noisy = inverse.step(prediction, timestep, noisy).prev_sample
    return noisy


def check_inversion_steps(num_steps: int, scheduler: Any) -> None:
    """Refuse more steps of DDIM than a pipeline's scheduler has noise levels.

    Raises:
        InputError: as said.
    """
    levels = scheduler.config.num_train_timesteps
    if num_steps > levels:
        raise InputError(
            f"inversion_steps is {num_steps} and this model was trained at {levels} noise levels; "
            "ask for no more"
        )


def starting_noise(
    kind: str, noise: Tensor, inverted: Tensor | None, *, share: float = 0.5, cutoff: float = 0.25
) -> Tensor:
    """The latents that sampling begins with.

    Args:
        kind: "none" for the noise alone, "blend" for `blended`, "frequency" for
            `low_frequencies_of`.
        noise: `(C, T, h, w)`, normal.
        inverted: the same shape, of `ddim_inversion`.
        share: of "blend".
        cutoff: of "frequency".

    Raises:
        InputError: an unknown kind, or no inverted latents of this shape where they are wanted.
    """
    if kind not in NOISES:
        raise InputError(f"noise is {kind!r}; expected one of {', '.join(NOISES)}")
    if kind == "none":
        return noise
    if inverted is None:
        raise InputError(
            f"noise is {kind!r} and the motion was kept without inverted latents; use noise='none' "
            "or learn the motion with inversion_steps above 0"
        )
    if inverted.shape != noise.shape:
        raise InputError(
            f"noise is {kind!r} and the motion's inverted latents are {tuple(inverted.shape)}, "
            f"those of this video {tuple(noise.shape)}; make it as long and as large as the clip "
            "was, or use noise='none'"
        )
    inverted = inverted.to(noise)
    if kind == "blend":
        return blended(inverted, noise, share=share)
    return low_frequencies_of(inverted, noise, cutoff=cutoff)


def blended(inverted: Tensor, noise: Tensor, *, share: float = 0.5) -> Tensor:
    """`sqrt(share) * inverted + sqrt(1 - share) * noise`: normal if both are.

    Raises:
        InputError: a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of inverted noise is {share}; expected 0 to 1")
    return share**0.5 * inverted + (1 - share) ** 0.5 * noise


def low_frequencies_of(inverted: Tensor, noise: Tensor, *, cutoff: float = 0.25) -> Tensor:
    """The slow and coarse waves of one noise, the rest of another, normal if both are.

    Waves are those of the 3-D Fourier transform over frames, height and width. Every wave is
    taken whole from one of the two, so that no power is lost between them.

    Args:
        inverted: `(..., T, h, w)`.
        noise: the same shape.
        cutoff: the length of the highest frequency taken from `inverted`, where 1 is the
            highest that an axis can show.

    Raises:
        InputError: a negative cutoff.
    """
    if not cutoff >= 0:
        raise InputError(f"the cutoff is {cutoff}; expected 0 or more")
    squares = torch.zeros(())
    for axis, size in enumerate(noise.shape[-3:]):
        frequencies = (torch.fft.fftfreq(size) / 0.5).square()
        squares = squares + frequencies.reshape([-1 if a == axis else 1 for a in range(3)])
    low = (squares.sqrt() <= cutoff).to(noise.device)
    axes = (-3, -2, -1)
    waves = torch.where(
        low, torch.fft.fftn(inverted.float(), dim=axes), torch.fft.fftn(noise.float(), dim=axes)
    )
    return torch.fft.ifftn(waves, dim=axes).real.to(noise.dtype)
