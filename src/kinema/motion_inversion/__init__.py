"""Motion inversion: learn a motion from one clip, give it to any prompt (arXiv 2403.20193)."""

from kinema.motion_inversion.attach import attach
from kinema.motion_inversion.attachment import Attachment, detach
from kinema.motion_inversion.embedding import VALUE_MODES, debias
from kinema.motion_inversion.generate import generate
from kinema.motion_inversion.invert import (
    InversionInterrupted,
    InversionStep,
    fitted_reference,
    invert,
)
from kinema.motion_inversion.motion import Motion
from kinema.motion_inversion.noise import (
    NOISES,
    blended,
    ddim_inversion,
    low_frequencies_of,
    starting_noise,
)
from kinema.motion_inversion.objective import OBJECTIVES, denoising_loss, latent_weight
from kinema.motion_inversion.origin import Origin
from kinema.motion_inversion.parameters import VALUE_FORMS
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.motion_inversion.reference import Reference, read_reference
from kinema.motion_inversion.settings import PAPER_SAMPLING, PRESETS, InversionSettings
from kinema.motion_inversion.sites import BLOCK_CHOICES, LAYOUTS, Site, find_sites
from kinema.motion_inversion.usage import BRANCHES

__all__ = [
    "BLOCK_CHOICES",
    "BRANCHES",
    "EMBEDDED",
    "LAYOUTS",
    "NOISES",
    "OBJECTIVES",
    "PAPER_SAMPLING",
    "PRESETS",
    "VALUE_FORMS",
    "VALUE_MODES",
    "Attachment",
    "InversionInterrupted",
    "InversionSettings",
    "InversionStep",
    "Motion",
    "Origin",
    "Reference",
    "Site",
    "attach",
    "blended",
    "ddim_inversion",
    "debias",
    "denoising_loss",
    "detach",
    "find_sites",
    "fitted_reference",
    "generate",
    "invert",
    "latent_weight",
    "load_pipeline",
    "low_frequencies_of",
    "read_reference",
    "starting_noise",
]
