"""The motions: where a sprite is, how large and how turned, at each moment of a clip."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.sprites.words import DIRECTIONS, MOTIONS

TRAVEL = 0.92
"""Length of a straight path in half frame widths, at extent 1."""

CIRCLE_RADIUS = 0.38
SHAKE_AMPLITUDE = 0.14
SHAKE_CYCLES = 3.25
ZIGZAG_AMPLITUDE = 0.25
ZIGZAG_CYCLES = 2.0
BOUNCE_HEIGHT = 0.70
BOUNCES = 2
SCALE_RANGE = (0.68, 1.36)
SPIN_TURNS = 0.5


@dataclass(frozen=True)
class Pose:
    """A sprite over time: `offset` (B, T, 2) from its centre, `scale` (B, T), `rotation` (B, T)."""

    offset: Tensor
    scale: Tensor
    rotation: Tensor


def pose(motion: str, moment: Tensor, *, extent: Tensor, phase: Tensor) -> Pose:
    """Return how `motion` poses a sprite.

    Args:
        motion: a key of `MOTIONS`.
        moment: share of the clip that has passed, in [0, 1], (T,).
        extent: how far or fast, around 1, (B,).
        phase: in [0, 1), where a cyclic motion begins, (B,).

    Returns:
        Offsets in half frame widths (x right, y down), scale as a factor, rotation in radians
        clockwise as seen.
    """
    u = moment[None, :]
    way: Tensor | float
    extent, phase = extent[:, None], phase[:, None]
    still = torch.zeros(extent.shape[0], moment.shape[0], dtype=moment.dtype)
    x, y, scale, rotation = still, still, still + 1, still
    if motion in DIRECTIONS:
        heading = math.pi / 4 * DIRECTIONS.index(motion)
        along = TRAVEL * extent * (u - 0.5)
        x, y = along * math.cos(heading), along * math.sin(heading)
    elif motion.startswith("circle"):
        way = 1 if motion == "circle-clockwise" else -1
        turn = 2 * math.pi * (phase + way * u)
        x, y = CIRCLE_RADIUS * extent * torch.cos(turn), CIRCLE_RADIUS * extent * torch.sin(turn)
    elif motion == "zigzag":
        way = torch.where(phase < 0.5, 1.0, -1.0)
        x = way * TRAVEL * extent * (u - 0.5)
        along = ZIGZAG_CYCLES * u + 0.25
        y = ZIGZAG_AMPLITUDE * (4 * (along - torch.floor(along) - 0.5).abs() - 1) + still
    elif motion == "bounce":
        height = torch.sin(math.pi * BOUNCES * u).abs()
        y = BOUNCE_HEIGHT * extent * (0.5 - height)
        x = still
    elif motion in ("grow", "shrink"):
        low, high = SCALE_RANGE
        first, last = (low, high) if motion == "grow" else (high, low)
        scale = first * (last / first) ** u + still
    elif motion.startswith("spin"):
        way = 1 if motion == "spin-clockwise" else -1
        rotation = way * 2 * math.pi * SPIN_TURNS * extent * u
    elif motion == "shake":
        x = SHAKE_AMPLITUDE * extent * torch.sin(2 * math.pi * (SHAKE_CYCLES * u + phase))
    elif motion != "still":
        raise ValueError(f"motion {motion!r} is not one of {tuple(MOTIONS)}")
    return Pose(torch.stack((x + still, y + still), dim=-1), scale, rotation)


def wander(moment: Tensor, way: Tensor) -> Pose:
    """Return how a sprite goes a way that has no name, evenly, straight or along an arc.

    Named motions come in steps: eight headings, each about as far. Here is what lies between them,
    and what is slower.

    Args:
        moment: share of the clip that has passed, in [0, 1], (T,).
        way: length in half frame widths; heading half way, and by how much it turns from the first
            to the last frame, in radians clockwise as seen, 0 to the right, (B, 3).
    """
    length, heading, bend = way[:, :, None].unbind(dim=1)
    passed = moment[None, :] - 0.5
    # The chord from half way: of an arc that turns by 2 a, sin(a) / a as long as the arc.
    turned = bend * passed / 2
    chord = length * passed * torch.sinc(turned / math.pi)
    offset = chord[..., None] * torch.stack(
        ((heading + turned).cos(), (heading + turned).sin()), dim=-1
    )
    return Pose(offset, torch.ones_like(chord), torch.zeros_like(chord))
