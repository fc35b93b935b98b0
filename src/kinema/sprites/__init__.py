"""The sprites world: procedural videos whose motion and appearance are known exactly."""

from kinema.sprites.pipelines import GUIDANCE, animatediff, made_with, text_to_video
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
    "GUIDANCE",
    "MOTIONS",
    "SHAPES",
    "SIZES",
    "Description",
    "Nuisances",
    "Rendering",
    "Scenes",
    "animatediff",
    "made_with",
    "parse_caption",
    "render",
    "sample_captions",
    "sample_scenes",
    "scenes_of",
    "text_to_video",
]
