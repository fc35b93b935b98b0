"""The stages: what each trains, on what loss, and what it leaves behind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.sprites import models
from kinema.sprites.render import render
from kinema.sprites.scenes import Nuisances, sample_captions, sample_scenes
from kinema.sprites.tokenizer import MAX_TOKENS, build_tokenizer
from kinema.sprites.training.exports import has_export, load_export, load_start
from kinema.sprites.training.latents import LatentPool, latent_pool
from kinema.sprites.training.motion_words import MotionWordsStage
from kinema.sprites.training.preview import sample_videos, save_grid
from kinema.sprites.training.recipe import STAGES, Recipe

_KL_WEIGHT = 1e-4
_BUSY = Nuisances(camera=0.3, distractors=3)


class AutoencoderStage:
    """Train the autoencoder on frames drawn as they are needed, a quarter of them with clutter."""

    rates: Mapping[str, float] = {}

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.trained = models.new_autoencoder().to(device)

    def _frames(self, num_frames: int, seed: int) -> Tensor:
        """Draw frames (N, 3, 64, 64) in [-1, 1], each of another scene at one of four moments."""
        num_busy = num_frames // 4
        busy = render(sample_scenes(num_busy, seed=seed + 1, nuisances=_BUSY), num_frames=4)
        calm = render(sample_scenes(num_frames - num_busy, seed=seed), num_frames=4)
        generator = torch.Generator().manual_seed(seed)
        moments = torch.randint(4, (num_frames,), generator=generator)
        video = torch.cat((calm.video, busy.video))
        return (video[torch.arange(num_frames), moments] * 2 - 1).to(self.device)

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        frames = self._frames(self.recipe.batch_size, 2 * (self.recipe.seed * 10_000_019 + step))
        posterior = self.trained.encode(frames).latent_dist
        rebuilt = self.trained.decode(posterior.sample()).sample
        # The absolute error alone would long be content with the background: its best guess is a
        # median, and a sprite covers little. The squared one sees the sprite from the start.
        error = F.mse_loss(rebuilt.float(), frames) + 0.1 * F.l1_loss(rebuilt.float(), frames)
        return error + _KL_WEIGHT * posterior.kl().mean() / models.LATENT_SIZE**2

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        frames = self._frames(32, seed=-1)
        rebuilt = averaged.decode(averaged.encode(frames).latent_dist.mean).sample  # type: ignore[operator]
        save_grid(torch.stack((frames, rebuilt)).flatten(0, 1).unflatten(0, (4, 16)), path)

    @torch.no_grad()
    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        frames = self._frames(512, seed=-2)
        spread = averaged.encode(frames).latent_dist.mean.std().item()  # type: ignore[operator]
        averaged.register_to_config(scaling_factor=1 / spread)  # type: ignore[operator]
        averaged.half().save_pretrained(folder / "vae")  # type: ignore[operator]


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
            self.autoencoder, runs / "latents", num_videos=recipe.num_videos, seed=recipe.seed
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

    def denoising_loss(self, unet: nn.Module, latents: Tensor, **conditions: Tensor) -> Tensor:
        """Return the v-prediction loss at one noise level for each sample (first axis)."""
        noise = torch.randn_like(latents)
        # One level in each of B equal parts of the schedule: less variance than B free draws.
        count = latents.shape[0]
        levels = (torch.randperm(count) + torch.rand(count)) / count
        shift = self.recipe.timestep_shift
        levels = shift * levels / (1 + (shift - 1) * levels)
        timesteps = (levels * self.scheduler.config.num_train_timesteps).long().to(self.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        target = self.scheduler.get_velocity(latents, noise, timesteps)
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
        return self.denoising_loss(self.trained["unet"], frames, encoder_hidden_states=text)

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        text_encoder, unet = averaged["text_encoder"], averaged["unet"]  # type: ignore[index]
        sample_videos(self, unet, text_encoder, path, num_frames=None)

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        averaged["unet"].half().save_pretrained(folder / "unet")  # type: ignore[index]
        averaged["text_encoder"].half().save_pretrained(folder / "text_encoder")  # type: ignore[index]


class VideoStage(DiffusionStage, ABC):
    """What the two video stages share: new layers learn beside those of the image model.

    Temporal layers and cross-attention learn at the full rate, the text encoder not at all, and
    the image model's other layers at `Recipe.spatial_rate` of it.
    """

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        super().__init__(recipe, runs, device)
        torch.manual_seed(recipe.seed)
        self.text_encoder = self.earlier("motion-words", "text_encoder").to(device)
        # As in evaluation, without the dropout of temporal convolutions: a model this small, which
        # sees each video a few times, has nothing to spare.
        self.trained = nn.ModuleDict({"unet": self.new_unet()}).to(device).eval()
        self.rates = {
            name: recipe.spatial_rate
            for name, _ in self.trained.named_parameters()
            if not (self.is_temporal(name.removeprefix("unet.")) or ".attn2." in name)
        }
        for name, parameter in self.trained.named_parameters():
            parameter.requires_grad_(self.rates.get(name, 1.0) > 0)

    @abstractmethod
    def new_unet(self) -> nn.Module:
        """Return the video U-Net as it is when the stage begins."""

    @abstractmethod
    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter of the video U-Net is of a layer across frames."""


