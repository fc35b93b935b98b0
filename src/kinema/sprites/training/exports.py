"""What finished stages, or weights made earlier, hold for the stages after them."""

from pathlib import Path
from typing import Any

from kinema.errors import InputError
from kinema.sprites.pipelines import load_part, weights_folder
from kinema.sprites.training.recipe import Recipe

SHIPPED = "kinema"
"""As `Recipe.start`: the weights that come with Kinema."""


def has_export(runs: Path, stage: str, part: str) -> bool:
    """Return whether a finished stage has left a part in `runs`."""
    return (runs / stage / "export" / part).is_dir()


def load_export(runs: Path, stage: str, part: str) -> Any:
    """Load one part that a finished stage has left in `runs`, in float32, frozen.

    Raises:
        InputError: it is not there.
    """
    folder = runs / stage / "export" / part
    if not has_export(runs, stage, part):
        raise InputError(f"{folder} is missing; run 'kinema sprites train {stage}' first")
    return _load(folder)


def load_start(recipe: Recipe, part: str) -> Any:
    """Load one part of the weights that a recipe starts from, in float32, frozen.

    Raises:
        InputError: it is not there.
    """
    folder = start_folder(recipe) / part
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; give weights of a trained {part} as start")
    return _load(folder)


def start_folder(recipe: Recipe) -> Path:
    """Return the folder of the weights that a recipe starts from."""
    return Path(weights_folder(None if recipe.start == SHIPPED else recipe.start))


def _load(folder: Path) -> Any:
    from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel
    from transformers import CLIPTextModel

    classes: dict[str, Any] = {
        "vae": AutoencoderKL,
        "unet": UNet2DConditionModel,
        "unet3d": UNet3DConditionModel,
        "motion_adapter": MotionAdapter,
        "text_encoder": CLIPTextModel,
    }
    return load_part(classes[folder.name], folder).float().eval().requires_grad_(False)
