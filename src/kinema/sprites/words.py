"""The words of the sprites world and the grammar of its captions.

`a [small|large] COLOUR SHAPE on a BACKGROUND background[, MOTION]`
"""

import re
from dataclasses import dataclass

from kinema.errors import InputError

SIZES: dict[str, float] = {"small": 0.31, "large": 0.47}
"""Radius of a sprite in half frame widths, before its motion scales it."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.14, 0.14),
    "green": (0.12, 0.74, 0.22),
    "blue": (0.18, 0.40, 1.00),
    "yellow": (0.98, 0.86, 0.12),
    "white": (0.97, 0.97, 0.97),
    "purple": (0.66, 0.22, 0.86),
}

SHAPES = ("circle", "square", "triangle", "ring", "star", "cross")

BACKGROUNDS = ("black", "grey", "navy", "gradient", "striped", "textured")

MOTIONS: dict[str, str] = {
    "right": "moving right",
    "down-right": "moving down and right",
    "down": "moving down",
    "down-left": "moving down and left",
    "left": "moving left",
    "up-left": "moving up and left",
    "up": "moving up",
    "up-right": "moving up and right",
    "circle-clockwise": "circling clockwise",
    "circle-counterclockwise": "circling counterclockwise",
    "zigzag": "zigzagging",
    "bounce": "bouncing",
    "grow": "growing",
    "shrink": "shrinking",
    "spin-clockwise": "spinning clockwise",
    "spin-counterclockwise": "spinning counterclockwise",
    "shake": "shaking",
    "still": "staying still",
}
"""Name of each motion and the words that a caption has for it."""

DIRECTIONS = tuple(MOTIONS)[:8]

_PATTERN = re.compile(
    r"an? (?:(?P<size>{}) )?(?P<colour>{}) (?P<shape>{})"
    r" on an? (?P<background>{}) background(?:, (?P<motion>{}))?".format(
        *("|".join(words) for words in (SIZES, COLOURS, SHAPES, BACKGROUNDS, MOTIONS.values()))
    )
)


@dataclass(frozen=True)
class Description:
    """What a caption says; `size` and `motion` are None where it leaves them open."""

    colour: str
    shape: str
    background: str
    size: str | None = None
    motion: str | None = None

    def __str__(self) -> str:
        """Return the caption."""
        size = f"{self.size} " if self.size else ""
        motion = f", {MOTIONS[self.motion]}" if self.motion else ""
        return f"a {size}{self.colour} {self.shape} on a {self.background} background{motion}"


def parse_caption(caption: str) -> Description:
    """Return what a caption of the grammar says.

    Raises:
        InputError: the caption is not in the grammar; the sentence lists its words.
    """
    match = _PATTERN.fullmatch(caption.strip().lower().rstrip("."))
    if match is None:
        raise InputError(
            f"caption {caption!r} is not of the form 'a [small|large] COLOUR SHAPE on a BACKGROUND "
            f"background[, MOTION]' with COLOUR of {', '.join(COLOURS)}; SHAPE of "
            f"{', '.join(SHAPES)}; BACKGROUND of {', '.join(BACKGROUNDS)}; MOTION of "
            f"{', '.join(MOTIONS.values())}"
        )
    words = match.groupdict()
    if words["motion"]:
        words["motion"] = next(name for name, said in MOTIONS.items() if said == words["motion"])
    return Description(**words)
