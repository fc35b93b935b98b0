"""Motion inversion: learn a motion from one clip, give it to any prompt (arXiv 2403.20193)."""

from kinema.motion_inversion.embedding import VALUE_MODES, debias
from kinema.motion_inversion.sites import BLOCK_CHOICES, LAYOUTS, Site, find_sites

__all__ = [
    "BLOCK_CHOICES",
    "LAYOUTS",
    "VALUE_MODES",
    "Site",
    "debias",
    "find_sites",
]
