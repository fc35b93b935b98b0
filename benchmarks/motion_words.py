"""Do the embedded models hear words of motion? Their denoising error with and without them.

Held-out videos are denoised in one step with the right motion in the caption, with none, and with
another video's, at several noise levels. What the right words take off the error is what the model
has learned of them. Beside it stands what is left at pure noise for a model that knows all: the
spread of videos that one caption describes.

    python benchmarks/motion_words.py --model animatediff --json motion_words.json
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from report import write_report
from torch import Tensor

from kinema.sprites import (
    animatediff,
    render,
    sample_captions,
    sample_scenes,
    scenes_of,
    text_to_video,
)
from kinema.sprites.training.latents import encode_video

LEVELS = (999, 970, 940, 900, 800, 600)
_SEED = 777_777


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("text-to-video", "animatediff"), default="animatediff")
    parser.add_argument("--weights", type=Path, help="other than Kinema's own")
    parser.add_argument("--videos", type=int, default=36)
    parser.add_argument("--alike", type=int, default=12, help="videos of a caption, for the spread")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    make = {"text-to-video": text_to_video, "animatediff": animatediff}[arguments.model]
    pipe: Any = make(weights=arguments.weights)
    scenes = sample_scenes(arguments.videos, seed=_SEED)
    right = sample_captions(scenes, seed=5, motion_share=1.0)
    captions = {
        "right": right,
        "left out": [caption.partition(", ")[0] for caption in right],
        "wrong": _wrong(right),
    }
    latents = encode(pipe, render(scenes, num_frames=16).video)
    rows = [
        {
            "level": level,
            **{name: error(pipe, latents, said, level) for name, said in captions.items()},
        }
        for level in LEVELS
    ]
    left = {
        name: sum(_spread(pipe, caption, arguments.alike) for caption in captions[name])
        / arguments.videos
        for name in ("right", "left out")
    }
    print(f"{'level':>10} " + " ".join(f"{name:>9}" for name in captions))
    for row in rows:
        print(f"{row['level']:>10} " + " ".join(f"{row[name]:9.4f}" for name in captions))
    print("at best, pure noise " + "  ".join(f"{name} {value:.3f}" for name, value in left.items()))
    if arguments.json:
        write_report(
            arguments.json,
            model=arguments.model,
            num_videos=arguments.videos,
            rows=rows,
            at_best_at_pure_noise=left,
        )


def _wrong(captions: list[str]) -> list[str]:
    """Give each caption the motion of the next that names another."""
    wrong = []
    for k, caption in enumerate(captions):
        looks, _, motion = caption.partition(", ")
        others = [other.partition(", ")[2] for other in captions[k + 1 :] + captions[:k]]
        wrong.append(f"{looks}, {next(other for other in others if other != motion)}")
    return wrong


def encode(pipe: Any, video: Tensor) -> Tensor:
    """Return the latents (B, C, T, h, w) of videos (B, T, 3, H, W) in [0, 1]."""
    return encode_video(pipe.vae, video).transpose(1, 2).contiguous()


@torch.no_grad()
def error(pipe: Any, latents: Tensor, captions: list[str], level: int) -> float:
    """Return the mean squared error of the v-prediction at a noise level, always the same noise."""
    tokens = pipe.tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    text = pipe.text_encoder(tokens).last_hidden_state
    if hasattr(pipe, "motion_adapter"):
        text = text.repeat_interleave(latents.shape[2], dim=0)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    timesteps = torch.full((len(latents),), level)
    noisy = pipe.scheduler.add_noise(latents, noise, timesteps)
    target = pipe.scheduler.get_velocity(latents, noise, timesteps)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = pipe.unet(noisy, timesteps, encoder_hidden_states=text).sample
    return (predicted.float() - target).square().mean().item()


def _spread(pipe: Any, caption: str, count: int) -> float:
    """Return the variance of the latents of videos that one caption describes."""
    latents = encode(pipe, render(scenes_of([caption] * count, seed=1), num_frames=16).video)
    return latents.var(dim=0).mean().item()


if __name__ == "__main__":
    main()
