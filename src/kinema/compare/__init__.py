"""Every method on the same clips, prompts and seeds, scored beside each other."""

from kinema.compare.cost import Cost, measured
from kinema.compare.page import write_page
from kinema.compare.plan import (
    Plan,
    Reference,
    clip_reference,
    clip_references,
    sprites_references,
)
from kinema.compare.run import compare
from kinema.compare.scores import Scorer, SpriteScorer, TrackScorer
from kinema.compare.sprites_plan import open_prompts, travelling_references
from kinema.compare.table import figures_of, middle, rows_of

__all__ = [
    "Cost",
    "Plan",
    "Reference",
    "Scorer",
    "SpriteScorer",
    "TrackScorer",
    "clip_reference",
    "clip_references",
    "compare",
    "figures_of",
    "measured",
    "middle",
    "open_prompts",
    "rows_of",
    "sprites_references",
    "travelling_references",
    "write_page",
]
