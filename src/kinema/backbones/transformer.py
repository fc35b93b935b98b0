"""The video classifiers of transformers: TimeSformer, VideoMAE, ViViT and V-JEPA 2.

They are transformers' own classes, not copies; what stands here is how they are sized and loaded.
"""

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinema.backbones.facts import FACTS
from kinema.backbones.resize import set_num_frames, set_size
from kinema.backbones.weights import in_one_line, load_weights, say_head_is_fresh
from kinema.errors import InputError

logger = logging.getLogger(__name__)

FAMILIES = tuple(facts.name for facts in FACTS.values() if facts.hub_id is not None)
"""Rows of the table that transformers makes; the names are its model types."""

_FIELDS = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_width": "intermediate_size",
    "dropout": "hidden_dropout_prob",
}
_HEAD_CHANNELS = 64
_MLP_RATIO = 4
# Suffixes of files of weights: such a path that is not there is a mistake, not an id.
_FILES = (".safetensors", ".pyth", ".pth", ".pt", ".bin")
# Sizes that change no tensor's shape, so that weights of other ones fit.
_FREE = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def transformer(
    family: str, *, num_classes: int, num_frames: int | None, size: int | None, **sizes: Any
) -> nn.Module:
    """A classifier with random weights, of the base model's sizes where none are given.

    Args:
        family: "timesformer", "videomae", "vivit" or "vjepa2".
        num_classes: logits.
        num_frames: frames in a clip, by default those of the table.
        size: side of the square crops, by default that of the table.
        sizes: `width`, `depth`, `num_heads` (by default one for 64 channels of the width),
            `mlp_width` (by default four times the width), `patch_size`, `dropout`, or any field
            of the family's configuration under its own name.

    Raises:
        InputError: a size that the family does not know, is below 1, or does not divide.
    """
    from transformers import AutoModelForVideoClassification

    facts = FACTS[family]
    num_frames = facts.num_frames if num_frames is None else num_frames
    size = facts.size if size is None else size
    config = _config(family, _fields(family, num_frames, size, sizes) | {"num_labels": num_classes})
    _check(config, num_classes=num_classes, num_frames=num_frames, size=size)
    model: nn.Module = AutoModelForVideoClassification.from_config(config)
    return model


