"""A video of a new prompt under learned motions."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.arguments import (
    finite_number,
    number_of_frames,
    seed_number,
    whole_number,
)
from kinema.motion_inversion.denoising import check_length, checked_size, default_size
from kinema.motion_inversion.motion import Motion
from kinema.motion_inversion.noise import NOISES, starting_noise
from kinema.motion_inversion.sites import Layout, configuration, denoiser, layout

Motions = Motion | Sequence[tuple[Motion, float]]
Prompts = str | Sequence[str]
Seeds = int | Sequence[int]


def generate(
    pipe: Any,
    prompt: Prompts | None,
    *,
    motion: Motions | None = None,
    seed: Seeds = 0,
    num_steps: int = 30,
    guidance: float | None = None,
    noise: str = "none",
    noise_share: float = 0.5,
    noise_cutoff: float = 0.25,
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    strength: float = 1.0,
    query_key: float | None = None,
    value: str = "centred",
    value_strength: float | None = None,
    window: tuple[float, float] = (0.0, 1.0),
    branch: str = "both",
    progress: bool = False,
    **pipeline_arguments: Any,
) -> Tensor:
    """Make a video, with or without motions; the same arguments give the same pixels.

    Args:
        pipe: a diffusers pipeline of a supported class.
        prompt: what to show; None for a pipeline that takes none. A list of prompts, of seeds, or
            one of each as long makes a batch of videos at once, which a GPU is quicker with.
        motion: a motion, or several with a weight each, by which their strengths are multiplied.
        seed: of the starting noise, which is drawn on the CPU whatever the device.
        num_steps: of the sampling.
        guidance: strength of classifier-free guidance; by default the pipeline's own.
        noise: "none", "blend" or "frequency": what the starting noise takes from the inverted
            latents of the first motion that has them (`starting_noise`).
        noise_share: of "blend".
        noise_cutoff: of "frequency".
        num_frames: by default the first motion's, else the model's usual number.
        size: height and width in pixels; by default that of the clip that the first motion was
            learned from, else the pipeline's.
        strength, query_key, value, value_strength, window, branch: as of `attach`.
        progress: show the pipeline's bar.
        pipeline_arguments: whatever else the pipeline takes, such as `negative_prompt`, or the
            `image` of an image-to-video pipeline.

    Returns:
        `(T, 3, H, W)` float32 in [0, 1], on the CPU; `(B, T, 3, H, W)` where prompt or seed is a
        list. A video of a batch is the one that its prompt and seed make alone, up to rounding.

    Raises:
        InputError: a motion that does not fit, or an argument that makes no sense.
    """
    batch = videos_asked_for(prompt, seed)
    model: Any = denoiser(pipe)
    row, config = layout(model), configuration(model)
    _check_call(pipe, row, prompt=prompt, guidance=guidance)
    if whole_number("num_steps", num_steps) < 1:
        raise InputError(f"num_steps is {num_steps}; expected 1 or more")
    strength = finite_number("strength", strength)
    if query_key is not None:
        query_key = finite_number("query_key", query_key)
    if value_strength is not None:
        value_strength = finite_number("value_strength", value_strength)
    motions = _weighted(motion)
    first = motions[0][0] if motions else None
    usual = first.num_frames if first else row.num_frames(config)
    num_frames = number_of_frames(num_frames, usual=usual)
    check_length(model, num_frames)
    stride = pipe.vae_scale_factor
    if size is None and first is not None:
        size = (first.origin.latent_size[0] * stride, first.origin.latent_size[1] * stride)
    height, width = checked_size(size or default_size(pipe), stride)
    latents = torch.cat(
        [
            _latents(
                (pipe.vae.config.latent_channels, num_frames, height // stride, width // stride),
                seed=each,
                noise=noise,
                share=noise_share,
                cutoff=noise_cutoff,
                motions=[one for one, _ in motions],
            )
            for _, each in batch
        ]
    )
    generators = [torch.Generator().manual_seed(each) for _, each in batch]
    is_one = not (is_list(prompt) or is_list(seed))
    call: dict[str, Any] = {
        row.frames_argument: num_frames,
        "height": height,
        "width": width,
        "num_inference_steps": num_steps,
        "latents": (latents if row.frames_dim == 2 else latents.transpose(1, 2)).to(model.dtype),
        # What a pipeline draws besides, such as noise on a given image.
        "generator": generators[0] if is_one else generators,
        "output_type": "pt",
    }
    if prompt is not None:
        call["prompt"] = prompt if is_one else [each for each, _ in batch]
    negative = pipeline_arguments.get("negative_prompt")
    if isinstance(negative, str) and not is_one:
        pipeline_arguments["negative_prompt"] = [negative] * len(batch)
    if guidance is not None and row.guidance_argument is not None:
        call[row.guidance_argument] = guidance
    with ExitStack() as stack:
        for each, weight in motions:
            attachment = stack.enter_context(
                each.on(
                    pipe,
                    strength=strength * weight,
                    query_key=None if query_key is None else query_key * weight,
                    value_strength=None if value_strength is None else value_strength * weight,
                    value=value,
                    window=window,
                    branch=branch,
                )
            )
            attachment.num_videos = len(batch)
        shown = getattr(pipe, "_progress_bar_config", {})
        pipe.set_progress_bar_config(**{**shown, "disable": not progress})
        stack.callback(pipe.set_progress_bar_config, **shown)
        videos: Tensor = pipe(**call, **pipeline_arguments).frames
    found = videos.detach().float().clamp(0, 1).cpu()
    return found[0] if is_one else found


def videos_asked_for(prompt: Prompts | None, seed: Seeds) -> list[tuple[str | None, int]]:
    """The prompt and the seed of each video; what is no list stands for all.

    Raises:
        InputError: two lists of different lengths, an empty one, several videos of no prompt, or
            a seed that is no whole number.
    """
    prompts: list[Any] = [*prompt] if is_list(prompt) else [prompt]
    seeds: list[Any] = [*seed] if is_list(seed) else [seed]
    count = max(len(prompts), len(seeds))
    for name, given, each in (("prompt", prompt, prompts), ("seed", seed, seeds)):
        if (is_list(given) and len(each) != count) or not each:
            raise InputError(
                f"{name} is a list of {len(each)} for {count} videos; give as many prompts as "
                "seeds, 1 or more, or one that stands for all"
            )
    if prompt is None and is_list(seed):
        raise InputError(
            f"seed is a list of {count} and there are no prompts; make videos of this pipeline one "
            "by one"
        )
    seeds = [seed_number(each) for each in seeds]
    return list(zip(prompts * (count // len(prompts)), seeds * (count // len(seeds)), strict=True))


def _check_call(pipe: Any, row: Layout, *, prompt: Prompts | None, guidance: float | None) -> None:
    """Refuse what a pipeline of this row does not take."""
    kind = type(pipe).__name__
    if isinstance(pipe, nn.Module):
        raise InputError(f"videos are made by a pipeline, and this is a {kind}; give its pipeline")
    if prompt is not None and not row.takes_prompt:
        raise InputError(f"prompt is {prompt!r} and a {kind} takes none; give None")
    if guidance is not None:
        finite_number("guidance", guidance)
        if row.guidance_argument is None:
            raise InputError(
                f"guidance is {guidance} and a {kind} takes a strength for the first frame and one "
                "for the last; give min_guidance_scale and max_guidance_scale"
            )


def is_list(given: object) -> TypeGuard[Sequence[Any]]:
    """Whether prompts or seeds are several, and not one."""
    return isinstance(given, Sequence) and not isinstance(given, str)


def _weighted(motion: Motions | None) -> list[tuple[Motion, float]]:
    if motion is None:
        return []
    if isinstance(motion, Motion):
        return [(motion, 1.0)]
    pairs = []
    for pair in motion:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], Motion)):
            raise InputError(
                f"motion holds a {type(pair).__name__}; expected a Motion, or a list of pairs of "
                "a Motion and its weight"
            )
        pairs.append((pair[0], finite_number("the weight of a motion", pair[1])))
    return pairs


def _latents(
    shape: tuple[int, int, int, int],
    *,
    seed: int,
    noise: str,
    share: float,
    cutoff: float,
    motions: Sequence[Motion],
) -> Tensor:
    """`(1, C, T, h, w)` to start from."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if noise in NOISES and noise != "none" and not motions:
        raise InputError(f"noise is {noise!r} without a motion; give the motion it comes from")
    inverted = next(
        (each.inverted_latents for each in motions if each.inverted_latents is not None), None
    )
    return starting_noise(noise, drawn, inverted, share=share, cutoff=cutoff)[None]
