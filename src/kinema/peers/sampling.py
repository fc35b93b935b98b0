"""A generation: what it is asked for, the noise it starts from, and the pipeline's own sampler."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinema.motion_inversion import Origin, starting_noise
from kinema.motion_inversion.sites import configuration, denoiser
from kinema.peers.learned import Learned


@dataclass(frozen=True, eq=False)
class Sampling:
    """What is asked of a generation; its length and size are those of the clip learned from.

    Attributes:
        pipe: the pipeline.
        prompt: what to show.
        origin: of what was learned.
        seed: of the starting noise, which is drawn on the CPU whatever the device.
        num_steps: of the sampling.
        guidance: strength of classifier-free guidance.
        negative_prompt: what not to show.
        progress: show a bar.
    """

    pipe: Any
    prompt: str
    origin: Origin
    seed: int
    num_steps: int
    guidance: float
    negative_prompt: str | None
    progress: bool

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """`(C, T, h, w)`, normal: that of the seed, as `kinema.generate` draws it."""
        generator = generator or torch.Generator().manual_seed(self.seed)
        channels = configuration(denoiser(self.pipe)).in_channels
        shape = (channels, self.origin.num_frames, *self.origin.latent_size)
        return torch.randn(shape, generator=generator)

    def start(self, learned: Learned, share: float) -> Tensor:
        """`(C, T, h, w)`: the seed's noise, with a share of the clip's own where it was kept."""
        inverted = learned.kept.get("inverted_latents")
        kind = "none" if inverted is None else "blend"
        return starting_noise(kind, self.noise(), inverted, share=share)

    def video(self, latents: Tensor) -> Tensor:
        """Run the pipeline from `(C, T, h, w)`, giving `(T, 3, H, W)` float32 in [0, 1]."""
        height, width = (side * self.pipe.vae_scale_factor for side in self.origin.latent_size)
        unet: Any = denoiser(self.pipe)
        shown = getattr(self.pipe, "_progress_bar_config", {})
        with ExitStack() as stack:
            self.pipe.set_progress_bar_config(**{**shown, "disable": not self.progress})
            stack.callback(self.pipe.set_progress_bar_config, **shown)
            video: Tensor = self.pipe(
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                num_frames=self.origin.num_frames,
                height=height,
                width=width,
                num_inference_steps=self.num_steps,
                guidance_scale=self.guidance,
                latents=latents[None].to(unet.dtype),
                # What some samplers draw besides.
                generator=torch.Generator().manual_seed(self.seed),
                output_type="pt",
            ).frames[0]
        return video.detach().float().clamp(0, 1).cpu()
