"""Video motion prompts: perceive motion in a clip and point a backbone at it."""

from kinema.motion_prompt.attach import (
    MotionPromptClassifier,
    MotionPromptClassifierOutput,
    with_motion_prompt,
)
from kinema.motion_prompt.attention_maps import AttentionMaps
from kinema.motion_prompt.diagnostics import PromptDiagnostics
from kinema.motion_prompt.difference import GREY_WEIGHTS, frame_difference, grey_frames
from kinema.motion_prompt.front_ends import FrameDifference, FrontEnd, PlainFrames
from kinema.motion_prompt.fused_uint8 import prompt_uint8
from kinema.motion_prompt.layer import MotionPrompt, MotionPromptOutput
from kinema.motion_prompt.layout import from_canonical, to_canonical
from kinema.motion_prompt.moving_parts import moving_parts
from kinema.motion_prompt.normalisation import (
    AsinhE,
    AxMin,
    Gamma,
    LearnableSigmoid,
    MaxExp,
    SigmE,
    asinhe,
    axmin,
    gamma_power,
    learnable_sigmoid,
    maxexp,
    sigme,
    sigmoid_shift,
    sigmoid_slope,
)
from kinema.motion_prompt.optimisation import parameter_groups
from kinema.motion_prompt.representations import REPRESENTATIONS, Representation, represent
from kinema.motion_prompt.taylor import taylor_frames
from kinema.motion_prompt.time_colour import (
    grey_short_term,
    time_colour,
    time_colour_plus_two,
    time_colour_red,
    time_colour_rgb,
)
from kinema.motion_prompt.trained_parts import trainable
from kinema.motion_prompt.validation import check_clip
from kinema.motion_prompt.variation import attention_variation

__all__ = [
    "GREY_WEIGHTS",
    "REPRESENTATIONS",
    "AsinhE",
    "AttentionMaps",
    "AxMin",
    "FrameDifference",
    "FrontEnd",
    "Gamma",
    "LearnableSigmoid",
    "MaxExp",
    "MotionPrompt",
    "MotionPromptClassifier",
    "MotionPromptClassifierOutput",
    "MotionPromptOutput",
    "PlainFrames",
    "PromptDiagnostics",
    "Representation",
    "SigmE",
    "asinhe",
    "attention_variation",
    "axmin",
    "check_clip",
    "frame_difference",
    "from_canonical",
    "gamma_power",
    "grey_frames",
    "grey_short_term",
    "learnable_sigmoid",
    "maxexp",
    "moving_parts",
    "parameter_groups",
    "prompt_uint8",
    "represent",
    "sigme",
    "sigmoid_shift",
    "sigmoid_slope",
    "taylor_frames",
    "time_colour",
    "time_colour_plus_two",
    "time_colour_red",
    "time_colour_rgb",
    "to_canonical",
    "trainable",
    "with_motion_prompt",
]
