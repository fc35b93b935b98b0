"""Does a text-to-video model of the sprites world do what its captions say? The judge counts."""

import json
import math
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import psutil
import torch
from torch import Tensor
from tqdm import tqdm

from kinema.errors import InputError
from kinema.files import output_folder, replacing
from kinema.lines import read_lines
from kinema.measure.error import judge_error
from kinema.measure.judge import judge
from kinema.measure.machine import machine
from kinema.precision import check_precision, computing_in
from kinema.sprites import GUIDANCE, MOTIONS, parse_caption, sample_captions, sample_scenes
from kinema.video import contact_sheet, write_image
from kinema.weights import digest_of_weights

RESULTS, SUMMARY, SHEET = "results.jsonl", "report.json", "sheet.png"
NUM_SHOWN = 24
_CAPTION_SEED = 20_000
_VIDEOS_AT_ONCE = 8
_RIGHT = ("size", "colour", "shape", "background", "appearance", "motion")


def captions_to_obey(num_captions: int) -> list[str]:
    """Return the report's captions, always the same; chance had it which name a motion."""
    scenes = sample_scenes(num_captions, seed=_CAPTION_SEED)
    return sample_captions(scenes, seed=_CAPTION_SEED, motion_share=0.5)


def report(
    pipeline: Any,
    folder: str | Path,
    *,
    num_prompts: int = 300,
    num_seeds: int = 3,
    num_steps: int = 25,
    guidance: float = GUIDANCE,
    num_judged: int = 200,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Sample every caption with every seed, judge the videos, and sum up what they obey.

    One line a video goes to `results.jsonl` as it is made; a run that was interrupted goes on
    there. At the end `report.json` has the summary and `sheet.png` shows the first 24 videos,
    of which those that an interrupted run made before are sampled again.

    Args:
        pipeline: a `TextToVideoSDPipeline` or `AnimateDiffPipeline` of the sprites world.
        folder: where to.
        num_prompts: number of captions.
        num_seeds: of each caption.
        num_steps: of denoising.
        guidance: scale of classifier-free guidance.
        num_judged: rendered videos on which the judge's own error is found, through the
            pipeline's autoencoder.
        precision: "fp32", or "bf16" for autocast, which takes about half the time on a CPU.

    Returns:
        The summary: each share in [0, 1] as mean and standard deviation over seeds.

    Raises:
        InputError: the folder holds results of other settings or weights, or what is no result,
            or the precision is unknown.
    """
    check_precision(precision)
    folder = output_folder(folder)
    settings = {
        "pipeline": type(pipeline).__name__,
        "weights": digest_of_weights(pipeline.components),
        "num_prompts": num_prompts,
        "num_seeds": num_seeds,
        "num_steps": num_steps,
        "guidance": guidance,
        "precision": precision,
    }
    done = _earlier_results(folder / RESULTS, settings)
    captions = captions_to_obey(num_prompts)
    wanted = [(index, seed) for seed in range(num_seeds) for index in range(num_prompts)]
    left = wanted[len(done) :]
    sampled = partial(sample, pipeline, num_steps=num_steps, guidance=guidance, precision=precision)
    shown: dict[int, Tensor] = {}
    with (
        (folder / RESULTS).open("a") as log,
        tqdm(total=len(wanted), initial=len(done), unit="video", disable=None) as bar,
    ):
        if not log.tell():
            log.write(json.dumps(settings) + "\n")
        for first in range(0, len(left), _VIDEOS_AT_ONCE):
            some = left[first : first + _VIDEOS_AT_ONCE]
            said = [captions[index] for index, _ in some]
            started = time.monotonic()
            videos = sampled(said, seeds=[1000 * seed + index for index, seed in some])
            seconds = (time.monotonic() - started) / len(some)
            for (index, seed), result in zip(some, _judged(videos, said), strict=True):
                result |= {"prompt": index, "seed": seed, "seconds": seconds}
                done.append(result)
                log.write(json.dumps(result) + "\n")
            log.flush()
            bar.update(len(some))
            shown |= {
                index: video
                for (index, seed), video in zip(some, videos, strict=True)
                if seed == 0 and index < NUM_SHOWN
            }
    if shown or not (folder / SHEET).exists():
        missing = [index for index in range(min(num_prompts, NUM_SHOWN)) if index not in shown]
        for first in range(0, len(missing), _VIDEOS_AT_ONCE):
            again = missing[first : first + _VIDEOS_AT_ONCE]
            videos = sampled([captions[index] for index in again], seeds=again)
            shown |= dict(zip(again, videos, strict=True))
        rows = {f"{index}: {captions[index]}": shown[index] for index in sorted(shown)}
        write_image(folder / SHEET, contact_sheet(rows, num_columns=8, tile_height=64))
    summary = summarise(done)
    summary["judge"] = judge_error(
        num_judged, seed=_CAPTION_SEED, noise=0.0, blur=0.0, through=partial(rebuild, pipeline.vae)
    ).as_dict()
    summary["machine"] = {**machine(pipeline.device), "peak_bytes": _peak_bytes()}
    summary["settings"] = settings
    with replacing(folder / SUMMARY) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def sample(
    pipeline: Any,
    captions: list[str],
    *,
    seeds: list[int],
    num_steps: int,
    guidance: float,
    precision: str = "fp32",
) -> Tensor:
    """Return a video (B, 16, 3, 64, 64) in [0, 1] for each caption, each from its own seed."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with computing_in(precision, pipeline.device):
        output = pipeline(
            captions,
            num_frames=16,
            num_inference_steps=num_steps,
            guidance_scale=guidance,
            generator=generators,
            output_type="pt",
        )
    frames: Tensor = output.frames
    return frames.float().cpu().clamp(0, 1)


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up judged videos: shares as mean and standard deviation over seeds.

    "motion" counts the captions that name one. "motions_open" is how evenly the videos of the
    others spread over the motions: the entropy of their words over its largest value, in [0, 1].
    """
    seeds = sorted({result["seed"] for result in results})
    summary: dict[str, Any] = {"num_videos": len(results)}
    for name in (*_RIGHT, "one_sprite", "colour_changes", "shape_changes", "colour_drift"):
        each = [
            [float(r[name]) for r in results if r["seed"] == seed and r.get(name) is not None]
            for seed in seeds
        ]
        shares = [mean(values) for values in each if values]
        if shares:
            spread = stdev(shares) if len(shares) > 1 else 0.0
            summary[name] = {"mean": mean(shares), "spread": spread}
    free = Counter(
        r["seen"]["motion"] for r in results if r["motion"] is None and r["seen"]["motion"]
    )
    total = sum(free.values())
    entropy = -sum(n / total * math.log(n / total) for n in free.values()) if total else 0.0
    summary["motions_open"] = entropy / math.log(len(MOTIONS))
    summary["motions_seen"] = dict(free.most_common())
    summary["seconds_a_video"] = mean(result["seconds"] for result in results)
    return summary


def _judged(videos: Tensor, captions: list[str]) -> list[dict[str, Any]]:
    descriptions = [parse_caption(caption) for caption in captions]
    verdict = judge(videos)
    right = verdict.agreement(descriptions)
    results = []
    for k, description in enumerate(descriptions):
        result: dict[str, Any] = {name: bool(right[name][k]) for name in _RIGHT}
        for name in ("size", "motion"):
            # What a caption leaves open cannot be disobeyed, and does not count.
            if getattr(description, name) is None:
                result[name] = None
        result |= {
            "caption": captions[k],
            "seen": verdict.words(k),
            "one_sprite": bool(verdict.one_sprite[k]),
            "colour_changes": float(verdict.colour_changes[k]),
            "shape_changes": float(verdict.shape_changes[k]),
            "colour_drift": float(verdict.colour_drift[k]),
        }
        results.append(result)
    return results


@torch.no_grad()
def rebuild(vae: Any, video: Tensor) -> Tensor:
    """Return what an autoencoder makes of a video (B, T, 3, H, W) in [0, 1], coded and decoded."""
    frames = (video.flatten(0, 1) * 2 - 1).to(vae.device, vae.dtype)
    parts = [vae.decode(vae.encode(some).latent_dist.mean).sample for some in frames.split(64)]
    decoded = torch.cat(parts).float().cpu()
    return (decoded / 2 + 0.5).clamp(0, 1).unflatten(0, video.shape[:2])


def _earlier_results(path: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    first, *results = read_lines(path, mend=True) or [settings]
    if first != settings:
        raise InputError(
            f"{path} holds results of other settings ({first}); give another output folder"
        )
    return results


def _peak_bytes() -> int:
    """Return the most memory that this process has had resident."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else 1024 * peak
