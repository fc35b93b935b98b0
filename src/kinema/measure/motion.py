"""Which motion a track is: the best fit among the families of `kinema.sprites.motions`.

A family says how position, size and rotation go, up to a middle, an amplitude and, for circles and
shaking, a phase: all linear, so each fit is one projection. Its amplitude is held within a factor
of the renderer's, so that hardly moving is nearer to staying still than to moving.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.sprites import MOTIONS
from kinema.sprites.motions import (
    BOUNCE_HEIGHT,
    BOUNCES,
    CIRCLE_RADIUS,
    SCALE_RANGE,
    SHAKE_AMPLITUDE,
    SHAKE_CYCLES,
    SPIN_TURNS,
    TRAVEL,
    ZIGZAG_AMPLITUDE,
    ZIGZAG_CYCLES,
)
from kinema.sprites.words import DIRECTIONS

LEAST_FRAMES = 4
"""Frames below which a track shows no motion that could be told."""

_POSITION, _SIZE, _TURN = 0.05, 0.08, 0.15
"""Deviations that weigh alike: half frame widths, logarithm of the radius, radians."""

_AMPLITUDES = (0.5, 1.6)
_SPINS = tuple(0.5 + 0.1 * k for k in range(12))
_MOST_COST = 12.0
"""Mean squared deviation, in units of the above, beyond which a track is none of the motions."""


@dataclass(frozen=True)
class Track:
    """How an object moves in B videos of T frames.

    Attributes:
        position: in half frame widths, x right and y down, (B, T, 2).
        radius: in half frame widths, (B, T).
        rotation: radians clockwise as seen, (B, T).
        order: how often the shape maps onto itself in a turn, 0 where no turn can be seen, (B,).
        seen: in which frames the object was there, (B, T) bool.
    """

    position: Tensor
    radius: Tensor
    rotation: Tensor
    order: Tensor
    seen: Tensor


def classify_motion(track: Track) -> tuple[Tensor, Tensor, Tensor]:
    """Return the motion of each track.

    Returns:
        The index into `MOTIONS` (B,), -1 where none fits or the object is seen in fewer than four
        frames or in less than half of them; the margin 1 - best cost / second cost (B,), in
        [0, 1]; and the cost of every motion (B, 18): mean over the frames of the squared deviation
        of position, size and rotation, in units of 0.05 half frame widths, 8 % and 0.15 radians.
    """
    costs = motion_costs(track)
    least, order = costs.sort(dim=1)
    count = track.seen.sum(dim=1)
    enough = (count >= LEAST_FRAMES) & (2 * count >= track.seen.shape[1])
    known = enough & (least[:, 0] < _MOST_COST)
    # A cost of 0.05 is noise: below it no motion is better than another.
    margin = 1 - (least[:, 0] + 0.05) / (least[:, 1] + 0.05)
    return torch.where(known, order[:, 0], -1), torch.where(known, margin, 0.0), costs


def motion_costs(track: Track) -> Tensor:
    """Return the cost of each motion, (B, 18), as `classify_motion` describes it."""
    num_frames = track.seen.shape[1]
    u = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.tensor([0.5])
    u = u.to(track.position)
    weight = track.seen.to(track.position)
    weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1)
    x, y = (track.position / _POSITION).unbind(dim=-1)
    size = track.radius.clamp_min(1e-3).log() / _SIZE

    def centred(values: Tensor) -> Tensor:
        return (values - (weight * values).sum(dim=1, keepdim=True)).expand_as(weight)

    def left_over(values: Tensor, form: Tensor, nominal: float, *, signed: bool = False) -> Tensor:
        """Mean square of `values` less the best multiple of `form`, of about `nominal` times it."""
        values, form = centred(values), centred(form)
        amplitude = (weight * values * form).sum(dim=1) / (weight * form * form).sum(
            dim=1
        ).clamp_min(1e-9)
        amplitude = _hold(amplitude / nominal, signed=signed) * nominal
        return (weight * (values - amplitude[:, None] * form).square()).sum(dim=1)

    at_rest = (weight * centred(x).square()).sum(dim=1), (weight * centred(y).square()).sum(dim=1)
    same_size = (weight * centred(size).square()).sum(dim=1)
    no_turn = _turn_cost(track, weight, u, 0.0)
    base = same_size + no_turn
    costs: dict[str, Tensor] = {"still": at_rest[0] + at_rest[1] + base}

    line = u.expand_as(x)
    for index, name in enumerate(DIRECTIONS):
        turn = math.pi / 4 * index
        along = math.cos(turn) * x + math.sin(turn) * y
        across = math.cos(turn) * y - math.sin(turn) * x
        still_across = (weight * centred(across).square()).sum(dim=1)
        costs[name] = left_over(along, line, TRAVEL / _POSITION) + still_across + base

    for name, way in (("circle-clockwise", 1), ("circle-counterclockwise", -1)):
        costs[name] = base + _circle_cost(
            centred(x), centred(y), weight, 2 * math.pi * way * u, CIRCLE_RADIUS / _POSITION
        )

    cycles = ZIGZAG_CYCLES * u + 0.25
    wave = (4 * (cycles - torch.floor(cycles) - 0.5).abs() - 1).expand_as(x)
    costs["zigzag"] = (
        left_over(x, line, TRAVEL / _POSITION, signed=True)
        + left_over(y, wave, ZIGZAG_AMPLITUDE / _POSITION)
        + base
    )
    height = -torch.sin(math.pi * BOUNCES * u).abs().expand_as(y)
    costs["bounce"] = at_rest[0] + left_over(y, height, BOUNCE_HEIGHT / _POSITION) + base
    shakes, swing = 2 * math.pi * SHAKE_CYCLES * u, SHAKE_AMPLITUDE / _POSITION
    shaken = _wave_cost(centred(x), weight, centred(shakes.sin()), centred(shakes.cos()), swing)
    costs["shake"] = shaken + at_rest[1] + base
    growth = math.log(SCALE_RANGE[1] / SCALE_RANGE[0]) / _SIZE
    for name, way in (("grow", 1), ("shrink", -1)):
        costs[name] = at_rest[0] + at_rest[1] + left_over(size, way * line, growth) + no_turn
    for name, way in (("spin-clockwise", 1), ("spin-counterclockwise", -1)):
        turns = [_turn_cost(track, weight, u, way * SPIN_TURNS * share) for share in _SPINS]
        turned = torch.where(track.order > 0, torch.stack(turns).amin(dim=0), torch.inf)
        costs[name] = at_rest[0] + at_rest[1] + same_size + turned
    stacked = torch.stack([costs[name] for name in MOTIONS], dim=1)
    return stacked.clamp_max(1e6)


def _hold(amplitude: Tensor, *, signed: bool) -> Tensor:
    """Return a relative amplitude held within the allowed range, of either sign if `signed`."""
    if signed:
        sign = torch.where(amplitude < 0, -1.0, 1.0)
        return sign * (sign * amplitude).clamp(*_AMPLITUDES)
    return amplitude.clamp(*_AMPLITUDES)


def _hold_pair(a: Tensor, b: Tensor, nominal: float) -> tuple[Tensor, Tensor]:
    """Scale (a, b) so that its length is held as `_hold` does; no length at all goes along a."""
    length = torch.hypot(a, b)
    nothing = length < 1e-6
    held = _hold(length / nominal, signed=False) * nominal
    scale = held / length.clamp_min(1e-6)
    return torch.where(nothing, held, a * scale), torch.where(nothing, 0.0, b * scale)


def _circle_cost(x: Tensor, y: Tensor, weight: Tensor, turn: Tensor, nominal: float) -> Tensor:
    """Mean square of (x, y) less the best circle `r * (cos(turn + p), sin(turn + p))`."""

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum(dim=1, keepdim=True)

    cosine, sine = turn.cos().expand_as(x), turn.sin().expand_as(x)
    cosine, sine = cosine - mean(cosine), sine - mean(sine)
    power = mean(cosine * cosine + sine * sine)
    # The complex number that multiplies exp(i turn), by projection.
    real = mean(x * cosine + y * sine) / power.clamp_min(1e-9)
    imaginary = mean(y * cosine - x * sine) / power.clamp_min(1e-9)
    real, imaginary = _hold_pair(real, imaginary, nominal)
    left_x = x - (real * cosine - imaginary * sine)
    left_y = y - (real * sine + imaginary * cosine)
    return mean(left_x.square() + left_y.square())[:, 0]


def _wave_cost(x: Tensor, weight: Tensor, sine: Tensor, cosine: Tensor, nominal: float) -> Tensor:
    """Mean square of `x` less the best `a * sine + b * cosine`, of about `nominal` amplitude."""

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum(dim=1)

    # Over a part of a cycle the two are not orthogonal: two equations for a and b.
    ss, sc, cc = mean(sine * sine), mean(sine * cosine), mean(cosine * cosine)
    sx, cx = mean(sine * x), mean(cosine * x)
    determinant = (ss * cc - sc * sc).clamp_min(1e-6)
    a, b = (cc * sx - sc * cx) / determinant, (ss * cx - sc * sx) / determinant
    a, b = _hold_pair(a, b, nominal)
    return mean((x - a[:, None] * sine - b[:, None] * cosine).square())


def _turn_cost(track: Track, weight: Tensor, u: Tensor, turns: float) -> Tensor:
    """Mean square of the rotation less `turns` turns over the clip, whatever it starts from.

    Taken on the circle, `2 (1 - cos(n d)) / n^2` for a deviation d: a shape of order n looks the
    same after one n-th of a turn, and no unwrapping can go wrong.
    """
    order = track.order.to(track.rotation)[:, None]
    angle = order * (track.rotation - 2 * math.pi * turns * u)
    length = torch.hypot((weight * angle.cos()).sum(dim=1), (weight * angle.sin()).sum(dim=1))
    deviation = 2 * (weight.sum(dim=1) - length) / order[:, 0].clamp_min(1).square()
    return deviation.clamp_min(0) / _TURN**2
