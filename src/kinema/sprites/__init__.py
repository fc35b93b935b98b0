"""The sprites world: procedural videos whose motion and appearance are known exactly."""

from kinema.sprites.render import Rendering, render
from kinema.sprites.scenes import Nuisances, Scenes, sample_captions, sample_scenes, scenes_of
from kinema.sprites.words import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    Description,
    parse_caption,
)

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "MOTIONS",
    "SHAPES",
    "SIZES",
    "Description",
    "Nuisances",
    "Rendering",
    "Scenes",
    "parse_caption",
    "render",
    "sample_captions",
    "sample_scenes",
    "scenes_of",
]
