"""Measures of motion and appearance: the exact judge of sprites videos, and its own error."""

from kinema.measure.error import JudgeError, degrade, judge_error
from kinema.measure.judge import judge
from kinema.measure.judgement import WORDS, Judgement
from kinema.measure.transfer import displacement_cosine, path_error, path_length_ratio

__all__ = [
    "WORDS",
    "JudgeError",
    "Judgement",
    "degrade",
    "displacement_cosine",
    "judge",
    "judge_error",
    "path_error",
    "path_length_ratio",
]
