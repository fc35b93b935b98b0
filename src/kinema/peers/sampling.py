"""A generation: what it is asked for, the noise it starts from, and the pipeline's own sampler."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from kinema.motion_inversion import Origin, starting_noise
from kinema.motion_inversion.generate import Prompts, Seeds, is_list
from kinema.motion_inversion.sites import configuration, denoiser
from kinema.peers.learned import Learned


@dataclass(frozen=True, eq=False)
class Sampling:
    """What is asked of a generation; its length and size are those of the clip learned from.

    Attributes:
        pipe: the pipeline.
        prompt: what to show; a list of prompts for a batch of videos.
        origin: of what was learned.
        seed: of the starting noise, which is drawn on the CPU whatever the device; a list as long.
        num_steps: of the sampling.
        guidance: strength of classifier-free guidance.
        negative_prompt: what not to show.
        progress: show a bar.
    """

    pipe: Any
    prompt: Prompts
    origin: Origin
    seed: Seeds
    num_steps: int
    guidance: float
    negative_prompt: str | None
    progress: bool

    @property
    def seeds(self) -> list[int]:
        """Of each video."""
        return [*self.seed] if is_list(self.seed) else [cast(int, self.seed)]

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """`(B, C, T, h, w)`, normal: that of each seed, as `kinema.generate` draws it."""
        from diffusers.utils.torch_utils import randn_tensor

        generators = [generator] if generator else [_generator(seed) for seed in self.seeds]
        channels = configuration(denoiser(self.pipe)).in_channels
        shape = (len(generators), channels, self.origin.num_frames, *self.origin.latent_size)
        noise: Tensor = randn_tensor(shape, generator=generators)
        return noise

    def start(self, learned: Learned, share: float) -> Tensor:
        """`(B, C, T, h, w)`: the seeds' noise, with a share of the clip's own where it was kept."""
        inverted = learned.kept.get("inverted_latents")
        kind = "none" if inverted is None else "blend"
        mixed = [starting_noise(kind, each, inverted, share=share) for each in self.noise()]
        return torch.stack(mixed)

    def video(self, latents: Tensor) -> Tensor:
        """Run the pipeline from `(B, C, T, h, w)`.

        Returns:
            `(T, 3, H, W)` float32 in [0, 1], or `(B, T, 3, H, W)` where prompt and seed are lists.
        """
        is_one = not is_list(self.prompt)
        generators = [_generator(seed) for seed in self.seeds]
        negative = self.negative_prompt
        height, width = (side * self.pipe.vae_scale_factor for side in self.origin.latent_size)
        unet: Any = denoiser(self.pipe)
        shown = getattr(self.pipe, "_progress_bar_config", {})
        with ExitStack() as stack:
            self.pipe.set_progress_bar_config(**{**shown, "disable": not self.progress})
            stack.callback(self.pipe.set_progress_bar_config, **shown)
            videos: Tensor = self.pipe(
                prompt=self.prompt if is_one else [*self.prompt],
                negative_prompt=negative if is_one or not negative else [negative] * len(latents),
                num_frames=self.origin.num_frames,
                height=height,
                width=width,
                num_inference_steps=self.num_steps,
                guidance_scale=self.guidance,
                latents=latents.to(unet.dtype),
                # What some samplers draw besides.
                generator=generators[0] if is_one else generators,
                output_type="pt",
            ).frames
        found = videos.detach().float().clamp(0, 1).cpu()
        return found[0] if is_one else found


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
