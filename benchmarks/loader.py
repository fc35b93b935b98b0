"""Clips a second of our loader against plain PyAV in one thread.

Both give batches of training clips: frames spread over the video, shorter side drawn at random,
one random crop and mirror for all frames, normalised. "plain" is what one writes first: decode
the whole video in this process, then convert, resize, crop and normalise the chosen frames one by
one. Decoding alone in one thread, the chosen frames as they are, is the limit of a core. The three
take turns within a run, and the loader's workers are started before the clock. Then a clip has
more frames. Without --data the videos are rendered sprites.

    python benchmarks/loader.py --data ut-interaction --json loader.json
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import torch
from growth import draw_growth, print_growth
from report import write_report
from torch import Tensor
from torch.nn import functional as F

from kinema.datasets import ClipList, VideoDataset, folder, loader, ut_interaction
from kinema.sprites import render, sample_scenes
from kinema.video import read_video, write_video

MEAN, STD = 0.45, 0.225
PLAIN, OURS, LIMIT = "plain PyAV, one thread", "kinema loader", "decoding alone, one thread"


def plain_clip(path: Path, *, num_frames: int, size: int) -> Tensor:
    """`(T, 3, size, size)`, one step after the other."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = list(container.decode(video=0))
    places = (int((i + random.random()) * len(frames) / num_frames) for i in range(num_frames))
    # Without threads=1 the conversion would start a pool of them, and be slower for it.
    chosen = [frames[min(p, len(frames) - 1)].to_ndarray(format="rgb24", threads=1) for p in places]
    height, width = chosen[0].shape[:2]
    short_side = random.randint(round(size * 8 / 7), round(size * 10 / 7))
    scale = short_side / min(height, width)
    height, width = round(height * scale), round(width * scale)
    top, left = random.randint(0, height - size), random.randint(0, width - size)
    mirrored = random.random() < 0.5
    prepared = []
    for picture in chosen:
        frame = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
        frame = F.interpolate(
            frame[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )[0]
        frame = frame[:, top : top + size, left : left + size]
        frame = frame.flip(-1) if mirrored else frame
        prepared.append((frame - MEAN) / STD)
    return torch.stack(prepared)


def plain_batches(
    clips: ClipList, *, num_frames: int, size: int, batch_size: int
) -> Iterator[Tensor]:
    """An epoch in random order."""
    order = random.sample(range(len(clips)), len(clips))
    for start in range(0, len(order), batch_size):
        some = order[start : start + batch_size]
        yield torch.stack(
            [plain_clip(clips.clips[i].path, num_frames=num_frames, size=size) for i in some]
        )


def render_videos(root: Path, *, num_videos: int, num_frames: int, height: int, width: int) -> None:
    """Sprites as MP4 files, in two class folders."""
    scenes = sample_scenes(num_videos, seed=0)
    for index in range(num_videos):
        one = scenes[torch.tensor([index])]
        video = render(one, num_frames=num_frames, height=height, width=width).video[0]
        path = root / ("even", "odd")[index % 2] / f"{index}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, video, frames_per_second=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="UT-Interaction, or a folder for each class")
    parser.add_argument("--frames", type=int, default=16, help="in a clip")
    parser.add_argument("--size", type=int, default=112, help="side of the crops")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, help="by default one for each core")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clips", type=int, help="use at most as many clips")
    parser.add_argument("--video-frames", type=int, default=120, help="of a rendered video")
    parser.add_argument("--growth", type=int, nargs="*", default=[4, 32], help="other lengths")
    parser.add_argument("--plot", type=Path, help="draw how the rate falls with frames")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)

    with tempfile.TemporaryDirectory() as made:
        root = settings.data or Path(made)
        if settings.data is None:
            render_videos(
                root,
                num_videos=settings.clips or 32,
                num_frames=settings.video_frames,
                height=240,
                width=320,
            )
        if (root / "segmented_set1").is_dir():
            clips = ut_interaction(root, across="set1", subset="train")
        else:
            clips = folder(root)
        # Every class keeps its share when there are to be fewer.
        step = max(1, len(clips) // (settings.clips or len(clips)))
        clips = clips.subset(list(range(0, len(clips), step))[: settings.clips])
        figures = compare(clips, settings, num_frames=settings.frames)
        by_frames = {settings.frames: figures}
        for length in settings.growth:
            by_frames[length] = compare(clips, settings, num_frames=length)

    print(
        f"clips a second: {len(clips)} clips of {clips.name}, {settings.frames} frames at "
        f"{settings.size}x{settings.size}, {settings.repeats} repeats in turn"
    )
    print(f"{'':28}{'median':>9}{'least':>9}{'most':>9}")
    for name, found in figures.items():
        print(f"{name:28}{found['median']:9.1f}{found['least']:9.1f}{found['most']:9.1f}")
    ratio = figures[OURS]["median"] / figures[PLAIN]["median"]
    print(f"kinema is {ratio:.2f} times as fast")
    growth = {
        "frames": {
            length: {name: found["median"] for name, found in rates.items()}
            for length, rates in sorted(by_frames.items())
        }
    }
    print_growth(growth, unit="clips a second")
    if settings.plot:
        draw_growth(growth, settings.plot, unit="clips a second")
    if settings.json:
        write_report(
            settings.json,
            cores=os.cpu_count(),
            clips=f"{len(clips)} of {clips.name}" if settings.data else "rendered sprites",
            clips_per_second=figures,
            growth=growth,
        )


def compare(
    clips: ClipList, settings: argparse.Namespace, *, num_frames: int
) -> dict[str, dict[str, float]]:
    """Time an epoch of each in turn, `repeats` times; the first of each is not counted."""
    dataset = VideoDataset(
        clips,
        num_frames=num_frames,
        frame_stride=None,
        size=settings.size,
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
        training=True,
    )
    batches = loader(
        dataset, batch_size=settings.batch_size, num_workers=settings.workers, shuffle=True
    )
    found: dict[str, list[float]] = {PLAIN: [], OURS: [], LIMIT: []}
    for epoch in range(settings.repeats + 1):
        dataset.set_epoch(epoch)
        start = time.perf_counter()
        num_plain = sum(
            len(batch)
            for batch in plain_batches(
                clips,
                num_frames=num_frames,
                size=settings.size,
                batch_size=settings.batch_size,
            )
        )
        middle = time.perf_counter()
        num_ours = sum(len(batch["labels"]) for batch in batches)
        end = time.perf_counter()
        for clip in clips.clips:
            read_video(clip.path, num_frames=num_frames, start=clip.start, end=clip.end)
        last = time.perf_counter()
        if epoch:
            found[PLAIN].append(num_plain / (middle - start))
            found[OURS].append(num_ours / (end - middle))
            found[LIMIT].append(len(clips) / (last - end))
    return {
        name: {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
        for name, rates in found.items()
    }


if __name__ == "__main__":
    main()
