"""The classifier that a recipe asks for: front end, backbone, first weights, what learns."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema import motion_prompt
from kinema.backbones import BackboneFacts, backbone, facts_of, load_weights
from kinema.errors import InputError
from kinema.files import replacing
from kinema.motion_prompt import (
    FrameDifference,
    FrontEnd,
    MotionPrompt,
    MotionPromptClassifier,
    PlainFrames,
    with_motion_prompt,
)
from kinema.recognition.recipe import Recipe

BACKBONE = "backbone.safetensors"
PROMPT = "prompt.safetensors"

NORMALISATIONS: dict[str, Callable[..., nn.Module]] = {
    "learnable": motion_prompt.LearnableSigmoid,
    "gamma": motion_prompt.Gamma,
    "maxexp": motion_prompt.MaxExp,
    "sigme": motion_prompt.SigmE,
    "asinhe": motion_prompt.AsinhE,
    "axmin": motion_prompt.AxMin,
}
"""Power normalisations of a motion prompt, by the names that recipes use."""


def _prompt(recipe: Recipe, facts: BackboneFacts) -> MotionPrompt:
    try:
        make = NORMALISATIONS[recipe.normalisation]
    except KeyError:
        raise InputError(
            f"normalisation {recipe.normalisation!r} is not known; choose from "
            f"{', '.join(NORMALISATIONS)}"
        ) from None
    try:
        normalisation = make(**recipe.normalisation_arguments)
    except TypeError as error:
        raise InputError(f"normalisation_arguments do not suit: {error}") from error
    return MotionPrompt(**facts.clip_format, penalty=recipe.penalty, normalisation=normalisation)


FRONT_ENDS: dict[str, Callable[[Recipe, BackboneFacts], FrontEnd]] = {
    "frames": lambda recipe, facts: PlainFrames(**facts.clip_format),
    "motion-prompt": _prompt,
    "difference": lambda recipe, facts: FrameDifference(**facts.clip_format),
}
"""What stands before the backbone, by the names that recipes use. Each takes T + 1 frames."""


def new_model(
    recipe: Recipe, *, num_classes: int, start: str | None = None
) -> MotionPromptClassifier:
    """Build the classifier of a recipe, in training mode, with what does not learn frozen.

    Fresh weights are drawn from torch's random state.

    Args:
        recipe: of the run.
        num_classes: logits.
        start: other first weights than the recipe's, see `Recipe.start`.

    Raises:
        InputError: front end, backbone, its sizes or frames are unusable, weights do not fit, or
            what shall learn is not there.
    """
    if recipe.front_end not in FRONT_ENDS:
        raise InputError(
            f"front_end {recipe.front_end!r} is not known; choose from {', '.join(FRONT_ENDS)}"
        )
    start = recipe.start if start is None else start
    run = Path(start) if start and Path(start).is_dir() else None
    if run is not None and not (run / BACKBONE).exists():
        raise InputError(
            f"{run} holds no finished run ({BACKBONE} is missing); give the folder of a finished "
            "`kinema finetune`, a file of weights, or k400"
        )
    clip: dict[str, Any] = {"num_frames": recipe.num_frames, "size": recipe.size}
    if run is None and _is_hub_id(start):
        made = backbone(start, num_classes=num_classes, **clip)
    else:
        weights = (start or None) if run is None else run / BACKBONE
        sizes = _sizes(recipe)
        made = backbone(recipe.backbone, num_classes=num_classes, weights=weights, **clip, **sizes)
    facts = facts_of(made)
    model = with_motion_prompt(
        made,
        prompt=FRONT_ENDS[recipe.front_end](recipe, facts),
        pathways=recipe.pathways,
        # Clips come from decoded frames, which are finite; to look would stall an accelerator.
        check_finite=False,
    )
    # A run with another front end, or none, has no weights for this one: it starts afresh.
    if run is not None and (run / PROMPT).exists() and _learns(model.prompt):
        load_weights(model.get_submodule("prompt"), run / PROMPT, head="")
    motion_prompt.trainable(model, recipe.trains)
    return model.train()


def save_weights(model: MotionPromptClassifier, folder: Path) -> None:
    """Write what a model learned: its backbone, and its prompt where it has something to learn.

    The backbone's file has the backbone's own names, so it loads under another front end too, and
    as `weights=` of `kinema.backbones.backbone`.
    """
    for name, part in ((BACKBONE, "backbone"), (PROMPT, "prompt")):
        state = model.get_submodule(part).state_dict()
        if state:
            with replacing(folder / name) as path:
                save_file({key: value.contiguous() for key, value in state.items()}, path)


def check_batch_norm(model: nn.Module, *, batch_size: int) -> None:
    """Pass a batch of two clips or more, and any batch where no batch norm learns.

    Raises:
        InputError: a batch norm would take its statistics from a single clip.
    """
    learning = any(
        isinstance(module, _BatchNorm)
        and any(parameter.requires_grad for parameter in module.parameters())
        for module in model.modules()
    )
    if batch_size == 1 and learning:
        raise InputError(
            "batch_size is 1, and the backbone normalises over its batch (batch norm), for which "
            "one clip is too few; give batch_size 2 or more"
        )


def prompt_diagnostics(model: MotionPromptClassifier, attention: Tensor) -> dict[str, Any]:
    """Return what the prompt has become, for a journal; nothing for another front end.

    Args:
        model: with the prompt.
        attention: maps that it gave, `(B, T, H, W)`.
    """
    prompt = model.prompt
    if not isinstance(prompt, MotionPrompt):
        return {}
    parameters = prompt.normalisation.named_parameters()
    learned = {f"prompt_{name}": value.item() for name, value in parameters}
    found = prompt.diagnostics(attention).as_dict()
    return learned | {f"prompt_{name}": value for name, value in found.items()}


def _sizes(recipe: Recipe) -> dict[str, Any]:
    """The backbone's sizes; lists, which is what TOML and JSON know, as tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in recipe.backbone_sizes.items()
    }


def _is_hub_id(start: str) -> bool:
    return re.fullmatch(r"[\w-]+/[\w.-]+", start) is not None and not Path(start).exists()


def _learns(module: FrontEnd) -> bool:
    return next(module.parameters(), None) is not None
