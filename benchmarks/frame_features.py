"""Do the features that DMT steers by tell motions apart?

Clips of a few motions, each in several looks, are inverted to noise levels of a sampling and read
as DMT reads them: means over the frame, as published, or over the parts of a grid. How unlike two
clips are is DMT's loss. The table says how often two clips of one motion are less unlike than two
of different ones: 50 % is chance. Published, the first 20 of 50 steps are steered.

    python benchmarks/frame_features.py --json docs/results/frame_features.json
"""

import argparse
from itertools import combinations, product
from pathlib import Path
from typing import Any

import torch
from report import write_report
from torch import Tensor

from kinema.compare.sprites_plan import TRAVELLING
from kinema.motion_inversion.denoising import denoiser_of, latents_of
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.peers import difference_loss
from kinema.peers.ddim import Ddim
from kinema.peers.dmt import inverted
from kinema.peers.space_time import space_time_features
from kinema.sprites import render, sample_captions, sample_scenes

SAMPLING_STEPS = 50
_SEED = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", nargs="+", choices=EMBEDDED, default=list(EMBEDDED))
    parser.add_argument("--motions", type=int, default=6)
    parser.add_argument("--looks", type=int, default=6, help="of each motion")
    parser.add_argument(
        "--grids", nargs="+", type=int, default=[1, 2, 4, 8], help="parts of a side of the frame"
    )
    parser.add_argument(
        "--at",
        nargs="+",
        type=int,
        default=[0, 5, 10, 15, 19, 30],
        help=f"which of {SAMPLING_STEPS} sampling steps",
    )
    parser.add_argument("--inversion-steps", type=int, default=SAMPLING_STEPS, help="of DDIM")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not 2 <= arguments.motions <= len(TRAVELLING):
        parser.error(f"--motions is {arguments.motions}; give 2 to {len(TRAVELLING)}")
    if arguments.looks < 2:
        parser.error(f"--looks is {arguments.looks}; give 2 or more")
    if not all(0 <= step < SAMPLING_STEPS for step in arguments.at):
        parser.error(f"--at is {arguments.at}; give steps from 0 to {SAMPLING_STEPS - 1}")
    rows: list[dict[str, Any]] = []
    for name in arguments.pipelines:
        pipe = load_pipeline(name, dtype=torch.float32)
        found = _told_apart(pipe, arguments)
        rows += [{"pipeline": name, **row} for row in found]
        print(f"\n{name}\n{_table(found, arguments.at)}")
    if arguments.json:
        settings = {key: value for key, value in vars(arguments).items() if key != "json"}
        write_report(arguments.json, device=pipe.device, settings=settings, rows=rows)


@torch.no_grad()
def _told_apart(pipe: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    ddim = Ddim.of(pipe.scheduler, SAMPLING_STEPS)
    asked = {ddim.timesteps[step]: step for step in arguments.at}
    motions: list[str] = []
    # By grid and step, what was read of every clip.
    read: dict[tuple[int, int], list[list[Tensor]]] = {
        key: [] for key in product(arguments.grids, arguments.at)
    }
    for seed, motion in enumerate(TRAVELLING[: arguments.motions], start=_SEED):
        scenes = sample_scenes(arguments.looks, seed=seed, motions=[motion])
        captions = sample_captions(scenes, seed=seed, motion_share=0.0)
        for video, caption in zip(render(scenes).video, captions, strict=True):
            motions.append(motion)
            denoiser = denoiser_of(pipe, caption)
            timesteps = ddim.inversion_timesteps(arguments.inversion_steps)
            for timestep, latents in inverted(denoiser, latents_of(pipe, video), ddim, timesteps):
                if timestep in asked:
                    for grid in arguments.grids:
                        features = space_time_features(denoiser, latents, timestep, grid=grid)
                        read[grid, asked[timestep]].append(features)
    same = [first == second for first, second in combinations(motions, 2)]
    return [
        {
            "grid": grid,
            "step": step,
            "level": ddim.level(ddim.timesteps[step]),
            "told_apart": share_in_order([_unlike(*two) for two in combinations(clips, 2)], same),
        }
        for (grid, step), clips in read.items()
    ]


def _unlike(first: list[Tensor], second: list[Tensor]) -> float:
    """DMT's loss between two clips, over all layers."""
    return sum(difference_loss(*layer).item() for layer in zip(first, second, strict=True))


def share_in_order(unlike: list[float], same: list[bool]) -> float:
    """The share of (pair that is the same, pair that is not) of which the first is less unlike."""
    values, chosen = torch.tensor(unlike), torch.tensor(same)
    less = values[chosen][:, None] - values[~chosen]
    return float(((less < 0).double() + 0.5 * (less == 0)).mean())


def _table(rows: list[dict[str, Any]], steps: list[int]) -> str:
    lines = ["parts of the frame, step" + "".join(f"{step:>7}" for step in steps)]
    for grid in dict.fromkeys(row["grid"] for row in rows):
        cells = [f"{row['told_apart']:7.0%}" for row in rows if row["grid"] == grid]
        lines.append(f"{f'{grid} x {grid}':24}" + "".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
