"""How often the judge itself is wrong: rendered videos, disturbed, judged and compared."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import InputError
from kinema.measure.judge import judge
from kinema.measure.judgement import WORDS
from kinema.sprites import render, sample_scenes
from kinema.sprites.shapes import ROTATION_ORDER


@dataclass(frozen=True)
class JudgeError:
    """The judge against the truth, over `num_videos` rendered videos.

    Attributes:
        num_videos: how many videos were judged.
        psnr: of the disturbed videos against the rendered ones, in decibels; infinite if equal.
        size, colour, shape, background, motion: share of words that are right.
        appearance: share of videos with colour, shape and background all right.
        one_sprite: share of videos found to have one sprite throughout, as all of them have.
        colour_changes, shape_changes: mean share of neighbouring frames whose votes differ; 0 is
            right.
        position: mean distance from the true centre, in frame widths (not half ones).
        position_95: its 95th percentile over all frames.
        radius: mean of |measured / true - 1|.
        rotation: mean deviation modulo the shape's symmetry, in degrees, over the shapes that show
            a rotation.
    """

    num_videos: int
    psnr: float
    size: float
    colour: float
    shape: float
    background: float
    motion: float
    appearance: float
    one_sprite: float
    colour_changes: float
    shape_changes: float
    position: float
    position_95: float
    radius: float
    rotation: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def degrade(video: Tensor, *, noise: float, blur: float, seed: int) -> Tensor:
    """Blur `video` (..., H, W) and add Gaussian noise, as a stand-in for an autoencoder.

    Args:
        video: in [0, 1].
        noise: standard deviation, in [0, 1] units, of pixels that are independent.
        blur: standard deviation of a Gaussian, in pixels.
        seed: of the noise.
    """
    if blur:
        reach = math.ceil(3 * blur)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / blur).square())
        kernel = (kernel / kernel.sum()).to(video)
        planes = video.reshape(-1, 1, *video.shape[-2:])
        planes = F.pad(planes, (reach,) * 4, mode="replicate")
        planes = F.conv2d(F.conv2d(planes, kernel[None, None, None]), kernel[None, None, :, None])
        video = planes.view(video.shape)
    if noise:
        generator = torch.Generator().manual_seed(seed)
        video = video + noise * torch.randn(video.shape, generator=generator).to(video)
    return video.clamp(0, 1)


def judge_error(
    num_videos: int,
    *,
    seed: int,
    noise: float = 0.03,
    blur: float = 0.6,
    through: Callable[[Tensor], Tensor] | None = None,
    num_frames: int = 16,
    height: int = 64,
    width: int = 64,
) -> JudgeError:
    """Render `num_videos` scenes of every kind, disturb them, judge them and count the mistakes.

    Args:
        num_videos: 1 or more.
        seed: of the scenes and the noise.
        noise: standard deviation of Gaussian pixel noise, in [0, 1] units.
        blur: standard deviation of a Gaussian blur, in pixels.
        through: what else to do to a video (B, T, 3, H, W) in [0, 1] before it is judged, after
            blur and noise: an autoencoder's encoding and decoding. Called on 16 videos at a time.
        num_frames: of each video.
        height: in pixels.
        width: in pixels.

    Raises:
        InputError: `num_videos` is below 1, or `noise` or `blur` is negative.
    """
    if num_videos < 1 or noise < 0 or blur < 0:
        raise InputError(
            f"num_videos is {num_videos}, noise {noise} and blur {blur}; give 1 or more videos and "
            "0 or more of the others"
        )
    scenes = sample_scenes(num_videos, seed=seed)
    squared_error = 0.0
    per_video: dict[str, list[Tensor]] = {}
    per_frame: dict[str, list[Tensor]] = {}
    for first in range(0, num_videos, 16):
        truth = render(
            scenes[first : first + 16], num_frames=num_frames, height=height, width=width
        )
        video = degrade(truth.video, noise=noise, blur=blur, seed=seed + first)
        if through is not None:
            video = through(video)
        squared_error += (video - truth.video).square().flatten(1).mean(dim=1).sum().item()
        found = judge(video)
        for name, values in {
            **found.agreement(truth.descriptions),
            "one_sprite": found.one_sprite,
            "colour_changes": found.colour_changes,
            "shape_changes": found.shape_changes,
        }.items():
            per_video.setdefault(name, []).append(values.float())
        order = torch.tensor([ROTATION_ORDER[said.shape] for said in truth.descriptions])
        turns = order > 0
        apart = (found.rotation - truth.rotation)[turns]
        sector = 2 * math.pi / order[turns, None]
        apart = (apart - sector * torch.round(apart / sector)).abs()
        for name, values in {
            # Positions are in half frame widths of the shorter side.
            "position": (found.trajectory - truth.trajectory).norm(dim=-1) / 2,
            "radius": (found.radius / truth.scale - 1).abs(),
            "rotation": torch.rad2deg(apart),
        }.items():
            per_frame.setdefault(name, []).append(values.flatten())
    mean = {name: torch.cat(values).mean().item() for name, values in per_video.items()}
    frames = {name: torch.cat(values) for name, values in per_frame.items()}
    mean_squared_error = squared_error / num_videos
    return JudgeError(
        num_videos=num_videos,
        psnr=-10 * math.log10(mean_squared_error) if mean_squared_error else math.inf,
        position=frames["position"].mean().item(),
        position_95=frames["position"].quantile(0.95).item(),
        radius=frames["radius"].mean().item(),
        rotation=frames["rotation"].mean().item() if len(frames["rotation"]) else 0.0,
        **{name: mean[name] for name in (*WORDS, "appearance", "one_sprite")},
        colour_changes=mean["colour_changes"],
        shape_changes=mean["shape_changes"],
    )
