"""Diffusion Motion Transfer: nothing is trained; a sampling is steered by the clip's features.

Learning is inverting the clip and keeping its latents at the noise levels where sampling will be
steered. There, Adam moves the latents until their space-time features differ from frame to frame
as the clip's do (arXiv 2311.17009).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.motion_inversion.denoising import Denoiser, denoiser_of
from kinema.motion_inversion.frozen import frozen
from kinema.peers.ddim import Ddim, renoised
from kinema.peers.learned import Learned
from kinema.peers.sampling import Sampling
from kinema.peers.settings import PeerSettings
from kinema.peers.space_time import feature_modules, space_time_features, steered
from kinema.peers.task import Task, fitting_unet

NAME = "dmt"


@dataclass(frozen=True)
class DmtSettings(PeerSettings):
    """The authors' settings.

    Their configuration has words besides, which are the caller's here: a negative prompt against
    bad quality, and words for good quality before the prompts.

    Attributes:
        inversion_steps: of DDIM, with the clip's prompt.
        guided_steps: how many of the first sampling steps are steered.
        inner_steps: of Adam in each of them.
        learning_rates: of Adam in the first and in the last steered step, linear between.
        downsampling: by how much latents are made smaller to leave their low frequencies.
        restart: put new noise on after each step, and take it again.
        grid: parts of a side of the frame, over which features are averaged; published is 1, the
            whole frame. A mean over the frame says where a thing is only as far as the model's
            features differ from place to place, and those of the embedded models do too little
            (`benchmarks/frame_features.py`).
    """

    sampling_steps: int = 50
    guidance: float = 10.0
    inversion_steps: int = 999
    guided_steps: int = 20
    inner_steps: int = 10
    learning_rates: tuple[float, float] = (0.007, 0.004)
    downsampling: int = 4
    restart: bool = True
    grid: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("inversion_steps", "inner_steps", "downsampling", "grid")
        self._expect("1 or more", lambda value: value >= 1, *names)
        self._expect(
            f"from 0 to the {self.sampling_steps} sampling_steps",
            lambda value: 0 <= value <= self.sampling_steps,
            "guided_steps",
        )
        self._expect(
            "two rates, above 0",
            lambda rates: isinstance(rates, tuple | list) and len(rates) == 2 and min(rates) > 0,
            "learning_rates",
        )
        object.__setattr__(self, "learning_rates", tuple(self.learning_rates))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = super().to_json()
        if self.grid == 1:  # settings of before say nothing of it
            del values["grid"]
        return values

    def over(self, num_steps: int) -> "DmtSettings":
        """The same for another number of sampling steps: the same share of them steered, and each
        by as much more or less as makes all of them reach as far."""
        if not self.guided_steps:
            return replace(self, sampling_steps=num_steps)
        guided_steps = max(round(self.guided_steps * num_steps / self.sampling_steps), 1)
        reach = self.guided_steps / guided_steps
        first, last = self.learning_rates
        return replace(
            self,
            sampling_steps=num_steps,
            guided_steps=guided_steps,
            learning_rates=(reach * first, reach * last),
        )


@torch.no_grad()
def learn(task: Task, settings: DmtSettings, *, progress: bool) -> Learned:
    """Invert the clip; keep where to start from, and its latents at every steered level."""
    from tqdm import tqdm

    feature_modules(task.unet)  # a model without them is refused before the work
    ddim = Ddim.of(task.pipe.scheduler, settings.sampling_steps)
    needed = set(ddim.timesteps[: settings.guided_steps])
    kept: dict[str, Tensor] = {}
    timesteps = ddim.inversion_timesteps(settings.inversion_steps)
    with frozen(task.unet), tqdm(timesteps, desc=NAME, disable=not progress, leave=False) as bar:
        for timestep, latents in inverted(task.denoiser, task.latents, ddim, bar):
            if timestep in needed:
                kept[_name(timestep)] = latents[0].cpu()
    # From the noisiest level of all to the first of the sampling: the same noise, less of it.
    level = ddim.level(timestep)
    alpha, sigma = level**0.5, (1 - level) ** 0.5
    noise = (latents - alpha * task.latents) / sigma
    first = ddim.level(ddim.timesteps[0])
    kept["start"] = (first**0.5 * task.latents + (1 - first) ** 0.5 * noise)[0].cpu()
    return Learned(NAME, task.origin, {}, kept)


def inverted(
    denoiser: Denoiser, latents: Tensor, ddim: Ddim, timesteps: Iterable[int]
) -> Iterator[tuple[int, Tensor]]:
    """DDIM inversion: the noisy latents that lead to a clip, at each of some rising timesteps.

    Args:
        denoiser: told what the clip shows.
        latents: `(1, C, T, h, w)` of the clip.
        ddim: the noise levels.
        timesteps: of `Ddim.inversion_timesteps`.
    """
    # The clean clip counts as the least noisy latents, as the level at which noise is nothing
    # has no step up in some parametrisations.
    level = ddim.level(0)
    for timestep in timesteps:
        prediction = _predict(denoiser, latents, timestep)
        latents = ddim.step(latents, prediction, start=level, end=ddim.level(timestep))
        level = ddim.level(timestep)
        yield timestep, latents


def generate(learned: Learned, settings: DmtSettings, sampling: Sampling) -> Tensor:
    """Sample by DDIM, steered in the first steps.

    Raises:
        InputError: it does not fit the pipeline, or another number of steps is asked for than the
            clip's latents were kept for.
    """
    from tqdm import tqdm

    unet = fitting_unet(learned, sampling.pipe)
    if sampling.num_steps != settings.sampling_steps:
        raise InputError(
            f"num_steps is {sampling.num_steps} and the clip's latents were kept for "
            f"{settings.sampling_steps}; ask for these, or learn with another sampling_steps"
        )
    pipe = sampling.pipe
    ddim = Ddim.of(pipe.scheduler, settings.sampling_steps)
    source = denoiser_of(pipe, learned.origin.prompt)
    assert isinstance(sampling.prompt, str), "one video at a time"
    prompted = denoiser_of(pipe, sampling.prompt)
    unprompted = denoiser_of(pipe, sampling.negative_prompt or "")
    generator = torch.Generator().manual_seed(sampling.seeds[0])
    device = prompted.text.device
    random = sampling.noise(generator).to(device)
    latents = with_high_frequencies(
        _kept(learned, "start").to(device), random, downsampling=settings.downsampling
    )
    rates = np.linspace(*settings.learning_rates, max(settings.guided_steps, 1)).tolist()

    def denoised(latents: Tensor, timestep: int, following: int | None) -> Tensor:
        without = _predict(unprompted, latents, timestep)
        prediction = without + sampling.guidance * (_predict(prompted, latents, timestep) - without)
        start, end = ddim.level(timestep), ddim.level(following)
        return ddim.step(latents, prediction, start=start, end=end)

    with frozen(unet), torch.no_grad():
        steps = zip(ddim.timesteps, [*ddim.timesteps[1:], None], strict=True)
        bar = tqdm(steps, total=len(ddim.timesteps), disable=not sampling.progress, leave=False)
        for number, (timestep, following) in enumerate(bar):
            if number < settings.guided_steps:
                latents = steered(
                    latents,
                    prompted,
                    space_time_features(
                        source,
                        _kept(learned, _name(timestep)).to(device),
                        timestep,
                        grid=settings.grid,
                    ),
                    timestep=timestep,
                    num_steps=settings.inner_steps,
                    learning_rate=rates[number],
                    grid=settings.grid,
                )
            latents = denoised(latents, timestep, following)
            if settings.restart and following is not None:
                noise = torch.randn(latents.shape, generator=generator).to(device)
                start, end = ddim.level(following), ddim.level(timestep)
                latents = renoised(latents, noise, start=start, end=end)
                latents = denoised(latents, timestep, following)
        video: Tensor = pipe.decode_latents(latents.to(pipe.vae.dtype))[0]
    return (video.float().transpose(0, 1) / 2 + 0.5).clamp(0, 1).cpu()


def with_high_frequencies(latents: Tensor, noise: Tensor, *, downsampling: int) -> Tensor:
    """Low frequencies of latents `(1, C, T, h, w)`, high ones of noise.

    What is low is what is left when frames are made smaller and larger again, bilinearly.
    """

    def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(frames, size, mode="bilinear", align_corners=True, antialias=True)

    def low(video: Tensor) -> Tensor:
        frames = video[0].transpose(0, 1)
        height, width = frames.shape[-2:]
        smaller = resized(frames, (max(height // downsampling, 1), max(width // downsampling, 1)))
        return resized(smaller, (height, width)).transpose(0, 1)[None]

    return low(latents) + noise - low(noise)


def _predict(denoiser: Denoiser, latents: Tensor, timestep: int) -> Tensor:
    return denoiser.predict(latents, torch.tensor([timestep], device=latents.device)).float()


def _name(timestep: int) -> str:
    return f"latents/{timestep}"


def _kept(learned: Learned, name: str) -> Tensor:
    """`(1, C, T, h, w)`."""
    if name not in learned.kept:
        raise InputError(
            f"what was learned lacks {name}, which the pipeline's scheduler now asks for; learn "
            "with the scheduler that samples"
        )
    return learned.kept[name][None]
