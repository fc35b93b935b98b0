"""What a motion costs when a video is made: time and memory, against the same video without one.

The pipeline makes the same video in turn without a motion, with one (`kinema.generate`), and with
two at once. Ratios are of medians in the same run. Then the video grows longer.

    python benchmarks/generation.py --json generation.json --plot generation.png
    python benchmarks/generation.py --model cerspense/zeroscope_v2_576w --frames 24  # on a GPU
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from growth import draw_growth
from prompt_layer import peak_bytes
from report import write_report

import kinema
from kinema.compare import measured
from kinema.motion_inversion import InversionSettings
from kinema.motion_inversion.pipelines import load_pipeline

WITHOUT, WITH, BOTH = "without", "with a motion", "with two motions"
PROMPT = "a large red star on a black background"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sprites")
    parser.add_argument("--adapter")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--growth", type=int, nargs="*", default=[8, 24], help="other lengths")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()

    pipe = load_pipeline(arguments.model, adapter=arguments.adapter)
    pipe.set_progress_bar_config(disable=True)
    motion = _motion(pipe, arguments.frames)
    rows = [
        row
        for num_frames in sorted({arguments.frames, *arguments.growth})
        for row in _rows(pipe, motion.resampled(num_frames), arguments)
    ]
    print("frames  what               seconds  of without  peak MB  of without")
    for row in rows:
        print(
            f"{row['frames']:>6}  {row['what']:<16}{row['seconds']:10.3f}{row['time_ratio']:12.3f}"
            f"{row['peak_bytes'] / 1e6:9.0f}{row['memory_ratio']:12.3f}"
        )
    if arguments.plot:
        growth: dict[int, dict[str, float]] = {}
        for row in rows:
            growth.setdefault(row["frames"], {})[row["what"]] = row["seconds"]
        draw_growth({"frames": growth}, arguments.plot, unit="seconds")
    if arguments.json:
        write_report(
            arguments.json,
            device=pipe.device,
            model=arguments.model,
            steps=arguments.steps,
            repeats=arguments.repeats,
            rows=rows,
        )


def _motion(pipe: Any, num_frames: int) -> kinema.Motion:
    """Learn a motion in one step: what it holds does not matter here, only that it is there."""
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(num_frames, 3, 64, 64, generator=generator)
    settings = InversionSettings(num_steps=1, batch_size=1, inversion_steps=0)
    return kinema.invert(pipe, video, prompt=PROMPT, settings=settings, progress=False)


def _rows(pipe: Any, motion: kinema.Motion, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    def work(given: Any) -> Callable[[], object]:
        return lambda: kinema.generate(
            pipe, PROMPT, motion=given, num_frames=motion.num_frames, num_steps=arguments.steps
        )

    contestants = {
        WITHOUT: work(None),
        WITH: work(motion),
        BOTH: work([(motion, 0.5), (motion, 0.5)]),
    }
    costs: dict[str, list[Any]] = {name: [] for name in contestants}
    for repeat in range(arguments.repeats + 1):
        for name, run in contestants.items():
            with measured(pipe.device) as cost:
                run()
            if repeat:
                costs[name].append(cost)
    seconds = {name: median(cost.seconds for cost in each) for name, each in costs.items()}
    peak = {name: peak_bytes(run, pipe.device) for name, run in contestants.items()}
    return [
        {
            "frames": motion.num_frames,
            "what": name,
            "seconds": seconds[name],
            "least": min(cost.seconds for cost in costs[name]),
            "most": max(cost.seconds for cost in costs[name]),
            "time_ratio": seconds[name] / seconds[WITHOUT],
            "peak_bytes": peak[name],
            "memory_ratio": peak[name] / max(peak[WITHOUT], 1),
        }
        for name in contestants
    ]


if __name__ == "__main__":
    main()
