"""What the embedded autoencoder loses: PSNR on rendered sprites and, where given, on real clips.

A real clip is resized to 64 pixels on its shorter side, cut to its middle square, and judged on 16
frames spread over it.

    python benchmarks/autoencoder_psnr.py --clips FOLDER --json autoencoder_psnr.json
"""

import argparse
import statistics
from pathlib import Path

from report import write_report
from torch import Tensor

from kinema.measure.obedience import rebuild
from kinema.sprites import BACKGROUNDS, Nuisances, render, sample_scenes, text_to_video
from kinema.video import find_videos, read_video

CLUTTER = Nuisances(camera=0.3, distractors=3)


def psnr(video: Tensor, rebuilt: Tensor) -> list[float]:
    """Peak signal-to-noise ratio in dB of each frame of (B, T, 3, H, W) in [0, 1]."""
    error = (video - rebuilt).square().flatten(0, 1).flatten(1).mean(dim=1)
    return (-10 * error.clamp_min(1e-10).log10()).tolist()


def middle_square(video: Tensor) -> Tensor:
    top, left = ((side - 64) // 2 for side in video.shape[-2:])
    return video[..., top : top + 64, left : left + 64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=24, help="rendered, of each kind")
    parser.add_argument("--clips", type=Path, help="a folder of real clips")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    vae = text_to_video().vae
    found: dict[str, list[float]] = {}
    for background in BACKGROUNDS:
        scenes = sample_scenes(arguments.videos, seed=7, backgrounds=[background])
        video = render(scenes).video
        found[f"sprites on {background}"] = psnr(video, rebuild(vae, video))
    video = render(sample_scenes(arguments.videos, seed=8, nuisances=CLUTTER)).video
    found["sprites with clutter and camera"] = psnr(video, rebuild(vae, video))
    if arguments.clips:
        for path in find_videos(arguments.clips):
            video = middle_square(read_video(path, num_frames=16, size=64).video)[None]
            found.setdefault("real clips", []).extend(psnr(video, rebuild(vae, video)))

    print(f"{'':32} {'frames':>7} {'mean dB':>8} {'least':>7} {'most':>7}")
    rows = []
    for name, values in found.items():
        row = {"name": name, "frames": len(values), "mean": statistics.fmean(values)}
        row |= {"least": min(values), "most": max(values)}
        rows.append(row)
        print(
            f"{name:32} {row['frames']:7} {row['mean']:8.1f} {row['least']:7.1f} {row['most']:7.1f}"
        )
    if arguments.json:
        write_report(arguments.json, videos=arguments.videos, rows=rows)


if __name__ == "__main__":
    main()
