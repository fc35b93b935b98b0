"""Measures of motion, appearance and what a motion leaks, and the exact judge of sprites videos."""

from kinema.measure.clip import ClipEmbedder, temporal_consistency, text_similarity
from kinema.measure.cotracker import CoTracker
from kinema.measure.error import JudgeError, degrade, judge_error
from kinema.measure.fidelity import dmt_motion_fidelity, motion_fidelity
from kinema.measure.judge import judge
from kinema.measure.judgement import WORDS, Judgement
from kinema.measure.leak import (
    appearance_similarity,
    leak_shares,
    path_diversity,
    seed_diversity,
)
from kinema.measure.lucas_kanade import LucasKanade
from kinema.measure.sprite_tracks import sprite_tracks
from kinema.measure.tracks import Tracker, Tracks
from kinema.measure.transfer import displacement_cosine, path_error, path_length_ratio

__all__ = [
    "WORDS",
    "ClipEmbedder",
    "CoTracker",
    "JudgeError",
    "Judgement",
    "LucasKanade",
    "Tracker",
    "Tracks",
    "appearance_similarity",
    "degrade",
    "displacement_cosine",
    "dmt_motion_fidelity",
    "judge",
    "judge_error",
    "leak_shares",
    "motion_fidelity",
    "path_diversity",
    "path_error",
    "path_length_ratio",
    "seed_diversity",
    "sprite_tracks",
    "temporal_consistency",
    "text_similarity",
]
