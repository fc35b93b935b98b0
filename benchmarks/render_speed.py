"""Videos a second of the sprites renderer and of the judge.

Renders (and judges) batches of random scenes, several times each, and prints medians with their
spread, calm and with every nuisance on.

    python benchmarks/render_speed.py --threads 2 --json render_speed.json
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from report import write_report

from kinema.measure import degrade, judge
from kinema.sprites import Nuisances, render, sample_scenes

BUSY = Nuisances(camera=0.3, distractors=3, noise=0.03, flicker=0.1)
RENDERED = (
    ("8x32x32", Nuisances(), {"num_frames": 8, "height": 32, "width": 32}),
    ("8x32x32 with every nuisance", BUSY, {"num_frames": 8, "height": 32, "width": 32}),
    ("16x64x64", Nuisances(), {"num_frames": 16, "height": 64, "width": 64}),
    ("16x64x64 with every nuisance", BUSY, {"num_frames": 16, "height": 64, "width": 64}),
)


def rates(work: Callable[[int], object], *, num_videos: int, repeats: int) -> dict[str, float]:
    """Videos a second of `work(seed)`, which deals with `num_videos` of them."""
    work(0)
    found = []
    for seed in range(1, repeats + 1):
        start = time.perf_counter()
        work(seed)
        found.append(num_videos / (time.perf_counter() - start))
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=256, help="videos in a batch to render")
    parser.add_argument("--judged", type=int, default=64, help="videos in a batch to judge")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)

    figures = {}
    for name, nuisances, size in RENDERED:

        def draw(seed: int, nuisances: Nuisances = nuisances, size: dict[str, int] = size) -> None:
            render(sample_scenes(settings.videos, seed=seed, nuisances=nuisances), **size)

        figures[f"render {name}"] = rates(
            draw, num_videos=settings.videos, repeats=settings.repeats
        )
    video = degrade(
        render(sample_scenes(settings.judged, seed=0)).video, noise=0.03, blur=0.6, seed=0
    )
    figures["judge 16x64x64"] = rates(
        lambda seed: judge(video), num_videos=settings.judged, repeats=settings.repeats
    )

    print(f"videos a second, {settings.threads} threads, {settings.repeats} repeats")
    print(f"{'':40}{'median':>9}{'least':>9}{'most':>9}")
    for name, found in figures.items():
        print(f"{name:40}{found['median']:9.0f}{found['least']:9.0f}{found['most']:9.0f}")
    if settings.json:
        write_report(settings.json, videos_per_second=figures)


if __name__ == "__main__":
    main()
