"""The backgrounds: endless pictures of the plane, so that a camera may look anywhere.

All are dimmer and greyer than every sprite colour, and each family has a hue of its own.
"""

import math

import torch
from torch import Tensor

from kinema.sprites.words import BACKGROUNDS

PLAIN: dict[str, tuple[float, float, float]] = {
    "black": (0.02, 0.02, 0.02),
    "grey": (0.42, 0.42, 0.42),
    "navy": (0.05, 0.07, 0.30),
}
GRADIENT = ((0.02, 0.08, 0.10), (0.12, 0.46, 0.48))
STRIPES = ((0.22, 0.14, 0.09), (0.52, 0.40, 0.27))
TEXTURE = ((0.12, 0.20, 0.08), (0.44, 0.50, 0.32))
STRIPE_PERIOD = 0.55
"""In half frame widths, one dark and one light stripe."""

NUM_STRIPE_ANGLES = 4
_TEXTURE_WAVES = 5


def _texture_weight(x: Tensor, y: Tensor) -> Tensor:
    """Return a fixed quasi-periodic field in [0, 1]: crossed waves, without period or axis."""
    total = torch.zeros_like(x)
    for k in range(_TEXTURE_WAVES):
        angle = k * math.pi * (3 - math.sqrt(5))
        frequency = 4.0 + 0.8 * k
        total += torch.sin(frequency * (x * math.cos(angle) + y * math.sin(angle)) + 1.7 * k)
    return torch.sigmoid(1.3 * total)


def background_weight(
    background: str, x: Tensor, y: Tensor, *, angle: Tensor, phase: Tensor, pixel: float
) -> Tensor:
    """Return the share in [0, 1] of a background's second colour at each point.

    Args:
        background: one of `BACKGROUNDS`.
        x: abscissas in half frame widths, (B, T, H, W).
        y: ordinates downwards, (B, T, H, W).
        angle: in [0, 1), which way a gradient or stripes run, (B, 1, 1, 1).
        phase: in [0, 1), where stripes or texture begin, (B, 1, 1, 1).
        pixel: width of a pixel in half frame widths, for anti-aliasing.
    """
    if background in PLAIN:
        return torch.zeros_like(x)
    if background == "gradient":
        turn = 2 * math.pi * angle
        # Wide enough that a camera or a corner still sees a slope, flat beyond.
        return ((x * torch.cos(turn) + y * torch.sin(turn)) / 2.4 + 0.5).clamp(0, 1)
    if background == "striped":
        turn = math.pi * torch.floor(angle * NUM_STRIPE_ANGLES) / NUM_STRIPE_ANGLES
        along = (x * torch.cos(turn) + y * torch.sin(turn)) / STRIPE_PERIOD + phase
        triangle_wave = 0.25 - (along - torch.floor(along) - 0.5).abs()
        return (triangle_wave * STRIPE_PERIOD / pixel + 0.5).clamp(0, 1)
    if background == "textured":
        return _texture_weight(x + 9 * (phase - 0.5), y + 9 * (angle - 0.5))
    raise ValueError(f"background {background!r} is not one of {BACKGROUNDS}")


def background_colours(background: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the two RGB colours in [0, 1] between which `background_weight` mixes."""
    if background in PLAIN:
        return PLAIN[background], PLAIN[background]
    return {"gradient": GRADIENT, "striped": STRIPES, "textured": TEXTURE}[background]
