"""The video stages: layers across frames learn beside those of the image model."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.sprites import models
from kinema.sprites.training.exports import has_export, load_export, load_start
from kinema.sprites.training.frame_clock import FrameClock
from kinema.sprites.training.image_stages import DiffusionStage
from kinema.sprites.training.preview import sample_videos
from kinema.sprites.training.recipe import Recipe


class VideoStage(DiffusionStage, ABC):
    """What the two video stages share: new layers learn beside those of the image model.

    Temporal layers and cross-attention learn at the full rate, the text encoder not at all, and
    the image model's other layers at `Recipe.spatial_rate` of it.
    """

    text_for_each_frame: bool
    """Whether the video U-Net takes a text for each frame, or one for each video."""

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

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        video, text = self.videos(step)
        return self.denoising_loss(
            self.trained["unet"], video, step=step, encoder_hidden_states=text
        )

    def videos(self, step: int) -> tuple[Tensor, Tensor]:
        """Return latents (B, 6, T, 8, 8) and texts, one for each video or for each frame."""
        latents, captions = self.batch(step)
        with torch.no_grad():
            text = self.text_encoder(self.tokens(captions)).last_hidden_state
        video = latents.transpose(1, 2).contiguous()
        if self.text_for_each_frame:
            text = text.repeat_interleave(video.shape[2], dim=0)
        return video, text

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make; see `Stage`."""
        sample_videos(
            self,
            averaged["unet"],  # type: ignore[index]
            self.text_encoder,
            path,
            num_frames=models.NUM_FRAMES,
            repeat_text=self.text_for_each_frame,
        )

    @abstractmethod
    def new_unet(self) -> nn.Module:
        """Return the video U-Net as it is when the stage begins."""

    @abstractmethod
    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter of the video U-Net is of a layer across frames."""


class AnimateDiffStage(VideoStage):
    """Train motion modules in the image U-Net.

    A motion module does not read the text. For words of motion to reach it, the image U-Net's
    cross-attention is trained with it (keys, values and output); its pictures are held by the same
    loss, whose frames are pictures.
    """

    text_for_each_frame = True

    def new_unet(self) -> nn.Module:
        """Return the image U-Net with motion modules in it; see `VideoStage`."""
        from diffusers import UNetMotionModel

        if self.recipe.start:
            # Both of one kind: an adapter belongs to the image layers that it was trained with.
            image_unet = load_start(self.recipe, "unet")
            adapter = load_start(self.recipe, "motion_adapter")
            if self.recipe.new_clock:
                for block in (*adapter.down_blocks, adapter.mid_block):
                    models.give_clock(block)
        else:
            image_unet = load_export(self.runs, "text-to-image", "unet")
            adapter = models.new_motion_adapter()
        return UNetMotionModel.from_unet2d(image_unet, adapter)

    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter is of a motion module; see `VideoStage`."""
        return ".motion_modules." in name

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


class TextToVideoStage(VideoStage):
    """Train the inflated image U-Net on videos.

    Its image layers are those of the AnimateDiff stage where that is trained: they have learned
    there what words of motion mean for a picture.
    """

    text_for_each_frame = False

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        super().__init__(recipe, runs, device)
        self.clock = FrameClock(self.trained["unet"])

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step, of the clock in the first ones; see `Stage`."""
        if step >= self.recipe.num_clock_steps:
            return super().loss(step)
        video, text = self.videos(step)
        noisy, _, timesteps = self.noised(video, step)
        return self.clock.loss(noisy, timesteps, text)

    def new_unet(self) -> nn.Module:
        """Return the image U-Net, inflated; see `VideoStage`."""
        if not self.recipe.start:
            return models.inflate(self._image_unet())
        unet: nn.Module = load_start(self.recipe, "unet3d")
        if has_export(self.runs, "animatediff", "unet"):
            unet.load_state_dict(unet.state_dict() | self._image_unet().state_dict())
        return unet

    def _image_unet(self) -> Any:
        trained = has_export(self.runs, "animatediff", "unet")
        return load_export(self.runs, "animatediff" if trained else "text-to-image", "unet")

    def is_temporal(self, name: str) -> bool:
        """Return whether a parameter is of a layer across frames; see `VideoStage`."""
        return models.is_temporal(name)

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        averaged["unet"].half().save_pretrained(folder / "unet3d")  # type: ignore[index]
