"""Pictures of what a stage makes, to look at while it trains."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kinema.sprites import models
from kinema.video import write_image

if TYPE_CHECKING:
    from kinema.sprites.training.image_stages import DiffusionStage

NUM_STEPS, GUIDANCE = 12, 4.0
SAMPLE_CAPTIONS = (
    "a large red circle on a black background, moving right",
    "a small blue star on a grey background, circling clockwise",
    "a large yellow triangle on a navy background, bouncing",
    "a small green cross on a gradient background, moving up and left",
    "a large white ring on a striped background, growing",
    "a small purple square on a textured background, spinning clockwise",
    "a red star on a striped background",
    "a white triangle on a textured background",
)


@torch.no_grad()
def sample_videos(
    stage: "DiffusionStage",
    unet: nn.Module,
    text_encoder: nn.Module,
    path: Path,
    *,
    num_frames: int | None,
    repeat_text: bool = False,
) -> None:
    """Sample the eight captions with guidance and save four frames of each, or one picture."""
    generator = torch.Generator().manual_seed(stage.recipe.seed)
    size = (models.LATENT_SIZE, models.LATENT_SIZE)
    count = len(SAMPLE_CAPTIONS)
    frames = () if num_frames is None else (num_frames,)
    latents = torch.randn(count, models.LATENT_CHANNELS, *frames, *size, generator=generator).to(
        stage.device
    )
    captions = [""] * count + list(SAMPLE_CAPTIONS)
    text = text_encoder(stage.tokens(captions)).last_hidden_state
    if repeat_text:
        text = text.repeat_interleave(num_frames or 1, dim=0)
    stage.scheduler.set_timesteps(NUM_STEPS)
    was_training = unet.training
    unet.eval()
    for timestep in stage.scheduler.timesteps:
        both = unet(torch.cat((latents, latents)), timestep, encoder_hidden_states=text).sample
        without, conditional = both.chunk(2)
        predicted = without + GUIDANCE * (conditional - without)
        latents = stage.scheduler.step(predicted, timestep, latents).prev_sample
    unet.train(was_training)
    if num_frames is None:
        shown = latents[:, None]
    else:
        shown = latents[:, :, :: num_frames // 4].transpose(1, 2)
    pictures = stage.autoencoder.decode(
        shown.flatten(0, 1) / stage.autoencoder.config.scaling_factor
    ).sample
    save_grid(pictures.unflatten(0, shown.shape[:2]), path)


def save_grid(pictures: Tensor, path: Path) -> None:
    """Save pictures (rows, columns, 3, H, W) in [-1, 1] as one image."""
    rows = torch.cat(list(torch.cat(list(pictures), dim=-2)), dim=-1)
    write_image(path, (rows.float().cpu().clamp(-1, 1) + 1) / 2)
