"""The autoencoder's stage, the image model's, and what every stage in latents shares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.sprites import models
from kinema.sprites.render import render
from kinema.sprites.scenes import CALM, Nuisances, sample_captions, sample_scenes
from kinema.sprites.tokenizer import MAX_TOKENS, build_tokenizer
from kinema.sprites.training.exports import has_export, load_export, load_start
from kinema.sprites.training.latents import LatentPool, emphasised, latent_pool
from kinema.sprites.training.preview import sample_videos, save_grid
from kinema.sprites.training.recipe import Recipe

_KL_WEIGHT = 1e-4
_SPRITE_WEIGHT = 0.05
_SPRITE_REACH = 1.25
"""Radius of the disc around a sprite in which its shape is looked at, in radii of the sprite."""

_BUSY = Nuisances(camera=0.3, distractors=3)


class AutoencoderStage:
    """Train the autoencoder on frames drawn as they are needed, a quarter of them with clutter."""

    rates: Mapping[str, float] = {}

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        autoencoder = load_start(recipe, "vae") if recipe.start else models.new_autoencoder()
        self.trained = autoencoder.train().requires_grad_(True).to(device)
        self._words = emphasised(recipe.emphasis)

    def _frames(self, num_frames: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw frames (N, 3, 64, 64) in [-1, 1], each of another scene at one of four moments, and
        the disc around each sprite, (N, 1, 64, 64), one inside."""
        num_busy = num_frames // 4
        calm, busy = (
            render(
                sample_scenes(number, seed=seed + add, nuisances=kind, **self._words), num_frames=4
            )
            for number, add, kind in ((num_frames - num_busy, 0, CALM), (num_busy, 1, _BUSY))
        )
        generator = torch.Generator().manual_seed(seed)
        moments = torch.randint(4, (num_frames,), generator=generator)

        def chosen(of_calm: Tensor, of_busy: Tensor) -> Tensor:
            return torch.cat((of_calm, of_busy))[torch.arange(num_frames), moments]

        frames = chosen(calm.video, busy.video) * 2 - 1
        centre = chosen(calm.trajectory, busy.trajectory)[..., None, None]
        reach = _SPRITE_REACH * chosen(calm.scale, busy.scale)[:, None, None]
        axis = (torch.arange(models.FRAME_SIZE) + 0.5) * (2 / models.FRAME_SIZE) - 1
        apart = torch.hypot(axis - centre[:, 0], axis[:, None] - centre[:, 1])
        disc = (apart < reach)[:, None].to(frames)
        return frames.to(self.device), disc.to(self.device)

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        frames, disc = self._frames(
            self.recipe.batch_size, 2 * (self.recipe.seed * 10_000_019 + step)
        )
        posterior = self.trained.encode(frames).latent_dist
        rebuilt = self.trained.decode(posterior.sample()).sample.float()
        # The absolute error alone would long be content with the background: its best guess is a
        # median, and a sprite covers little. The squared one sees the sprite from the start.
        error = F.mse_loss(rebuilt, frames) + 0.1 * F.l1_loss(rebuilt, frames)
        error = error + _SPRITE_WEIGHT * unexplained_share(rebuilt, frames, disc)
        return error + _KL_WEIGHT * posterior.kl().mean() / models.LATENT_SIZE**2

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        frames, _ = self._frames(32, seed=-1)
        rebuilt = averaged.decode(averaged.encode(frames).latent_dist.mean).sample  # type: ignore[operator]
        save_grid(torch.stack((frames, rebuilt)).flatten(0, 1).unflatten(0, (4, 16)), path)

    @torch.no_grad()
    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        frames, _ = self._frames(512, seed=-2)
        spread = averaged.encode(frames).latent_dist.mean.std().item()  # type: ignore[operator]
        averaged.register_to_config(scaling_factor=1 / spread)  # type: ignore[operator]
        averaged.half().save_pretrained(folder / "vae")  # type: ignore[operator]


def unexplained_share(rebuilt: Tensor, frames: Tensor, disc: Tensor) -> Tensor:
    """Return what share of the variance around a sprite `rebuilt` misses, the mean of N frames.

    To a squared error a small green star on grey is hardly there; to this one every sprite counts
    the same, be it small or of little contrast.

    Args:
        rebuilt: (N, C, H, W).
        frames: what it should be, (N, C, H, W).
        disc: one around the sprite, else zero, (N, 1, H, W).
    """
    num_pixels = disc.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    mean = (frames * disc).sum(dim=(2, 3), keepdim=True) / num_pixels
    variance = ((frames - mean).square() * disc).sum(dim=(1, 2, 3))
    missed = ((rebuilt - frames).square() * disc).sum(dim=(1, 2, 3))
    # A thousandth a pixel: a sprite that has left the frame must not divide by zero.
    return (missed / (variance + 1e-3 * num_pixels.flatten())).mean()


