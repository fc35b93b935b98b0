"""Learn a motion from one clip: `invert(pipe, "car-turn.mp4", prompt="a car turns")`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from kinema.errors import InputError
from kinema.interruption import interruptions
from kinema.motion_inversion.arguments import number_of_frames, seed_number
from kinema.motion_inversion.checkpoint import read_checkpoint, write_checkpoint
from kinema.motion_inversion.denoising import (
    check_length,
    checked_size,
    default_size,
    denoiser_of,
    latents_of,
)
from kinema.motion_inversion.learner import Learner
from kinema.motion_inversion.motion import Motion
from kinema.motion_inversion.noise import check_inversion_steps, ddim_inversion
from kinema.motion_inversion.origin import origin_of
from kinema.motion_inversion.reference import Reference, Video, hash_of, read_reference
from kinema.motion_inversion.settings import InversionSettings, settings_of
from kinema.motion_inversion.sites import configuration, denoiser, layout


class InversionInterrupted(KeyboardInterrupt):
    """Ctrl-C while a motion was learned; the message says how to go on."""


@dataclass(frozen=True, eq=False)
class InversionStep:
    """What a callback is told after a step.

    The model is as it was without a motion while the callback runs, so that a preview is made as
    the real thing: `generate(pipe, prompt, motion=step.motion())`.

    Attributes:
        step: steps done, from 1.
        num_steps: steps in all.
        loss: of this step.
        motion: gives the motion as learned so far.
    """

    step: int
    num_steps: int
    loss: float
    motion: Callable[[], Motion]


def invert(
    pipe: Any,
    video: Video,
    *,
    prompt: str,
    seed: int = 0,
    settings: InversionSettings | str = "default",
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    frames_per_second: float | None = None,
    attention: Tensor | None = None,
    resume_from: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 25,
    callback: Callable[[InversionStep], None] | None = None,
    progress: bool = True,
) -> Motion:
    """Learn the motion of one clip on a text-to-video pipeline (arXiv 2403.20193).

    The model stays frozen and is left exactly as it was. The same arguments give the same motion
    on the CPU, whether or not the run was stopped and resumed in between.

    Args:
        pipe: a diffusers pipeline around a UNet3DConditionModel (ZeroScope, ModelScope), a
            UNetMotionModel (AnimateDiff) or a LatteTransformer3DModel.
        video: a file, a folder of frames, a list of images or a tensor `(T, C, H, W)` in [0, 1];
            its length and size are fitted to the model's, and the log says how.
        prompt: what the clip shows.
        seed: of noise, noise levels and first values.
        settings: "default", "paper" or your own.
        num_frames: how many frames to take from the clip at most; by default the model's usual
            number.
        size: height and width in pixels, multiples of 8; by default the model's usual size.
        frames_per_second: of the video, where it is no file that says so.
        attention: `(T, H, W)` or `(T-1, H, W)` in [0, 1], such as a motion prompt's attention
            map of the fitted clip: where it is high, errors count more.
        resume_from: a checkpoint to go on from; it is written on unless `checkpoint` says where.
        checkpoint: where to keep one, every `checkpoint_every` steps, when interrupted, and at
            the end.
        checkpoint_every: steps.
        callback: called after every step.
        progress: show a bar with the loss.

    Raises:
        InputError: the pipeline, the clip, the prompt or an argument cannot be used; or the loss
            became NaN.
        InversionInterrupted: Ctrl-C or SIGTERM; a checkpoint was written if there was a place for
            one.
    """
    chosen = settings_of(settings)
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError(
            f"the prompt is {prompt!r}; expected words for what the clip shows, so that the motion "
            "need not learn them"
        )
    if checkpoint_every < 1:
        raise InputError(f"checkpoint_every is {checkpoint_every}; expected 1 or more")
    seed = seed_number(seed)
    denoiser = denoiser_of(pipe, prompt)
    check_inversion_steps(chosen.inversion_steps, pipe.scheduler)
    reference = fitted_reference(
        pipe, video, num_frames=num_frames, size=size, frames_per_second=frames_per_second
    )
    check_length(denoiser.model, len(reference.video))
    latents = latents_of(pipe, reference.video)
    described = chosen.to_json()
    if attention is not None:
        described["attention_sha256"] = hash_of(attention)
    origin = origin_of(pipe, latents, reference, prompt=prompt, settings=described, seed=seed)
    learner = Learner(pipe, denoiser, latents, origin, chosen, seed, attention)
    path = checkpoint or resume_from
    if resume_from is not None:
        read_checkpoint(resume_from, learner.progress, origin)
    inverted = None
    with interruptions() as interrupted:
        stop_if_asked = partial(_stop_if, interrupted, learner, path)
        with learner.on_the_model():
            _run(learner, path, checkpoint_every, callback, progress, interrupted)
        if chosen.inversion_steps > 0:
            inverted = ddim_inversion(
                denoiser_of(pipe, ""),
                latents,
                pipe.scheduler,
                num_steps=chosen.inversion_steps,
                before_each=stop_if_asked,
            )[0].cpu()
            stop_if_asked()
    return learner.motion(inverted)


def fitted_reference(
    pipe: Any,
    video: Video,
    *,
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    frames_per_second: float | None = None,
) -> Reference:
    """The clip as `invert` learns it: in the length and size that a pipeline makes.

    Args and errors are those of `invert`.
    """
    model: Any = denoiser(pipe)
    row, config = layout(model), configuration(model)
    return read_reference(
        video,
        num_frames=number_of_frames(num_frames, usual=row.num_frames(config)),
        size=checked_size(size or default_size(pipe), pipe.vae_scale_factor),
        fixed_length=row.fixed_length,
        frames_per_second=frames_per_second,
    )


def _run(
    learner: Learner,
    path: str | Path | None,
    every: int,
    callback: Callable[[InversionStep], None] | None,
    progress: bool,
    interrupted: threading.Event,
) -> None:
    from tqdm import tqdm

    done, num_steps = learner.progress, learner.settings.num_steps
    with tqdm(
        total=num_steps,
        initial=done.step,
        desc="invert",
        disable=None if progress else True,
        leave=False,
    ) as bar:
        while done.step < num_steps and not learner.on_a_plateau():
            loss = learner.step()
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}")
            if path is not None and (done.step % every == 0 or interrupted.is_set()):
                write_checkpoint(path, done, learner.origin)
            _stop_if(interrupted, learner, path)
            if callback is not None:
                with learner.attachment.suspended():
                    callback(InversionStep(done.step, num_steps, loss, learner.motion))
    if path is not None:
        write_checkpoint(path, done, learner.origin)
    _stop_if(interrupted, learner, path)


def _stop_if(interrupted: threading.Event, learner: Learner, path: str | Path | None) -> None:
    if interrupted.is_set():
        step, num_steps = learner.progress.step, learner.settings.num_steps
        raise InversionInterrupted(_how_to_go_on(step, num_steps, path))


def _how_to_go_on(step: int, num_steps: int, path: str | Path | None) -> str:
    if path is None:
        return (
            f"interrupted after step {step} of {num_steps}; nothing is kept, for want of a "
            "checkpoint to write to"
        )
    return f"interrupted after step {step} of {num_steps}; go on with resume_from={str(path)!r}"
