"""Video classifiers into which the public model zoo's weights load unchanged."""

from kinema.backbones.catalogue import backbone
from kinema.backbones.facts import FACTS, BackboneFacts, facts_of, known_facts, num_frames_of
from kinema.backbones.resize import set_num_frames, set_size
from kinema.backbones.slowfast import SlowFast, slow_frames, slowfast_r50
from kinema.backbones.timesformer import timesformer
from kinema.backbones.weights import load_weights
from kinema.backbones.x3d import X3D, x3d_m, x3d_s, x3d_xs

__all__ = [
    "FACTS",
    "X3D",
    "BackboneFacts",
    "SlowFast",
    "backbone",
    "facts_of",
    "known_facts",
    "load_weights",
    "num_frames_of",
    "set_num_frames",
    "set_size",
    "slow_frames",
    "slowfast_r50",
    "timesformer",
    "x3d_m",
    "x3d_s",
    "x3d_xs",
]
