"""Motion inversion: learn a motion from one clip, give it to any prompt (arXiv 2403.20193)."""

from kinema.motion_inversion.attach import attach
from kinema.motion_inversion.attachment import BRANCHES, Attachment, detach
from kinema.motion_inversion.embedding import VALUE_MODES, debias
from kinema.motion_inversion.motion import Motion
from kinema.motion_inversion.origin import Origin
from kinema.motion_inversion.parameters import VALUE_FORMS
from kinema.motion_inversion.sites import BLOCK_CHOICES, LAYOUTS, Site, find_sites

__all__ = [
    "BLOCK_CHOICES",
    "BRANCHES",
    "LAYOUTS",
    "VALUE_FORMS",
    "VALUE_MODES",
    "Attachment",
    "Motion",
    "Origin",
    "Site",
    "attach",
    "debias",
    "detach",
    "find_sites",
]
