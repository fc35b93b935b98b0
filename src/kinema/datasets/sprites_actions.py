"""Sprites actions: classes that differ in motion only, rendered on demand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from kinema.datasets.clip_dataset import ClipDataset, Item, seeded
from kinema.datasets.clips import require_one_of
from kinema.errors import InputError
from kinema.sprites import MOTIONS, Nuisances, Scenes, render, sample_scenes
from kinema.sprites.motions import pose

NUISANCES = {
    "none": Nuisances(),
    "some": Nuisances(camera=0.2, distractors=1, noise=0.02, flicker=0.05),
    "many": Nuisances(camera=0.4, distractors=3, noise=0.05, flicker=0.15),
}
"""Levels of disturbance."""

# Shapes that show how they turn, for every class: else "circle" would mean "does not spin".
_SHAPES = ("square", "triangle", "star", "cross")
# Room for the motion around a first position that may be anywhere in the middle of the frame.
_START_RANGE = 0.45
_EXTENT = 0.6
_RADIUS = 0.75


class SpritesActions(ClipDataset):
    """Labelled sprites videos; items are those of `VideoDataset`.

    Clip `index` is of class `index % C`. Its appearance, where it starts and what disturbs it
    are drawn independently of the class, from `seed`, `training` and the index: the first frame
    of a clip would be the same under any other motion, so it says nothing about the class. Later
    frames alone tell a little, by where the sprite has come to. Clips are the same in every
    epoch; only their order follows it. Frames are 8-bit, as those of videos are.

    Args:
        num_clips: length of the data set.
        num_frames: T.
        size: side of the frames, pixels.
        classes: names of `kinema.sprites.MOTIONS`; by default all.
        nuisance: "none", "some", "many" (`NUISANCES`), or switches of one's own.
        mean: of the channels, for frames in [0, 1].
        std: likewise.
        seed: of all randomness.
        training: True and False give different clips for one seed.
        in_memory: keep rendered clips, `3 * T * size ** 2` bytes each, in every process that
            renders them. A clip takes about a millisecond to render, so this pays where the
            main process loads.

    Raises:
        InputError: an argument is out of range or a class unknown.
    """

    def __init__(
        self,
        num_clips: int,
        *,
        num_frames: int,
        size: int,
        classes: Sequence[str] = tuple(MOTIONS),
        nuisance: Literal["none", "some", "many"] | Nuisances = "none",
        mean: Sequence[float],
        std: Sequence[float],
        seed: int = 0,
        training: bool,
        in_memory: bool = False,
    ) -> None:
        super().__init__(seed=seed)
        for name, value in (("num_clips", num_clips), ("num_frames", num_frames), ("size", size)):
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value}, expected a whole number, 1 or more")
        for motion in classes:
            require_one_of("class", motion, tuple(MOTIONS))
        if len(set(classes)) != len(classes) or len(classes) < 2:
            raise InputError(
                f"classes are {', '.join(classes) or 'none'}, expected two or more different ones"
            )
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise InputError(
                f"mean is {tuple(mean)} and std {tuple(std)}, expected three numbers each, std "
                "above 0"
            )
        if not isinstance(nuisance, Nuisances):
            require_one_of("nuisance", nuisance, tuple(NUISANCES))
            nuisance = NUISANCES[nuisance]
        self.num_clips = num_clips
        self.num_frames = num_frames
        self.size = size
        self.classes = tuple(classes)
        self.nuisances = nuisance
        self.training = training
        self._mean, self._std = (torch.tensor(v)[:, None, None] * 255 for v in (mean, std))
        self._kept: dict[int, Tensor] | None = {} if in_memory else None

    def __len__(self) -> int:
        return self.num_clips

    def __getitem__(self, index: int) -> Item:
        if not -self.num_clips <= index < self.num_clips:
            raise IndexError(f"index {index} is outside a data set of {self.num_clips} clips")
        index %= self.num_clips
        frames = self._kept.get(index) if self._kept is not None else None
        if frames is None:
            frames = self.frames(index)
            if self._kept is not None:
                self._kept[index] = frames
        return {
            "pixel_values": (frames - self._mean) / self._std,
            "labels": index % len(self.classes),
            "index": index,
            "errors": [],
        }

    def frames(self, index: int) -> Tensor:
        """Render a clip: `(T, 3, size, size)` uint8."""
        rendering = render(
            self.scene(index), num_frames=self.num_frames, height=self.size, width=self.size
        )
        return (rendering.video[0] * 255).round().to(torch.uint8)

    def scene(self, index: int) -> Scenes:
        """What decides a clip: a batch of one scene."""
        generator = seeded(self.seed, int(self.training), index, 0)
        motion = self.classes[index % len(self.classes)]
        # One shape to choose from: where there are several, a spin would draw another one.
        shape = _SHAPES[int(torch.randint(len(_SHAPES), (), generator=generator))]
        drawn = sample_scenes(
            1,
            seed=int(torch.randint(2**62, (), generator=generator)),
            shapes=[shape],
            motions=[motion],
            nuisances=self.nuisances,
        )
        start = (2 * torch.rand(1, 2, generator=generator) - 1) * _START_RANGE
        extent = _EXTENT * drawn.extent
        first = pose(motion, torch.zeros(1), extent=extent, phase=drawn.phase)
        # Place and size of the first frame do not depend on the motion.
        return replace(
            drawn,
            extent=extent,
            centre=start - first.offset[:, 0],
            radius=_RADIUS * drawn.radius / first.scale[:, 0],
        )
