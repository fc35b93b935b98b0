"""What an embedded model draws from noise alone, motion by motion: which words it has understood.

At the first step of sampling there is nothing to see but noise, and the best guess is the mean of
the videos that a caption describes. So what the model predicts there is laid beside that mean, as
rendered: `moves` is how much of the mean's movement (its difference from the mean frame) it has,
1 all of it; `way` is the same of what tells a motion from its opposite (left and right, clockwise
and counterclockwise), where a model that has not understood the way has 0.

    python benchmarks/from_noise.py --model animatediff --json from_noise.json
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from motion_words import encode
from report import write_report
from torch import Tensor

from kinema.sprites import (
    MOTIONS,
    animatediff,
    made_with,
    render,
    sample_scenes,
    text_to_video,
)
from kinema.sprites.models import LATENT_CHANNELS, LATENT_SIZE, NUM_FRAMES

OPPOSITES = {
    "right": "left",
    "down": "up",
    "down-right": "up-left",
    "down-left": "up-right",
    "circle-clockwise": "circle-counterclockwise",
    "spin-clockwise": "spin-counterclockwise",
    "grow": "shrink",
}
OPPOSITES |= {other: one for one, other in OPPOSITES.items()}
_SHAPES = ("square", "triangle", "star", "cross")
_LOOKS = "a large yellow {} on a black background"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("text-to-video", "animatediff"), default="animatediff")
    parser.add_argument("--weights", type=Path, help="other than Kinema's own")
    parser.add_argument("--videos", type=int, default=16, help="rendered for each mean")
    parser.add_argument(
        "--phase-spread", type=float, help="where cyclic motions begin; by default as trained"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    make = {"text-to-video": text_to_video, "animatediff": animatediff}[arguments.model]
    pipe: Any = make(weights=arguments.weights)
    spread = arguments.phase_spread
    if spread is None:
        stage = made_with(arguments.weights)["stages"][arguments.model]
        spread = stage["recipe"].get("phase_spread", 1.0)
    shares: dict[str, dict[str, list[Tensor]]] = {
        name: {"moves": [], "way": []} for name in MOTIONS if name != "still"
    }
    for shape in _SHAPES:
        truth = {
            name: mean_video(pipe, name, shape, count=arguments.videos, phase_spread=spread)
            for name in shares
        }
        guess = {name: guessed(pipe, name, shape) for name in shares}
        for name, kinds in shares.items():
            kinds["moves"].append(_share(*(_movement(each[name]) for each in (guess, truth))))
            if name in OPPOSITES:
                other = OPPOSITES[name]
                kinds["way"].append(_share(*(each[name] - each[other] for each in (guess, truth))))
    rows = [
        {
            "motion": name,
            **{kind: _mean(values) for kind, values in kinds.items()},
        }
        for name, kinds in shares.items()
    ]
    print(f"{'motion':<24}{'moves':>7}{'way':>7}")
    for row in rows:
        way = "" if row["way"] is None else f"{row['way']:.2f}"
        print(f"{row['motion']:<24}{row['moves']:>7.2f}{way:>7}")
    if arguments.json:
        write_report(
            arguments.json,
            device=pipe.device,
            model=arguments.model,
            videos=arguments.videos,
            phase_spread=spread,
            rows=rows,
        )


@torch.no_grad()
def mean_video(pipe: Any, motion: str, shape: str, *, count: int, phase_spread: float) -> Tensor:
    """Return the mean of the latents (C, T, h, w) of rendered videos of one caption."""
    scenes = sample_scenes(
        count,
        seed=3,
        sizes=["large"],
        colours=["yellow"],
        shapes=[shape],
        backgrounds=["black"],
        motions=[motion],
        phase_spread=phase_spread,
    )
    return encode(pipe, render(scenes, num_frames=NUM_FRAMES).video).mean(dim=0)


@torch.no_grad()
def guessed(pipe: Any, motion: str, shape: str) -> Tensor:
    """Return the clean latents (C, T, h, w) that the model predicts from noise and a caption."""
    caption = f"{_LOOKS.format(shape)}, {MOTIONS[motion]}"
    tokens = pipe.tokenizer([caption], padding="max_length", return_tensors="pt").input_ids
    text = pipe.text_encoder(tokens).last_hidden_state
    if hasattr(pipe, "motion_adapter"):
        text = text.repeat_interleave(NUM_FRAMES, dim=0)
    size = (1, LATENT_CHANNELS, NUM_FRAMES, LATENT_SIZE, LATENT_SIZE)
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0))
    last = pipe.scheduler.config.num_train_timesteps - 1
    with torch.autocast("cpu", torch.bfloat16):
        velocity = pipe.unet(noise, last, encoder_hidden_states=text).sample
    # With no signal left in the noise, the velocity is the clean video, negated.
    return -velocity[0].float()


def _movement(video: Tensor) -> Tensor:
    return video - video.mean(dim=1, keepdim=True)


def _share(guess: Tensor, truth: Tensor) -> Tensor:
    return (guess * truth).sum() / truth.square().sum()


def _mean(values: list[Tensor]) -> float | None:
    return torch.stack(values).mean().item() if values else None


if __name__ == "__main__":
    main()
