"""Draw scenes: anti-aliased shapes on a background, with the truth of every frame beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.sprites.backgrounds import background_colours, background_weight
from kinema.sprites.motions import pose, wander
from kinema.sprites.scenes import MOTION_NAMES, WANDERS, Scenes
from kinema.sprites.shapes import signed_distance
from kinema.sprites.words import BACKGROUNDS, COLOURS, SHAPES, Description


@dataclass(frozen=True)
class Rendering:
    """B videos and what is true of them.

    Lengths are in half frame widths (of the shorter side), x right and y down, the middle of the
    frame at 0: a position in [-1, 1] is inside the frame.

    Attributes:
        video: (B, T, 3, H, W) float32 in [0, 1].
        trajectory: centre of the sprite on the screen, (B, T, 2).
        scale: radius of the sprite, (B, T).
        rotation: radians clockwise as seen, (B, T).
        camera: how far the world has moved on the screen, (B, T, 2).
        descriptions: what each video shows, in words.
    """

    video: Tensor
    trajectory: Tensor
    scale: Tensor
    rotation: Tensor
    camera: Tensor
    descriptions: list[Description]


def render(scenes: Scenes, *, num_frames: int = 16, height: int = 64, width: int = 64) -> Rendering:
    """Render every scene.

    Raises:
        InputError: `num_frames`, `height` or `width` is below 1.
    """
    for name, value in (("num_frames", num_frames), ("height", height), ("width", width)):
        if value < 1:
            raise InputError(f"{name} is {value}; give 1 or more")
    moment = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.tensor([0.5])
    num_scenes = len(scenes)

    offset = torch.zeros(num_scenes, num_frames, 2)
    scale = torch.ones(num_scenes, num_frames)
    rotation = torch.zeros(num_scenes, num_frames)
    for index in scenes.motion.unique().tolist():
        rows = scenes.motion == index
        if index == WANDERS:
            posed = wander(moment, scenes.way[rows])
        else:
            extent, phase = scenes.extent[rows], scenes.phase[rows]
            posed = pose(MOTION_NAMES[index], moment, extent=extent, phase=phase)
        offset[rows], scale[rows], rotation[rows] = posed.offset, posed.scale, posed.rotation
    camera = scenes.camera[:, None, :] * (moment[None, :, None] - 0.5)
    trajectory = scenes.centre[:, None, :] + offset + camera
    scale = scenes.radius[:, None] * scale
    rotation = scenes.tilt[:, None] + rotation

    pixel = 2 / min(height, width)
    x = ((torch.arange(width) + 0.5) * pixel - width * pixel / 2)[None, None, None, :]
    y = ((torch.arange(height) + 0.5) * pixel - height * pixel / 2)[None, None, :, None]

    video = _draw_backgrounds(scenes, camera, x, y, pixel)
    palette = torch.tensor(list(COLOURS.values()))
    drift = moment[None, :, None] - 0.5
    for k in range(scenes.distractors.shape[1]):
        thing = scenes.distractors[:, k]
        _draw_shapes(
            video,
            thing[:, 0].long(),
            palette[thing[:, 1].long()],
            thing[:, None, 3:5] + thing[:, None, 5:7] * drift + camera,
            thing[:, 2, None].expand(-1, num_frames),
            torch.zeros(num_scenes, num_frames),
            x,
            y,
            pixel,
        )
    _draw_shapes(
        video, scenes.shape, palette[scenes.colour], trajectory, scale, rotation, x, y, pixel
    )
    _disturb(video, scenes)
    return Rendering(
        video=video,
        trajectory=trajectory,
        scale=scale,
        rotation=rotation,
        camera=camera,
        descriptions=scenes.descriptions(),
    )


def _draw_backgrounds(scenes: Scenes, camera: Tensor, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    num_scenes, num_frames = camera.shape[:2]
    # A still camera sees one picture: draw it once and repeat it.
    views = camera if scenes.nuisances.camera else camera[:, :1]
    video = torch.empty(num_scenes, num_frames, 3, y.shape[2], x.shape[3])
    for index in scenes.background.unique().tolist():
        rows = scenes.background == index
        weight = background_weight(
            BACKGROUNDS[index],
            x - views[rows][..., 0, None, None] + torch.zeros_like(y),
            y - views[rows][..., 1, None, None] + torch.zeros_like(x),
            angle=scenes.background_angle[rows][:, None, None, None],
            phase=scenes.background_phase[rows][:, None, None, None],
            pixel=pixel,
        )[:, :, None]
        first, second = (
            torch.tensor(colour)[:, None, None] for colour in background_colours(BACKGROUNDS[index])
        )
        video[rows] = torch.lerp(first, second, weight).expand(-1, num_frames, -1, -1, -1)
    return video


def _draw_shapes(
    video: Tensor,
    shape: Tensor,
    colour: Tensor,
    centre: Tensor,
    radius: Tensor,
    rotation: Tensor,
    x: Tensor,
    y: Tensor,
    pixel: float,
) -> None:
    """Draw a shape into every video, in place; colour (B, 3), centre (B, T, 2), others (B, T)."""
    coverage = torch.empty(*video.shape[:2], *video.shape[3:])
    for index in shape.unique().tolist():
        rows = shape == index
        size = radius[rows][..., None, None]
        right = (x - centre[rows][..., 0, None, None]) / size
        down = (y - centre[rows][..., 1, None, None]) / size
        cosine, sine = rotation[rows].cos()[..., None, None], rotation[rows].sin()[..., None, None]
        distance = signed_distance(
            SHAPES[index], cosine * right + sine * down, cosine * down - sine * right
        )
        coverage[rows] = (0.5 - distance * size / pixel).clamp(0, 1)
    # lerp_ reads and writes the video once, where a * (1 - c) + b * c would make three copies.
    video.lerp_(colour[:, None, :, None, None].expand_as(video), coverage[:, :, None])


def _disturb(video: Tensor, scenes: Scenes) -> None:
    """Add flicker, then noise, in place; each scene's are its own, whatever is rendered with it."""
    flicker, noise = scenes.nuisances.flicker, scenes.nuisances.noise
    if not (flicker or noise):
        return
    for each, seed in zip(video, scenes.disturbance.tolist(), strict=True):
        # Sums of seeds may have gone round.
        generator = torch.Generator().manual_seed(seed % 2**63)
        if flicker:
            each.mul_(1 + flicker * (2 * torch.rand(len(each), 1, 1, 1, generator=generator) - 1))
        if noise:
            each.add_(torch.randn(each.shape, generator=generator), alpha=noise)
    video.clamp_(0, 1)
