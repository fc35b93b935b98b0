"""The classifier that a recipe asks for: front end, backbone, first weights, what learns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema import motion_prompt
from kinema.backbones import BackboneFacts, backbone, facts_of, load_weights
from kinema.backbones.transformer import FAMILIES, saved_transformer
from kinema.backbones.weights import read_state
from kinema.errors import InputError
from kinema.files import replacing, save_tensors
from kinema.motion_prompt import (
    AttentionMaps,
    FrameDifference,
    FrontEnd,
    MotionPrompt,
    MotionPromptClassifier,
    PlainFrames,
    with_motion_prompt,
)
from kinema.recognition.recipe import Recipe

BACKBONE = "backbone.safetensors"
CONFIG = "config.json"
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
    except (TypeError, ValueError) as error:
        raise InputError(f"normalisation_arguments do not suit: {error}") from error
    return MotionPrompt(**facts.clip_format, penalty=recipe.penalty, normalisation=normalisation)


FRONT_ENDS: dict[str, Callable[[Recipe, BackboneFacts], FrontEnd]] = {
    "frames": lambda recipe, facts: PlainFrames(**facts.clip_format),
    "motion-prompt": _prompt,
    "difference": lambda recipe, facts: FrameDifference(**facts.clip_format),
    "attention-maps": lambda recipe, facts: AttentionMaps(**facts.clip_format),
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
    made = _backbone(recipe, num_classes, weights=start or None, run=run)
    facts = facts_of(made)
    model = with_motion_prompt(
        made,
        prompt=FRONT_ENDS[recipe.front_end](recipe, facts),
        pathways=recipe.pathways,
        # Clips come from decoded frames, which are finite; to look would stall an accelerator.
        check_finite=False,
    )
    # A run with another front end, or none, has no weights for this one: it starts afresh.
    if run is not None and (run / PROMPT).exists():
        prompt = model.get_submodule("prompt")
        if read_state(run / PROMPT).keys() & prompt.state_dict().keys():
            load_weights(prompt, run / PROMPT, head="")
    motion_prompt.trainable(model, recipe.trains)
    return model.train()


def save_weights(model: MotionPromptClassifier, folder: Path) -> None:
    """Write what a model learned: its backbone, and its prompt where it has something to learn.

    The backbone's file has the backbone's own names, so it loads under another front end too, and
    as `weights=` of `kinema.backbones.backbone`. Beside that of a transformer lies its
    `config.json`: weights that came from a hub brought their sizes, of which no recipe tells.
    """
    for name, part in ((BACKBONE, "backbone"), (PROMPT, "prompt")):
        state = model.get_submodule(part).state_dict()
        if state:
            save_tensors(folder / name, state)
    from transformers import PreTrainedConfig

    config = getattr(model.backbone, "config", None)
    if isinstance(config, PreTrainedConfig):
        with replacing(folder / CONFIG) as path:
            config.to_json_file(path)


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
    """Return what the front end has become, for a journal; nothing where it learns nothing.

    Args:
        model: with the prompt.
        attention: maps that it gave, `(B, T, H, W)`.
    """
    prompt = model.prompt
    if isinstance(prompt, AttentionMaps):
        sizes = prompt.log_sizes.detach().exp().tolist()
        return {f"prompt_size_{channel}": size for channel, size in enumerate(sizes)}
    if not isinstance(prompt, MotionPrompt):
        return {}
    parameters = prompt.normalisation.named_parameters()
    learned = {f"prompt_{name}": value.item() for name, value in parameters}
    found = prompt.diagnostics(attention).as_dict()
    return learned | {f"prompt_{name}": value for name, value in found.items()}


def _backbone(
    recipe: Recipe, num_classes: int, *, weights: str | None, run: Path | None
) -> nn.Module:
    """The backbone of a recipe, with these weights or those of a finished run."""
    own: dict[str, Any] = {
        "num_classes": num_classes,
        "num_frames": recipe.num_frames,
        "size": recipe.size,
    }
    if taken := sorted({*own, "weights", "name", "family"} & set(recipe.backbone_sizes)):
        raise InputError(
            f"backbone_sizes has {taken[0]}, which is a setting of its own or follows from the "
            "data; take it out of the table"
        )
    # Lists, which is what TOML and JSON know, are tuples to the backbones.
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in recipe.backbone_sizes.items()
    }
    try:
        if run is None:
            return backbone(recipe.backbone, weights=weights, **own, **sizes)
        if (run / CONFIG).exists():
            family = recipe.backbone if recipe.backbone in FAMILIES else None
            return saved_transformer(run, run / BACKBONE, family=family, **own, **sizes)
        return backbone(recipe.backbone, weights=run / BACKBONE, **own, **sizes)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"backbone_sizes {recipe.backbone_sizes} do not suit {recipe.backbone}: {error}"
        ) from error