class DiffusionStage:
    """What the three latent stages share: captions, noise and the v-prediction loss."""

    trained: nn.ModuleDict
    rates: Mapping[str, float] = {}

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        self.recipe, self.runs, self.device = recipe, runs, device
        self.scheduler = models.new_scheduler()
        self.tokenizer = build_tokenizer()
        self.autoencoder = self.earlier("autoencoder", "vae").to(device)
        self.pool: LatentPool = latent_pool(
            self.autoencoder,
            runs / "latents",
            num_videos=recipe.num_videos,
            seed=recipe.seed,
            emphasis=recipe.emphasis,
            phase_spread=recipe.phase_spread,
            wander_share=recipe.wander_share,
            num_frames=recipe.num_frames,
        )

    def earlier(self, stage: str, part: str) -> Any:
        """Load what an earlier stage has left; if it has not, from the weights to start from."""
        if self.recipe.start and not has_export(self.runs, stage, part):
            return load_start(self.recipe, part)
        return load_export(self.runs, stage, part)

    def tokens(self, captions: list[str]) -> Tensor:
        """Return the token ids (B, 20) of captions."""
        encoded = self.tokenizer(
            captions, padding="max_length", max_length=MAX_TOKENS, truncation=True
        )
        return torch.tensor(encoded.input_ids, device=self.device)

    def batch(self, step: int) -> tuple[Tensor, list[str]]:
        """Return latents (B, T, 6, 8, 8) and a caption for each, some of them empty."""
        seed = self.recipe.seed * 10_000_019 + step
        latents, scenes = self.pool.shard(int(torch.randint(self.pool.num_shards, ())))
        rows = torch.randint(len(latents), (self.recipe.batch_size,))
        captions = sample_captions(scenes[rows], seed=seed, motion_share=self.recipe.motion_share)
        dropped = torch.rand(len(captions)) < self.recipe.caption_dropout
        captions = ["" if drop else text for text, drop in zip(captions, dropped, strict=True)]
        return latents[rows].float().to(self.device), captions

    def noised(self, latents: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy latents, the v-prediction's target and the noise level of each, (B,)."""
        noise = torch.randn_like(latents)
        # One level in each of B equal parts of the schedule: less variance than B free draws.
        count = latents.shape[0]
        levels = (torch.randperm(count) + torch.rand(count)) / count
        shift = self.recipe.timestep_shift_at(step)
        levels = shift * levels / (1 + (shift - 1) * levels)
        num_levels = self.scheduler.config.num_train_timesteps
        # Once in millions of draws a level is rounded up to 1, which is past the last one.
        timesteps = (levels * num_levels).long().clamp_(max=num_levels - 1).to(self.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        target = self.scheduler.get_velocity(latents, noise, timesteps)
        return noisy, target, timesteps

    def denoising_loss(
        self, unet: nn.Module, latents: Tensor, *, step: int, **conditions: Tensor
    ) -> Tensor:
        """Return the v-prediction loss at one noise level for each sample (first axis)."""
        noisy, target, timesteps = self.noised(latents, step)
        predicted = unet(noisy, timesteps, **conditions).sample
        return F.mse_loss(predicted.float(), target)


class TextToImageStage(DiffusionStage):
    """Train the image U-Net and the text encoder on single frames."""

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        super().__init__(recipe, runs, device)
        torch.manual_seed(recipe.seed)
        self.trained = nn.ModuleDict(
            {"unet": models.new_image_unet(), "text_encoder": models.new_text_encoder()}
        ).to(device)

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        latents, captions = self.batch(step)
        moments = torch.randint(latents.shape[1], (latents.shape[0],))
        frames = latents[torch.arange(latents.shape[0]), moments.to(self.device)]
        text = self.trained["text_encoder"](self.tokens(captions)).last_hidden_state
        return self.denoising_loss(
            self.trained["unet"], frames, step=step, encoder_hidden_states=text
        )

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        text_encoder, unet = averaged["text_encoder"], averaged["unet"]  # type: ignore[index]
        sample_videos(self, unet, text_encoder, path, num_frames=None)

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        averaged["unet"].half().save_pretrained(folder / "unet")  # type: ignore[index]
        averaged["text_encoder"].half().save_pretrained(folder / "text_encoder")  # type: ignore[index]