def pretrained_transformer(
    source: str | Path,
    *,
    num_classes: int,
    num_frames: int | None = None,
    size: int | None = None,
    family: str | None = None,
    **sizes: Any,
) -> nn.Module:
    """A classifier with weights of the Hugging Face hub, or of a folder of `save_pretrained`.

    A head of another number of classes, or one that is not among the weights, starts afresh,
    and a warning is logged; so does a TimeSformer's change of frames or size.

    Args:
        source: the id or the folder.
        num_classes: logits.
        num_frames: frames in a clip, by default those of the weights.
        size: side of the square crops, by default that of the weights.
        family: refuse weights of another one.
        sizes: as `transformer` takes them; those that the weights have cannot be changed.

    Raises:
        InputError: the weights cannot be reached or read, are of another family, lack tensors of
            the backbone, or do not fit the sizes that were asked for.
    """
    from transformers import AutoModelForVideoClassification

    config = _configuration(source, family, num_frames=num_frames, size=size, sizes=sizes)
    there = config.num_labels
    if there != num_classes:
        config.num_labels = num_classes
    model, report = _read(
        AutoModelForVideoClassification,
        source,
        config=config,
        # Whatever they were saved in: it is `precision` that says what to compute in.
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    _check_report(model, report, source)
    if any(name.startswith("classifier.") for name in report["missing_keys"]):
        logger.warning("%s has no head: classifier starts afresh", Path(source).name)
    elif there != num_classes:
        say_head_is_fresh(Path(source).name, there, num_classes, "classifier")
    return _at_clip_size(model, num_frames=num_frames, size=size)


def saved_transformer(
    folder: str | Path,
    weights: str | Path,
    *,
    family: str | None = None,
    num_classes: int,
    num_frames: int | None = None,
    size: int | None = None,
    **sizes: Any,
) -> nn.Module:
    """A classifier of the configuration in `folder`, with the weights of a file beside it.

    Args:
        folder: with the `config.json` of a model of transformers.
        weights: a state dict of that model, see `load_weights`.
        family, num_classes, num_frames, size, sizes: as `pretrained_transformer` takes them.

    Raises:
        InputError: as `pretrained_transformer` and `load_weights`.
    """
    from transformers import AutoModelForVideoClassification

    config = _configuration(folder, family, num_frames=num_frames, size=size, sizes=sizes)
    config.num_labels = num_classes
    model: nn.Module = AutoModelForVideoClassification.from_config(config, dtype=torch.float32)
    load_weights(model, weights, head=str(FACTS[config.model_type].head))
    return _at_clip_size(model, num_frames=num_frames, size=size)


def is_hub_id(source: str | Path) -> bool:
    """Whether this names a model on the Hugging Face hub, and nothing on this disk."""
    text = str(source)
    is_one = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", text) is not None
    return is_one and Path(text).suffix not in _FILES and not Path(text).exists()


def _configuration(
    source: str | Path,
    family: str | None,
    *,
    num_frames: int | None,
    size: int | None,
    sizes: dict[str, Any],
) -> Any:
    """The configuration of weights, with what may differ from them as it was asked for."""
    from transformers import AutoConfig

    config = _read(AutoConfig, source)
    found = str(config.model_type)
    if found not in FAMILIES or family not in (None, found):
        expected = ", ".join(FAMILIES) if family is None else family
        raise InputError(f"{source} holds a model of type {found!r}; expected {expected}")
    _check_fixed(config, sizes, source)
    for name in set(sizes) & {"dropout", *_FREE}:
        setattr(config, _FIELDS.get(name, name), sizes[name])
    if found != "timesformer":
        # These have no tensor for each frame but ViViT, whose mismatch is refused on loading.
        for name, value in _clip_fields(found, num_frames, size).items():
            setattr(config, name, value)
    return config


def _at_clip_size(model: Any, *, num_frames: int | None, size: int | None) -> nn.Module:
    """The model; a TimeSformer with its embeddings resized to the clips asked for."""
    if model.config.model_type == "timesformer":
        if num_frames is not None:
            set_num_frames(model, num_frames)
        if size is not None:
            set_size(model, size)
    classifier: nn.Module = model
    return classifier


def _fields(family: str, num_frames: int, size: int, sizes: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {_FIELDS.get(name, name): value for name, value in sizes.items()}
    if family == "vivit" and "patch_size" in fields:
        patch_size = fields.pop("patch_size")
        fields["tubelet_size"] = (2, patch_size, patch_size)
    width = fields.get("hidden_size")
    if isinstance(width, int):
        fields.setdefault("num_attention_heads", max(1, width // _HEAD_CHANNELS))
        if family != "vjepa2":
            fields.setdefault("intermediate_size", _MLP_RATIO * width)
    return fields | _clip_fields(family, num_frames, size)


def _clip_fields(family: str, num_frames: int | None, size: int | None) -> dict[str, int]:
    names = ("frames_per_clip", "crop_size") if family == "vjepa2" else ("num_frames", "image_size")
    pairs = zip(names, (num_frames, size), strict=True)
    return {name: value for name, value in pairs if value is not None}


def _config(family: str, fields: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    known = {field.name for field in dataclasses.fields(type(AutoConfig.for_model(family)))}
    for name in fields:
        # Unchecked, transformers would keep an unknown field and build the default size.
        if name not in known | {"num_labels"}:
            raise InputError(
                f"{family} has no size {name!r}; expected {', '.join(_FIELDS)}, patch_size, or "
                f"a field of its configuration in transformers"
            )
    try:
        return AutoConfig.for_model(family, **fields)
    except Exception as error:
        raise InputError(f"{family} cannot have these sizes: {in_one_line(error)}") from error


def _check(config: Any, **sizes: int) -> None:
    patch = config.tubelet_size[1] if config.model_type == "vivit" else config.patch_size
    tubelet = getattr(config, "tubelet_size", 1)
    tubelet = tubelet if isinstance(tubelet, int) else tubelet[0]
    sizes |= {"patch_size": patch, "tubelet_size": tubelet}
    for name in ("width", "depth", "num_heads", "mlp_width"):
        # V-JEPA 2 has a ratio in place of the last.
        sizes[name] = getattr(config, _FIELDS[name], 1)
    for name in sizes:
        if sizes[name] < 1:
            raise InputError(f"{name} is {sizes[name]}; expected 1 or more")
    for name, divisor_name, divisor in (
        ("width", "num_heads", sizes["num_heads"]),
        ("size", "the patch size", patch),
        ("num_frames", "the frames of a token", tubelet),
    ):
        if sizes[name] % divisor:
            raise InputError(
                f"{name} is {sizes[name]}; expected a multiple of {divisor_name}, {divisor}"
            )


def _check_fixed(config: Any, sizes: dict[str, Any], source: str | Path) -> None:
    for name, value in sizes.items():
        field = _FIELDS.get(name, name)
        there = getattr(config, field, None)
        if name == "patch_size" and config.model_type == "vivit":
            there = config.tubelet_size[1]
        # A tuple comes back from a saved configuration as a list.
        there = tuple(there) if isinstance(there, list) else there
        if field not in _FREE and there != value:
            raise InputError(
                f"{name} is {value}; {source} has {there}: leave it out, weights come with their "
                "sizes"
            )


def _check_report(model: Any, report: dict[str, Any], source: str | Path) -> None:
    """Refuse weights in which tensors of the backbone itself are missing or of another shape."""
    inside = f"{model.base_model_prefix}."
    for name in sorted(report["missing_keys"]):
        if name.startswith(inside):
            raise InputError(
                f"{source} does not fit this model: {name} is missing there; give the weights of "
                "this architecture"
            )
    for name, there, here in sorted(report["mismatched_keys"]):
        if not name.startswith("classifier."):
            raise InputError(
                f"{source} does not fit this model: {name} is {tuple(there)} there and "
                f"{tuple(here)} here; give the weights of this architecture and size"
            )


def _read(library_class: Any, source: str | Path, **settings: Any) -> Any:
    try:
        return library_class.from_pretrained(source, **settings)
    # transformers, the hub and two file formats fail in a dozen ways.
    except Exception as error:
        raise InputError(
            f"cannot load {source} ({in_one_line(error)}); expected a folder of save_pretrained "
            "or the id of a video classifier on the Hugging Face hub"
        ) from error
