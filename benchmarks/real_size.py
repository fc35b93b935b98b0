"""Inversion and generation at ZeroScope's real size, on random weights: time and memory on a GPU.

What they cost does not depend on what the weights are, so nothing has to be downloaded: the U-Net,
the autoencoder and the text encoder are built from the published configurations. Measured are a
step of learning under each preset, beside the model's own forward pass, and making a video with a
motion, in turn with making it without.

    python benchmarks/real_size.py --json docs/results/real_size.json
"""

import argparse
import dataclasses
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from report import write_report

import kinema
from kinema.compare import measured
from kinema.motion_inversion import PRESETS, InversionSettings, InversionStep
from kinema.motion_inversion.denoising import denoiser_of

PROMPT = "a car turns on a road"
HEIGHT, WIDTH = 320, 576
SETTINGS = PRESETS | {
    "default, all kept": dataclasses.replace(PRESETS["default"], gradient_checkpointing=False),
    "default, one level at a time": dataclasses.replace(
        PRESETS["default"], batch_size=1, accumulation=2
    ),
    "the same, coarse value": dataclasses.replace(
        PRESETS["default"], batch_size=1, accumulation=2, value="coarse"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sampling-steps", type=int, default=10)
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), default="float16")
    parser.add_argument("--learning-only", action="store_true", help="leave out making videos")
    parser.add_argument("--divide", type=int, default=1, help="widths by this, to try the script")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, arguments.dtype)
    pipe = zeroscope(dtype=dtype, device=device, divide=arguments.divide)
    pipe.set_progress_bar_config(disable=True)
    weights = sum(
        each.numel() * each.element_size()
        for part in (pipe.unet, pipe.vae, pipe.text_encoder)
        for each in part.parameters()
    )
    generator = torch.Generator().manual_seed(0)
    size = (HEIGHT, WIDTH) if arguments.divide == 1 else (64, 64)
    video = torch.rand(arguments.frames, 3, *size, generator=generator)
    rows = [_forward(pipe, video, arguments.repeats)]
    for name, settings in SETTINGS.items():
        row, motion = _learning(pipe, video, name, settings, arguments.repeats)
        rows.append(row)
    if not arguments.learning_only:
        rows += _generation(pipe, motion, arguments)
    print(f"weights {weights / 1e9:.2f} GB, {arguments.frames} frames of {size[1]}x{size[0]}")
    for row in rows:
        print(
            f"{row['what']:<38}{row['seconds']:9.3f} s ({row['least']:.3f} to {row['most']:.3f})"
            f"{row['peak_bytes'] / 1e9:9.2f} GB beyond the weights"
        )
    if arguments.json:
        rows = [{"weights_bytes": weights, **row} for row in rows]
        write_report(arguments.json, device=pipe.device, rows=rows)


def zeroscope(*, dtype: torch.dtype, device: str, divide: int = 1) -> Any:
    """Build `cerspense/zeroscope_v2_576w` from its published configuration, with random weights.

    The tokenizer is that of the embedded models: which tokens there are changes no cost.
    """
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        TextToVideoSDPipeline,
        UNet3DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from kinema.sprites.pipelines import weights_folder

    def widths(*channels: int) -> tuple[int, ...]:
        return tuple(each // divide for each in channels)

    torch.manual_seed(0)
    text_width = 1024 // divide
    with torch.device(device):
        unet = UNet3DConditionModel(
            sample_size=(HEIGHT // 8, WIDTH // 8),
            block_out_channels=widths(320, 640, 1280, 1280),
            attention_head_dim=64 // divide,
            cross_attention_dim=text_width,
            layers_per_block=2,
            norm_num_groups=32 // divide,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=widths(128, 256, 512, 512),
            layers_per_block=2,
            norm_num_groups=32 // divide,
            latent_channels=4,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=text_width,
                intermediate_size=4 * text_width,
                num_hidden_layers=23,
                num_attention_heads=16 // divide,
                hidden_act="gelu",
            )
        )
    return TextToVideoSDPipeline(
        unet=unet.to(dtype).eval(),
        vae=vae.to(dtype).eval(),
        text_encoder=text.to(dtype).eval(),
        tokenizer=_tokenizer(weights_folder(None)),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    )


def _tokenizer(folder: Any) -> Any:
    from importlib.resources import as_file

    from transformers import CLIPTokenizer

    with as_file(folder) as path:
        return CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)


def _forward(pipe: Any, video: torch.Tensor, repeats: int) -> dict[str, Any]:
    frames, _, height, width = video.shape
    denoiser = denoiser_of(pipe, PROMPT)
    latents = torch.randn(1, 4, frames, height // 8, width // 8, device=pipe.device)
    timestep = torch.tensor([500], device=pipe.device)
    costs = []
    for _ in range(repeats + 1):
        with measured(pipe.device) as cost, torch.no_grad():
            denoiser.predict(latents.to(pipe.unet.dtype), timestep)
        costs.append(cost)
    return _row("the model's forward pass", costs[1:])


def _learning(
    pipe: Any, video: torch.Tensor, name: str, settings: InversionSettings, repeats: int
) -> tuple[dict[str, Any], kinema.Motion]:
    settings = dataclasses.replace(settings, num_steps=repeats + 2, inversion_steps=0)
    ends: list[float] = []

    def note(step: InversionStep) -> None:
        if pipe.device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.monotonic())

    with measured(pipe.device) as cost:
        motion = kinema.invert(
            pipe,
            video,
            prompt=PROMPT,
            settings=settings,
            num_frames=len(video),
            size=tuple(video.shape[-2:]),
            callback=note,
            progress=False,
        )
    seconds = [after - before for before, after in pairwise(ends[1:])]
    row = {
        "what": f"a step, {name}",
        "batch": settings.batch_size,
        "batches": settings.accumulation,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "peak_bytes": cost.peak_bytes,
        "numbers": motion.num_numbers,
    }
    return row, motion


def _generation(
    pipe: Any, motion: kinema.Motion, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    costs: dict[str, list[Any]] = {"a video without": [], "a video with a motion": []}
    frames, size = motion.num_frames, tuple(8 * side for side in motion.origin.latent_size)
    for repeat in range(arguments.repeats + 1):
        for name, given in zip(costs, (None, motion), strict=True):
            with measured(pipe.device) as cost:
                kinema.generate(
                    pipe,
                    PROMPT,
                    motion=given,
                    num_frames=frames,
                    size=size,
                    num_steps=arguments.sampling_steps,
                )
            if repeat:
                costs[name].append(cost)
    return [_row(name, each) | {"steps": arguments.sampling_steps} for name, each in costs.items()]


def _row(what: str, costs: list[Any]) -> dict[str, Any]:
    seconds = [cost.seconds for cost in costs]
    return {
        "what": what,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "peak_bytes": max(cost.peak_bytes for cost in costs),
    }


if __name__ == "__main__":
    main()
