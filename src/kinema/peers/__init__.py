"""Peers of motion inversion behind the same two calls as ours: learn a clip, generate a prompt."""

from kinema.peers.dmt import DmtSettings
from kinema.peers.learned import Learned, is_learned
from kinema.peers.method import Method, Outcome
from kinema.peers.methods import METHODS, Inversion, load, method_named
from kinema.peers.motion_director import MotionDirectorSettings
from kinema.peers.motion_inversion_v1 import MotionInversionV1Settings
from kinema.peers.settings import PeerSettings, TrainedSettings
from kinema.peers.space_time import difference_loss
from kinema.peers.task import SUPPORTED
from kinema.peers.vmc import VmcSettings, residual_loss

__all__ = [
    "METHODS",
    "SUPPORTED",
    "DmtSettings",
    "Inversion",
    "Learned",
    "Method",
    "MotionDirectorSettings",
    "MotionInversionV1Settings",
    "Outcome",
    "PeerSettings",
    "TrainedSettings",
    "VmcSettings",
    "difference_loss",
    "is_learned",
    "load",
    "method_named",
    "residual_loss",
]