class TextToVideoStage(VideoStage):
    """Train the inflated image U-Net on videos."""

    def new_unet(self) -> nn.Module:
        """Return the image U-Net, inflated; see `VideoStage`."""
        if self.recipe.start:
            return load_start(self.recipe, "unet3d")
        return models.inflate(load_export(self.runs, "text-to-image", "unet"))

    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter is of a layer across frames; see `VideoStage`."""
        return models.is_temporal(name)

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        latents, captions = self.batch(step)
        with torch.no_grad():
            text = self.text_encoder(self.tokens(captions)).last_hidden_state
        video = latents.transpose(1, 2).contiguous()
        return self.denoising_loss(self.trained["unet"], video, encoder_hidden_states=text)

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        unet = averaged["unet"]  # type: ignore[index]
        sample_videos(self, unet, self.text_encoder, path, num_frames=models.NUM_FRAMES)

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        averaged["unet"].half().save_pretrained(folder / "unet3d")  # type: ignore[index]


class AnimateDiffStage(VideoStage):
    """Train motion modules in the image U-Net.

    A motion module does not read the text. For words of motion to reach it, the image U-Net's
    cross-attention is trained with it (keys, values and output); its pictures are held by the same
    loss, whose frames are pictures.
    """

    def new_unet(self) -> nn.Module:
        """Return the image U-Net with motion modules in it; see `VideoStage`."""
        from diffusers import UNetMotionModel

        start = self.recipe.start
        adapter = (
            load_start(self.recipe, "motion_adapter") if start else models.new_motion_adapter()
        )
        return UNetMotionModel.from_unet2d(self.earlier("text-to-image", "unet"), adapter)

    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter is of a motion module; see `VideoStage`."""
        return ".motion_modules." in name

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        latents, captions = self.batch(step)
        with torch.no_grad():
            text = self.text_encoder(self.tokens(captions)).last_hidden_state
        video = latents.transpose(1, 2).contiguous()
        text = text.repeat_interleave(video.shape[2], dim=0)
        return self.denoising_loss(self.trained["unet"], video, encoder_hidden_states=text)

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        unet = averaged["unet"]  # type: ignore[index]
        sample_videos(
            self, unet, self.text_encoder, path, num_frames=models.NUM_FRAMES, repeat_text=True
        )

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        unet: Any = averaged["unet"]  # type: ignore[index]
        image_unet = models.new_image_unet()
        spatial = {k: v for k, v in unet.state_dict().items() if ".motion_modules." not in k}
        image_unet.load_state_dict(spatial)
        image_unet.half().save_pretrained(folder / "unet")
        adapter = models.new_motion_adapter()
        motion = {k: v for k, v in unet.state_dict().items() if ".motion_modules." in k}
        adapter.load_state_dict(motion)
        adapter.half().save_pretrained(folder / "motion_adapter")


def new_stage(recipe: Recipe, runs: str | Path, *, device: str | torch.device = "cpu") -> Any:
    """Return the stage of a recipe, on `device`; `runs` holds a folder for each earlier stage.

    Raises:
        InputError: a stage that this one starts from has not been trained there.
    """
    torch.manual_seed(recipe.seed)
    kinds = (
        AutoencoderStage,
        TextToImageStage,
        MotionWordsStage,
        TextToVideoStage,
        AnimateDiffStage,
    )
    return dict(zip(STAGES, kinds, strict=True))[recipe.stage](
        recipe, Path(runs), torch.device(device)
    )
