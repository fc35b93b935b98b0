"""A pool of encoded sprites videos, made once and kept on disk for the stages after it."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from kinema.files import output_folder, save_tensors
from kinema.sprites.models import FRAME_SIZE, NUM_FRAMES
from kinema.sprites.render import render
from kinema.sprites.scenes import Scenes, sample_scenes
from kinema.sprites.words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

VIDEOS_PER_SHARD = 512
_FRAMES_AT_ONCE = 128


@dataclass(frozen=True)
class LatentPool:
    """Encoded videos in shards: latents (N, T, 6, 8, 8) float16 of unit variance, and scenes.

    All videos of a shard are of one length.
    """

    latents: list[Tensor]
    scenes: list[Scenes]

    def shard(self, index: int) -> tuple[Tensor, Scenes]:
        """Return the latents and the scenes of one shard."""
        return self.latents[index], self.scenes[index]

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return len(self.scenes)


@torch.no_grad()
def encode_video(autoencoder: "AutoencoderKL", video: Tensor) -> Tensor:
    """Encode (B, T, 3, H, W) in [0, 1] to the scaled mean latents (B, T, C, H / 8, W / 8)."""
    flat = video.flatten(0, 1) * 2 - 1
    parts = [
        autoencoder.encode(part.to(autoencoder.device)).latent_dist.mean
        for part in flat.split(_FRAMES_AT_ONCE)
    ]
    latents = torch.cat(parts).float() * autoencoder.config.scaling_factor
    return latents.unflatten(0, video.shape[:2])


def emphasised(emphasis: Sequence[str]) -> dict[str, Any]:
    """Return all words of each kind, as arguments of `sample_scenes`, and again those given."""
    kinds = {
        "colours": tuple(COLOURS),
        "shapes": SHAPES,
        "backgrounds": BACKGROUNDS,
        "motions": tuple(MOTIONS),
    }
    return {
        kind: (*known, *(word for word in emphasis if word in known))
        for kind, known in kinds.items()
    }


def latent_pool(
    autoencoder: "AutoencoderKL",
    folder: str | Path,
    *,
    num_videos: int,
    seed: int,
    emphasis: Sequence[str] = (),
    phase_spread: float = 1.0,
    wander_share: float = 0.0,
    num_frames: Sequence[int] = (NUM_FRAMES,),
) -> LatentPool:
    """Return the pool in `folder`, making the shards that are missing.

    The words of `emphasis` (colours, shapes, backgrounds, motions) come twice as often as others of
    their kind, three times where given twice, and so on; shards have the lengths of `num_frames` by
    turns; for the others see `sample_scenes`.
    Pools of other scenes have folders of their own. Shards note the autoencoder's scaling factor,
    so those of another autoencoder are not taken for this one's.
    """
    words = emphasised(emphasis)
    name = f"seed-{seed}"
    lengths = [] if tuple(num_frames) == (NUM_FRAMES,) else list(num_frames)
    if emphasis or phase_spread != 1 or wander_share or lengths:
        drawing = json.dumps([*words.values(), phase_spread, wander_share, *lengths])
        name += f"-{hashlib.sha256(drawing.encode()).hexdigest()[:8]}"
    folder = output_folder(Path(folder) / name)
    # A small pool has shards enough for each length, too.
    most = min(VIDEOS_PER_SHARD, math.ceil(num_videos / len(num_frames)))
    sizes = [min(most, num_videos - first) for first in range(0, num_videos, most)]
    factor = autoencoder.config.scaling_factor
    latents, scenes = [], []
    for index, size in enumerate(tqdm(sizes, desc="encode videos", unit="shard", disable=None)):
        drawn = sample_scenes(
            size,
            seed=seed * 100_003 + index,
            phase_spread=phase_spread,
            wander_share=wander_share,
            **words,
        )
        made_with = json.dumps({"scaling_factor": factor, "seed": seed, "num_videos": size})
        path = folder / f"{index:04d}.safetensors"
        if not _made_with(path, made_with):
            length = num_frames[index % len(num_frames)]
            video = render(drawn, num_frames=length, height=FRAME_SIZE, width=FRAME_SIZE).video
            with torch.autocast(autoencoder.device.type, torch.bfloat16):
                encoded = encode_video(autoencoder, video).half()
            save_tensors(path, {"latents": encoded}, {"made_with": made_with})
        with safe_open(path, "pt") as shard:
            latents.append(shard.get_tensor("latents"))
        scenes.append(drawn)
    return LatentPool(latents, scenes)


def _made_with(path: Path, made_with: str) -> bool:
    try:
        with safe_open(path, "pt") as shard:
            return bool(shard.metadata().get("made_with") == made_with)
    # One that is cut short is made anew.
    except (FileNotFoundError, SafetensorError):
        return False
