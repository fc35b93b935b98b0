"""Videos made by the embedded text-to-video model, from the weights that come with Kinema."""

import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from kinema.measure import judge
from kinema.measure.obedience import sample
from kinema.sprites import GUIDANCE, text_to_video
from kinema.video import write_video

CAPTIONS = (
    "a large red circle on a black background, moving right",
    "a large yellow star on a navy background, circling clockwise",
    "a large green cross on a gradient background, bouncing",
    "a large white triangle on a grey background",
)
NUM_STEPS = 25


@dataclass(frozen=True)
class Generated:
    """One video: its caption, file name, and the words the exact judge finds in its pixels."""

    caption: str
    file: str
    seen: dict[str, str | None]
    seconds: float


def generate_samples(folder: Path, *, seed: int = 0, progress: bool = True) -> list[Generated]:
    """Sample a video for each of `CAPTIONS`, write it to `folder`, and judge it."""
    pipeline = text_to_video()
    pipeline.set_progress_bar_config(disable=True)
    made = []
    for k, caption in enumerate(
        tqdm(CAPTIONS, desc="generate", unit="video", disable=None if progress else True)
    ):
        started = time.monotonic()
        video = sample(pipeline, [caption], seeds=[seed], num_steps=NUM_STEPS, guidance=GUIDANCE)
        seconds = time.monotonic() - started
        file = f"generated-{k}.mp4"
        write_video(folder / file, video[0], frames_per_second=8)
        made.append(Generated(caption, file, judge(video).words(0), seconds))
    return made
