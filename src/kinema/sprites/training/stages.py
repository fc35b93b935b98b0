"""The stages: what each trains, on what loss, and what it leaves behind."""

from pathlib import Path
from typing import Any

import torch

from kinema.sprites.training.image_stages import AutoencoderStage, TextToImageStage
from kinema.sprites.training.motion_words import MotionWordsStage
from kinema.sprites.training.recipe import STAGES, Recipe
from kinema.sprites.training.video_stages import AnimateDiffStage, TextToVideoStage


def new_stage(recipe: Recipe, runs: str | Path, *, device: str | torch.device = "cpu") -> Any:
    """Return the stage of a recipe, on `device`; `runs` holds a folder for each earlier stage.

    Raises:
        InputError: a stage that this one starts from has not been trained there.
    """
    torch.manual_seed(recipe.seed)
    kinds = (
        AutoencoderStage,
        TextToImageStage,
        MotionWordsStage,
        AnimateDiffStage,
        TextToVideoStage,
    )
    return dict(zip(STAGES, kinds, strict=True))[recipe.stage](
        recipe, Path(runs), torch.device(device)
    )
