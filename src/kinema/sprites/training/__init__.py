"""Training of the embedded text-to-video models, stage by stage."""

from kinema.sprites.training.loop import Stage, train
from kinema.sprites.training.recipe import STAGES, Recipe, read_recipe
from kinema.sprites.training.stages import new_stage

__all__ = ["STAGES", "Recipe", "Stage", "new_stage", "read_recipe", "train"]
