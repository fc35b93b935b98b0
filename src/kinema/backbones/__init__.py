"""Video classifiers into which the public model zoo's weights load unchanged."""

from kinema.backbones.facts import FACTS, BackboneFacts, facts_of
from kinema.backbones.slowfast import SlowFast, slow_frames, slowfast_r50
from kinema.backbones.weights import load_weights
from kinema.backbones.x3d import X3D, x3d_m, x3d_s, x3d_xs

__all__ = [
    "FACTS",
    "X3D",
    "BackboneFacts",
    "SlowFast",
    "facts_of",
    "load_weights",
    "slow_frames",
    "slowfast_r50",
    "x3d_m",
    "x3d_s",
    "x3d_xs",
]
