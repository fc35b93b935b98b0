"""Run the demonstration from start to page."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kinema.demo.generate import generate_samples
from kinema.demo.page import Demonstration, write_page
from kinema.demo.perceive import CLASSES, Settings, compare
from kinema.demo.reuse import reuse
from kinema.errors import InputError
from kinema.files import output_folder, replacing
from kinema.motion_prompt import MotionPrompt
from kinema.motion_prompt.see import Sight, see
from kinema.sprites import MOTIONS, render, sample_scenes
from kinema.video import contact_sheet, write_image, write_video

SPRITES_VIDEO = "sprites.mp4"
_FRAMES_PER_SECOND = 8.0


def run_demo(
    folder: str | Path,
    *,
    video: str | Path | None = None,
    seeds: Sequence[int] = (0,),
    settings: Settings | None = None,
    progress: bool = True,
) -> tuple[Demonstration, Path]:
    """Learn a motion prompt, see with it, learn a motion, reuse it, and write a page about it all.

    Args:
        folder: where to; what an earlier run left there is replaced.
        video: what to see with the learned prompt, beside the sprites.
        seeds: the comparison is trained once for each.
        settings: of the comparison.
        progress: show bars.

    Returns:
        What was made, and the path of the page that shows it.

    Raises:
        InputError: the video cannot be seen, or the folder not written to; nothing is trained
            before that is known.
    """
    started = time.monotonic()
    settings = settings or Settings()
    if not seeds:
        raise InputError("no seed is given; give one or more")
    if video is not None:
        # Find out before minutes of training whether the video can be seen at all.
        see(video, Path(folder) / "yours", num_frames=8)
    folder = output_folder(folder)

    _write_class_sheet(folder / "classes.png", settings)
    clip = _write_sprites(folder / SPRITES_VIDEO, settings)
    comparison = compare(seeds=list(seeds), settings=settings, progress=progress)
    learned = comparison.with_prompt[0].prompt
    assert learned is not None
    _plot_normalisation(folder / "normalisation.png", learned)

    sights: list[tuple[str, str, Sight]] = []
    sights.append(
        ("sprites", "A sprites clip", see(clip, folder / "sprites", prompt=learned, size=128))
    )
    if video is not None:
        sights.append(("yours", Path(video).name, see(video, folder / "yours", prompt=learned)))
    demonstration = Demonstration(
        settings=settings,
        seeds=list(seeds),
        comparison=comparison,
        sights=sights,
        generated=generate_samples(folder, progress=progress),
        reuse=reuse(folder, prompt=learned, progress=progress),
        seconds=time.monotonic() - started,
    )
    return demonstration, write_page(folder, demonstration)


def _clip_of_each_class(settings: Settings, *, seed: int, num_frames: int, size: int) -> Tensor:
    """Render one clip of each class as the models see it, larger: (K, T, 3, H, W)."""
    videos = [
        render(
            sample_scenes(1, seed=seed + k, motions=[name], nuisances=settings.nuisances),
            num_frames=num_frames,
            height=size,
            width=size,
        ).video
        for k, name in enumerate(CLASSES)
    ]
    return torch.cat(videos)


def _write_class_sheet(path: Path, settings: Settings) -> None:
    videos = _clip_of_each_class(settings, seed=50, num_frames=settings.num_frames, size=64)
    rows = {MOTIONS[name]: video for name, video in zip(CLASSES, videos, strict=True)}
    write_image(path, contact_sheet(rows, num_columns=settings.num_frames, tile_height=64))


def _write_sprites(path: Path, settings: Settings) -> Path:
    videos = _clip_of_each_class(settings, seed=60, num_frames=17, size=128)
    # Four classes after one another: right, circle, grow, shake.
    chosen = [CLASSES.index(name) for name in ("right", "circle-clockwise", "grow", "shake")]
    write_video(path, videos[chosen].flatten(0, 1), frames_per_second=_FRAMES_PER_SECOND)
    return path


def _plot_normalisation(path: Path, learned: MotionPrompt) -> None:
    """Plot the power normalisation at birth and as learned, over all differences."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    difference = torch.linspace(-1, 1, 401)
    with torch.no_grad():
        axes.plot(difference, MotionPrompt().normalisation(difference), "--", label="at birth")
        axes.plot(difference, learned.normalisation(difference), label="learned")
    axes.set(xlabel="difference of neighbouring frames", ylabel="attention", ylim=(-0.03, 1.03))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
