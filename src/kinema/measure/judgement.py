"""What the judge says of a batch of sprites videos."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.sprites import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, Description

WORDS: dict[str, tuple[str, ...]] = {
    "size": tuple(SIZES),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "background": BACKGROUNDS,
    "motion": tuple(MOTIONS),
}
"""The words that a judgement chooses among, by the name of its field."""


@dataclass(frozen=True)
class Judgement:
    """What B videos of T frames show, measured from their pixels; no value is ever NaN.

    Lengths are in half frame widths (of the shorter side), x right and y down, the middle of the
    frame at 0, as in `kinema.sprites.Rendering`. Words are indices into `WORDS`, -1 for none of
    them. A margin is 1 - cost of the winner / cost of the runner-up: 0 a toss-up, 1 no doubt.

    Attributes:
        present: whether there is a sprite, (B, T) bool.
        num_sprites: connected objects of one colour, (B, T) int64.
        trajectory: centre of the largest object, (B, T, 2); where none is present, interpolated
            in time from the frames beside, 0 if there are none.
        radius: of the largest object, (B, T), filled in the same way.
        rotation: radians clockwise as seen, (B, T), filled in the same way. Known modulo
            2 pi / n for a shape that maps onto itself n times in a turn: unwrapped over time,
            its first value is in [-pi / n, pi / n]. 0 for circles and rings.
        sprite_colour: RGB of the largest object as it is, (B, T, 3).
        size, colour, shape, background, motion: (B,) int64.
        size_margin, colour_margin, shape_margin, background_margin, motion_margin: (B,).
        motion_cost: how far the track is from each motion, (B, 18); see `classify_motion`.
        colour_votes: the nearest colour in each frame alone, (B, T) int64, -1 where none is
            present.
        shape_votes: the nearest shape in each frame alone, (B, T) int64, -1 where none is present
            or the border cuts it.
    """

    present: Tensor
    num_sprites: Tensor
    trajectory: Tensor
    radius: Tensor
    rotation: Tensor
    sprite_colour: Tensor
    size: Tensor
    colour: Tensor
    shape: Tensor
    background: Tensor
    motion: Tensor
    size_margin: Tensor
    colour_margin: Tensor
    shape_margin: Tensor
    background_margin: Tensor
    motion_margin: Tensor
    motion_cost: Tensor
    colour_votes: Tensor
    shape_votes: Tensor

    def __len__(self) -> int:
        return self.size.shape[0]

    @property
    def one_sprite(self) -> Tensor:
        """Whether every frame has exactly one object, (B,) bool."""
        return (self.num_sprites == 1).all(dim=1)

    @property
    def colour_changes(self) -> Tensor:
        """Share of neighbouring votes that name different colours, (B,) in [0, 1]."""
        return _share_of_changes(self.colour_votes)

    @property
    def shape_changes(self) -> Tensor:
        """Share of neighbouring votes that name different shapes, (B,) in [0, 1]."""
        return _share_of_changes(self.shape_votes)

    @property
    def colour_drift(self) -> Tensor:
        """Root mean square RGB distance of the sprite's colour from its mean, (B,)."""
        seen = self.present.to(self.sprite_colour)[..., None]
        count = seen.sum(dim=1).clamp_min(1)
        mean = (seen * self.sprite_colour).sum(dim=1) / count
        apart = (self.sprite_colour - mean[:, None]).square().sum(dim=2, keepdim=True)
        return ((seen * apart).sum(dim=1) / count)[:, 0].sqrt()

    def words(self, index: int) -> dict[str, str | None]:
        """Return the words of one video by field; None for none of them."""
        found = {name: int(getattr(self, name)[index]) for name in WORDS}
        return {name: WORDS[name][word] if word >= 0 else None for name, word in found.items()}

    def agreement(self, descriptions: Sequence[Description]) -> dict[str, Tensor]:
        """Return, for each video, which of the described words it shows.

        Returns:
            (B,) bool under "size", "colour", "shape", "background", "motion" and "appearance":
            colour, shape and background all right. A word that a description leaves open is right
            whatever the video shows.

        Raises:
            InputError: there is not one description for each video.
        """
        if len(descriptions) != len(self):
            raise InputError(
                f"{len(descriptions)} descriptions for {len(self)} videos; give one for each"
            )
        right: dict[str, Tensor] = {}
        for name, words in WORDS.items():
            said = [getattr(description, name) for description in descriptions]
            wanted = torch.tensor([words.index(word) if word else -2 for word in said])
            found = getattr(self, name).cpu()
            right[name] = (wanted == -2) | (found == wanted)
        right["appearance"] = right["colour"] & right["shape"] & right["background"]
        return right


def concatenate(parts: Sequence[Judgement]) -> Judgement:
    """Return the judgements of several batches of equally long videos as one."""
    names = Judgement.__dataclass_fields__
    return Judgement(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def _share_of_changes(votes: Tensor) -> Tensor:
    """Compare each vote with the one before it, passing over frames without."""
    changes = torch.zeros(votes.shape[0], device=votes.device)
    pairs = torch.zeros_like(changes)
    last = votes[:, 0]
    for vote in votes.unbind(dim=1)[1:]:
        both = (vote >= 0) & (last >= 0)
        changes += both & (vote != last)
        pairs += both
        last = torch.where(vote >= 0, vote, last)
    return changes / pairs.clamp_min(1)
