"""What learning a motion costs: published settings against ours, on the same model.

A step of each takes turns with the least there is, the model's own forward pass on the same batch.
Then each learns in full, and its fidelity is measured: how far a new prompt, from new noise, goes
the reference's way (displacement cosine, by the exact judge), after how many seconds of learning.
Published settings compute layers again and ours on a CPU keep them, which costs memory and saves
time, so the published ones are measured both ways. Then the clip grows longer.

    python benchmarks/inversion.py --json inversion.json
    python benchmarks/inversion.py --model sprites-animatediff --steps-only
    python benchmarks/inversion.py --model cerspense/zeroscope_v2_576w --steps-only  # on a GPU
"""

import argparse
import dataclasses
import time
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import torch
from growth import draw_growth, print_growth
from report import write_report
from torch import Tensor

import kinema
from kinema.compare import SpriteScorer, measured, open_prompts, travelling_references
from kinema.motion_inversion import (
    PAPER_SAMPLING,
    PRESETS,
    InversionSettings,
    InversionStep,
    fitted_reference,
)
from kinema.motion_inversion.denoising import denoiser_of, latents_of
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.video import uniform_indices

LIMIT = "the model alone"
UNIT = "ms a step"
SETTINGS = {
    "paper": PRESETS["paper"],
    "paper, layers kept": dataclasses.replace(PRESETS["paper"], gradient_checkpointing=False),
    "default": PRESETS["default"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sprites")
    parser.add_argument("--adapter")
    parser.add_argument("--presets", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--references", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--sampling-steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--looks", type=int, default=4, help="at the fidelity while it learns")
    parser.add_argument("--growth", type=int, nargs="*", default=[8, 24], help="other lengths")
    parser.add_argument("--plot", type=Path, help="draw how a step grows with frames")
    parser.add_argument("--steps-only", action="store_true", help="leave out the fidelity")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    pipe = load_pipeline(arguments.model, adapter=arguments.adapter)
    pipe.set_progress_bar_config(disable=True)
    reference = travelling_references(1)[0]
    clip = fitted_reference(pipe, reference.video).video
    report: dict[str, Any] = {
        "model": arguments.model,
        "steps": _steps(pipe, clip, reference.prompt, arguments),
    }
    print(f"{'what':<28}{'ms a step':>10}{'of the model':>14}{'peak MB':>9}{'numbers':>11}")
    for row in report["steps"]:
        print(
            f"{row['what']:<28}{1e3 * row['seconds']:10.1f}{row['ratio']:14.2f}"
            f"{row['peak_bytes'] / 1e6:9.0f}{row['numbers']:11,}"
        )
    by_frames = {len(clip): report["steps"]}
    for length in arguments.growth:
        other = clip[uniform_indices(len(clip), length)]
        by_frames[length] = _steps(pipe, other, reference.prompt, arguments)
    growth = {
        "frames": {
            length: {row["what"]: 1e3 * row["seconds"] for row in rows}
            for length, rows in sorted(by_frames.items())
        }
    }
    report["growth"] = growth
    print_growth(growth, unit=UNIT)
    if arguments.plot:
        draw_growth(growth, arguments.plot, unit=UNIT)
    if not arguments.steps_only and arguments.model in EMBEDDED:
        report["fidelity"] = _fidelity(pipe, arguments)
    if arguments.json:
        write_report(arguments.json, device=pipe.device, **report)


def _steps(
    pipe: Any, clip: Tensor, prompt: str, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Time steps of each preset on a clip `(T, 3, H, W)`, and forward passes of the model on it."""
    latents = latents_of(pipe, clip)
    denoiser = denoiser_of(pipe, prompt)
    limits = {name: f"{LIMIT}, batch {SETTINGS[name].batch_size}" for name in arguments.presets}
    sizes = {limit: SETTINGS[name].batch_size for name, limit in limits.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*sizes, *arguments.presets)}
    peak, numbers = dict.fromkeys(seconds, 0), dict.fromkeys(seconds, 0)
    for repeat in range(arguments.repeats + 1):
        for limit, size in sizes.items():
            batch = latents.expand(size, -1, -1, -1, -1)
            timesteps = torch.full((size,), 500, device=latents.device)
            with measured(pipe.device) as cost, torch.no_grad():
                # Of two, as of the steps below: the first one also pays for fresh memory.
                denoiser.predict(batch, timesteps)
                began = time.monotonic()
                denoiser.predict(batch, timesteps)
                if pipe.device.type == "cuda":
                    torch.cuda.synchronize(pipe.device)
                took = time.monotonic() - began
            if repeat:
                seconds[limit].append(took)
            peak[limit] = max(peak[limit], cost.peak_bytes)
        for name in arguments.presets:
            ends: list[float] = []

            def note(step: InversionStep, ends: list[float] = ends) -> None:
                ends.append(time.monotonic())

            with measured(pipe.device) as cost:
                motion = kinema.invert(
                    pipe,
                    clip,
                    prompt=prompt,
                    num_frames=len(clip),
                    settings=dataclasses.replace(SETTINGS[name], num_steps=2, inversion_steps=0),
                    callback=note,
                    progress=False,
                )
            if repeat:
                # The first step also pays for what is prepared once.
                seconds[name].append(ends[1] - ends[0])
            peak[name] = max(peak[name], cost.peak_bytes)
            numbers[name] = motion.num_numbers
    return [
        {
            "what": name,
            "seconds": median(each),
            "least": min(each),
            "most": max(each),
            "ratio": median(each) / median(seconds[limits.get(name, name)]),
            "peak_bytes": peak[name],
            "numbers": numbers[name],
        }
        for name, each in seconds.items()
    ]


def _fidelity(pipe: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Learn in full, and look at the fidelity on the way; looking does not count as learning."""
    rows = []
    print(f"\n{'preset':<20}{'steps':>6}{'seconds':>9}{'cosine':>16}{'appearance':>12}")
    for name in arguments.presets:
        settings = SETTINGS[name]
        every = max(1, settings.num_steps // arguments.looks)
        looks: dict[int, list[dict[str, float]]] = {}
        for reference in travelling_references(arguments.references):
            rows_of_one = _course(pipe, name, settings, every, reference, arguments)
            for row in rows_of_one:
                looks.setdefault(row["step"], []).append(row)
        for step, found in looks.items():
            row = {
                "preset": name,
                "step": step,
                **{
                    key: fmean(each[key] for each in found)
                    for key in ("seconds", "displacement_cosine", "appearance")
                },
            }
            cosines = [each["displacement_cosine"] for each in found]
            row["spread"] = stdev(cosines) if len(cosines) > 1 else 0.0
            rows.append(row)
            print(
                f"{name:<20}{step:6}{row['seconds']:9.1f}{row['displacement_cosine']:8.3f}"
                f" ± {row['spread']:.3f}{row['appearance']:12.2f}"
            )
    return rows


def _course(
    pipe: Any,
    name: str,
    settings: InversionSettings,
    every: int,
    reference: Any,
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    sampling = dict(PAPER_SAMPLING) if name.startswith("paper") else {}
    sampling |= {"num_steps": arguments.sampling_steps, "guidance": arguments.guidance}
    # Its share of inverted noise is not there yet while it learns.
    sampling.pop("noise", None)
    sampling.pop("noise_share", None)
    spent, started = 0.0, time.monotonic()

    def look(step: InversionStep) -> None:
        nonlocal spent, started
        if step.step % every and step.step != settings.num_steps:
            return
        spent += time.monotonic() - started
        scores = [
            SpriteScorer().score(
                kinema.generate(pipe, prompt, motion=step.motion(), seed=seed, **sampling),
                reference=reference,
                prompt=prompt,
            )
            for seed, prompt in enumerate(open_prompts(arguments.prompts))
        ]
        rows.append(
            {
                "step": step.step,
                "seconds": spent,
                "displacement_cosine": fmean(float(s["displacement_cosine"] or 0) for s in scores),
                "appearance": fmean(float(s["appearance"] or 0) for s in scores),
            }
        )
        started = time.monotonic()

    kinema.invert(
        pipe,
        reference.video,
        prompt=reference.prompt,
        settings=dataclasses.replace(settings, inversion_steps=0),
        callback=look,
        progress=False,
    )
    return rows


if __name__ == "__main__":
    main()
