"""One motion, learned from one clip and given to other prompts, scored by the exact judge."""

import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from kinema.measure import displacement_cosine, judge
from kinema.motion_inversion import InversionSettings, fitted_reference, generate, invert
from kinema.motion_prompt import MotionPrompt
from kinema.motion_prompt.see import Sight, see
from kinema.sprites import GUIDANCE, MOTIONS, parse_caption, render, scenes_of, text_to_video
from kinema.video import write_video

REFERENCE, MOTION = "reference.mp4", "motion.safetensors"
REFERENCE_CAPTION = "a large yellow square on a black background"
REFERENCE_MOTION = "circle-clockwise"
PROMPTS = (
    "a large red circle on a grey background",
    "a large white star on a navy background",
    "a large green cross on a gradient background",
)
SETTINGS = InversionSettings()
NUM_STEPS = 25
_SEED = 7
_FRAMES_PER_SECOND = 8.0


@dataclass(frozen=True)
class Transfer:
    """One video of a prompt that names no motion, and how it goes.

    Attributes:
        file: of the video.
        cosine: of its displacements with those of the reference, in [-1, 1].
        seen: the words that the exact judge finds in its pixels.
        appearance: whether colour, shape and background are the prompt's.
    """

    file: str
    cosine: float
    seen: dict[str, str | None]
    appearance: bool


@dataclass(frozen=True)
class Reuse:
    """What this half of the demonstration made.

    Attributes:
        sight: the reference through the learned motion prompt.
        rows: a prompt, its video without and its video with the motion.
        num_numbers: learned for the motion.
        file_bytes: size of the motion's file.
        seconds: that learning it took.
    """

    sight: Sight
    rows: list[tuple[str, Transfer, Transfer]]
    num_numbers: int
    file_bytes: int
    seconds: float

    def mean_cosine(self, *, with_motion: bool) -> float:
        """Return the mean cosine over the prompts."""
        chosen = [row[2] if with_motion else row[1] for row in self.rows]
        return sum(transfer.cosine for transfer in chosen) / len(chosen)


def reuse(folder: Path, *, prompt: MotionPrompt, progress: bool = True) -> Reuse:
    """Render a reference, see it, learn its motion and give that to other prompts.

    Args:
        folder: where videos and the motion's file go.
        prompt: the motion prompt to see the reference with.
        progress: show bars.
    """
    path = folder / REFERENCE
    write_video(path, _reference(), frames_per_second=_FRAMES_PER_SECOND)
    sight = see(path, folder / "reference", prompt=prompt, size=128)

    pipe = text_to_video()
    started = time.monotonic()
    motion = invert(
        pipe, path, prompt=REFERENCE_CAPTION, settings=SETTINGS, seed=_SEED, progress=progress
    )
    seconds = time.monotonic() - started
    motion.save(folder / MOTION)
    wanted = judge(fitted_reference(pipe, path).video[None]).trajectory
    rows = []
    for k, text in enumerate(
        tqdm(PROMPTS, desc="give the motion", unit="prompt", disable=None if progress else True)
    ):
        made = []
        for each, file in ((None, f"without-{k}.mp4"), (motion, f"with-{k}.mp4")):
            video = generate(
                pipe, text, motion=each, seed=_SEED, num_steps=NUM_STEPS, guidance=GUIDANCE
            )
            write_video(folder / file, video, frames_per_second=_FRAMES_PER_SECOND)
            made.append(_judged(video, text, file, wanted))
        rows.append((text, made[0], made[1]))
    return Reuse(sight, rows, motion.num_numbers, (folder / MOTION).stat().st_size, seconds)


def _reference() -> Tensor:
    """Render the clip to learn from, `(16, 3, 256, 256)`: larger than the model's, as a user's."""
    scenes = scenes_of([f"{REFERENCE_CAPTION}, {MOTIONS[REFERENCE_MOTION]}"], seed=_SEED)
    return render(scenes, num_frames=16, height=256, width=256).video[0]


def _judged(video: Tensor, text: str, file: str, wanted: Tensor) -> Transfer:
    verdict = judge(video[None])
    return Transfer(
        file,
        displacement_cosine(verdict.trajectory, wanted).item(),
        verdict.words(0),
        bool(verdict.agreement([parse_caption(text)])["appearance"][0]),
    )
