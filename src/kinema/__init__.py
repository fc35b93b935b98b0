"""Kinema: motion in video models. See it, learn it, keep it, reuse it."""

from kinema import (
    backbones,
    compare,
    datasets,
    measure,
    motion_inversion,
    motion_prompt,
    peers,
    recognition,
    sprites,
    video,
)
from kinema.errors import InputError
from kinema.motion_inversion import Motion, generate, invert
from kinema.motion_prompt import MotionPrompt, parameter_groups, with_motion_prompt
from kinema.motion_prompt.see import see
from kinema.video import read_video, write_video

__all__ = [
    "InputError",
    "Motion",
    "MotionPrompt",
    "backbones",
    "compare",
    "datasets",
    "generate",
    "invert",
    "measure",
    "motion_inversion",
    "motion_prompt",
    "parameter_groups",
    "peers",
    "read_video",
    "recognition",
    "see",
    "sprites",
    "video",
    "with_motion_prompt",
    "write_video",
]
