"""References and prompts of the sprites world to compare methods on, always the same."""

from kinema.compare.plan import Reference, sprites_references
from kinema.errors import InputError
from kinema.sprites import sample_captions, sample_scenes

TRAVELLING = (
    "right",
    "up",
    "circle-clockwise",
    "down-left",
    "bounce",
    "left",
    "zigzag",
    "down-right",
    "circle-counterclockwise",
    "down",
    "up-left",
    "up-right",
)
"""Motions that take a sprite somewhere; a path says nothing of the others. The first few are as
unlike each other as can be."""

_REFERENCE_SEED, _PROMPT_SEED = 30_000, 40_000
_MOST_PROMPTS = 200


def travelling_references(count: int = len(TRAVELLING)) -> list[Reference]:
    """Render a reference of each of the first `count` travelling motions.

    Raises:
        InputError: there are not so many.
    """
    if not 1 <= count <= len(TRAVELLING):
        raise InputError(f"{count} sprites references; give 1 to {len(TRAVELLING)}")
    captions = [
        sample_captions(
            sample_scenes(1, seed=_REFERENCE_SEED + k, motions=[motion]), seed=k, motion_share=1.0
        )[0]
        for k, motion in enumerate(TRAVELLING[:count])
    ]
    return sprites_references(captions, seed=_REFERENCE_SEED)


def open_prompts(count: int = 8) -> list[str]:
    """Return `count` different captions that say what to show and not how it moves.

    Raises:
        InputError: `count` is below 1 or above 200.
    """
    if not 1 <= count <= _MOST_PROMPTS:
        raise InputError(f"{count} prompts; give 1 to {_MOST_PROMPTS}")
    scenes = sample_scenes(count, seed=_PROMPT_SEED)
    captions = sample_captions(scenes, seed=_PROMPT_SEED, motion_share=0.0)
    # Captions come twice by chance; others take the place of the second ones.
    seed = _PROMPT_SEED
    while len(captions := list(dict.fromkeys(captions))) < count:
        seed += 1
        scenes = sample_scenes(count - len(captions), seed=seed)
        captions += sample_captions(scenes, seed=seed, motion_share=0.0)
    return captions
