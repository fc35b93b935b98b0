"""Scenes: everything that decides a sprites video, drawn from a seed and kept as tensors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.sprites.motions import TRAVEL
from kinema.sprites.shapes import ROTATION_ORDER
from kinema.sprites.words import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    Description,
    parse_caption,
)

SIZE_NAMES, COLOUR_NAMES, MOTION_NAMES = tuple(SIZES), tuple(COLOURS), tuple(MOTIONS)
WANDERS = len(MOTION_NAMES)


@dataclass(frozen=True)
class Nuisances:
    """What may disturb a scene; each is off at its default.

    Attributes:
        camera: farthest the camera drifts over a clip, in half frame widths.
        distractors: number of smaller shapes that drift about behind the sprite.
        distractor_drift: farthest each drifts over a clip, in half frame widths; 0 keeps it still.
        noise: standard deviation of Gaussian pixel noise, in [0, 1] units.
        flicker: largest change of brightness of a frame, as a share.
    """

    camera: float = 0.0
    distractors: int = 0
    distractor_drift: float = 0.6
    noise: float = 0.0
    flicker: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:
                raise InputError(f"nuisance {field.name} is {value}; give 0 or more")
        if not isinstance(self.distractors, int):
            raise InputError(f"nuisance distractors is {self.distractors}; give a whole number")


CALM = Nuisances()
# Far apart, since sets of scenes are drawn from seeds that lie close together.
_NEXT_SEED = 0x9E3779B97F4A7C1


@dataclass(frozen=True)
class Scenes:
    """A batch of B scenes. Words are indices into the tuples of `kinema.sprites.words`.

    A motion of `WANDERS` is a way for which there is no word (`motions.wander`).

    Attributes:
        size, colour, shape, background, motion: (B,) int64.
        radius: sprite radius in half frame widths before its motion scales it, (B,).
        centre: middle of the motion, in half frame widths, x right and y down, (B, 2).
        extent: how far or fast the motion goes, around 1, (B,).
        phase: where a cyclic motion begins, in [0, 1), (B,).
        way: length, heading and bend of a sprite that wanders, (B, 3).
        tilt: rotation at the start in radians, clockwise as seen, (B,).
        background_angle: in [0, 1), (B,).
        background_phase: in [0, 1), (B,).
        camera: drift over the clip in half frame widths, (B, 2).
        distractors: (B, K, 7): shape and colour index, radius, start x and y, drift x and y.
        nuisances: the switches the scenes were drawn with; noise and flicker act in rendering.
        disturbance: seed of each scene's own pixel noise and flicker, (B,) int64.
    """

    size: Tensor
    colour: Tensor
    shape: Tensor
    background: Tensor
    motion: Tensor
    radius: Tensor
    centre: Tensor
    extent: Tensor
    phase: Tensor
    way: Tensor
    tilt: Tensor
    background_angle: Tensor
    background_phase: Tensor
    camera: Tensor
    distractors: Tensor
    disturbance: Tensor
    nuisances: Nuisances

    def __len__(self) -> int:
        return self.size.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Scenes":
        parts: dict[str, Any] = {
            field.name: value[index]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **parts)

    def descriptions(self) -> list[Description]:
        """Return what each scene shows, in words."""
        return [
            Description(
                size=SIZE_NAMES[size],
                colour=COLOUR_NAMES[colour],
                shape=SHAPES[shape],
                background=BACKGROUNDS[background],
                motion=None if motion == WANDERS else MOTION_NAMES[motion],
            )
            for size, colour, shape, background, motion in zip(
                self.size.tolist(),
                self.colour.tolist(),
                self.shape.tolist(),
                self.background.tolist(),
                self.motion.tolist(),
                strict=True,
            )
        ]


def sample_scenes(
    num_scenes: int,
    *,
    seed: int,
    sizes: Sequence[str] = SIZE_NAMES,
    colours: Sequence[str] = COLOUR_NAMES,
    shapes: Sequence[str] = SHAPES,
    backgrounds: Sequence[str] = BACKGROUNDS,
    motions: Sequence[str] = MOTION_NAMES,
    phase_spread: float = 1.0,
    wander_share: float = 0.0,
    nuisances: Nuisances = CALM,
) -> Scenes:
    """Draw `num_scenes` scenes, every word uniformly from those given; a word given twice comes
    twice as often.

    Cyclic motions begin anywhere in the first `phase_spread`, in (0, 1], of their cycle. In
    `wander_share` of the scenes, in [0, 1], the sprite goes a way that has no name instead of the
    motion that was drawn: any heading, any length up to a named one's, straight or bent.

    A spinning circle or ring cannot be told from a still one, so where `shapes` offers others a
    spinning scene takes one of them.

    Raises:
        InputError: a list is empty or holds an unknown word, or a spin is asked of shapes none of
            which shows it, or `phase_spread` or `wander_share` is out of range.
    """
    if num_scenes < 0:
        raise InputError(f"num_scenes is {num_scenes}; give 0 or more")
    if not 0 < phase_spread <= 1:
        raise InputError(f"phase_spread is {phase_spread}; give a share of the cycle above 0, to 1")
    if not 0 <= wander_share <= 1:
        raise InputError(f"wander_share is {wander_share}; give a share from 0 to 1")
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(num_scenes, *shape, generator=generator)

    def choice(kind: str, names: Sequence[str], known: tuple[str, ...]) -> Tensor:
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise InputError(f"{kind} {unknown or 'list is empty'}; choose from {', '.join(known)}")
        allowed = torch.tensor([known.index(name) for name in names])
        return allowed[torch.randint(len(allowed), (num_scenes,), generator=generator)]

    size = choice("size", sizes, SIZE_NAMES)
    motion = choice("motion", motions, MOTION_NAMES)
    shape = choice("shape", shapes, SHAPES)
    turning = [name for name in shapes if ROTATION_ORDER[name] > 0]
    spins = torch.tensor([name.startswith("spin") for name in MOTION_NAMES])[motion]
    if turning:
        shape = torch.where(spins, choice("shape", turning, SHAPES), shape)
    elif spins.any():
        raise InputError(
            f"none of the shapes {', '.join(shapes)} shows that it spins; add one of "
            f"{', '.join(name for name in SHAPES if ROTATION_ORDER[name])}"
        )
    num_distractors = nuisances.distractors
    distractors = torch.cat(
        (
            torch.randint(len(SHAPES), (num_scenes, num_distractors, 1), generator=generator),
            torch.randint(len(COLOURS), (num_scenes, num_distractors, 1), generator=generator),
            uniform(0.10, 0.18, num_distractors, 1),
            uniform(-0.9, 0.9, num_distractors, 2),
            uniform(-1, 1, num_distractors, 2) * nuisances.distractor_drift,
        ),
        dim=-1,
    )
    scenes = Scenes(
        size=size,
        colour=choice("colour", colours, COLOUR_NAMES),
        shape=shape,
        background=choice("background", backgrounds, BACKGROUNDS),
        motion=motion,
        radius=torch.tensor(tuple(SIZES.values()))[size] * uniform(0.92, 1.08),
        centre=uniform(-0.08, 0.08, 2),
        extent=uniform(0.85, 1.15),
        phase=uniform(0, phase_spread),
        tilt=uniform(-0.12, 0.12),
        background_angle=uniform(0, 1),
        background_phase=uniform(0, 1),
        camera=uniform(-nuisances.camera, nuisances.camera, 2),
        distractors=distractors,
        disturbance=(seed + 1) % 2**63 + _NEXT_SEED * torch.arange(num_scenes),
        nuisances=nuisances,
        # Last, as is what follows, so that all else is the same whether any sprite wanders or none.
        way=torch.stack(
            (uniform(0, TRAVEL), uniform(-math.pi, math.pi), uniform(-math.pi, math.pi)), dim=1
        ),
    )
    wanders = uniform(0, 1) < wander_share
    return replace(scenes, motion=torch.where(wanders, WANDERS, motion))


def scenes_of(captions: Sequence[str], *, seed: int, nuisances: Nuisances = CALM) -> Scenes:
    """Draw one scene for each caption; what a caption leaves open is drawn at random.

    Raises:
        InputError: a caption is not in the grammar, or asks a circle or ring to spin.
    """
    drawn = []
    for position, caption in enumerate(captions):
        said = parse_caption(caption)
        motions = [said.motion] if said.motion else list(MOTION_NAMES)
        if not said.motion and not ROTATION_ORDER[said.shape]:
            motions = [name for name in motions if not name.startswith("spin")]
        drawn.append(
            sample_scenes(
                1,
                seed=seed + position,
                sizes=[said.size] if said.size else SIZE_NAMES,
                colours=[said.colour],
                shapes=[said.shape],
                backgrounds=[said.background],
                motions=motions,
                nuisances=nuisances,
            )
        )
    if not drawn:
        return sample_scenes(0, seed=seed, nuisances=nuisances)
    parts: dict[str, Any] = {
        field.name: torch.cat([getattr(scenes, field.name) for scenes in drawn])
        for field in fields(Scenes)
        if isinstance(getattr(drawn[0], field.name), Tensor)
    }
    return replace(drawn[0], **parts)


def sample_captions(scenes: Scenes, *, seed: int, motion_share: float = 1 / 3) -> list[str]:
    """Return a caption for each scene: size half the time, motion in `motion_share` of them."""
    generator = torch.Generator().manual_seed(seed)
    says_size = torch.rand(len(scenes), generator=generator) < 0.5
    says_motion = torch.rand(len(scenes), generator=generator) < motion_share
    return [
        str(
            replace(
                said,
                size=said.size if with_size else None,
                motion=said.motion if with_motion else None,
            )
        )
        for said, with_size, with_motion in zip(
            scenes.descriptions(), says_size.tolist(), says_motion.tolist(), strict=True
        )
    ]
