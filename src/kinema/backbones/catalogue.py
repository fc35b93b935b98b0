"""Any backbone by its name."""

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from kinema.backbones.facts import FACTS
from kinema.backbones.slowfast import slowfast_r50
from kinema.backbones.timesformer import timesformer
from kinema.backbones.transformer import is_hub_id, pretrained_transformer, transformer
from kinema.backbones.weights import load_weights
from kinema.backbones.x3d import x3d_m, x3d_s, x3d_xs
from kinema.errors import InputError

_PUBLISHED = {facts.trained_on for facts in FACTS.values()}

_MAKERS: dict[str, Any] = {
    "slowfast_r50": slowfast_r50,
    "x3d_xs": x3d_xs,
    "x3d_s": x3d_s,
    "x3d_m": x3d_m,
    "timesformer": timesformer,
}


def backbone(
    name: str,
    *,
    num_classes: int,
    weights: str | Path | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    **sizes: Any,
) -> nn.Module:
    """Make a video classifier by name.

    Args:
        name: of a row of `FACTS`; or the id on the Hugging Face hub, or the folder, of a
            TimeSformer, VideoMAE, ViViT or V-JEPA 2, whose weights come along.
        num_classes: logits.
        weights: None for random ones, "k400" (V-JEPA 2: "ssv2") for the published ones, a path,
            or for the models of transformers an id on the Hugging Face hub. A head of another
            size starts afresh, and a warning is logged.
        num_frames: frames in a clip, by default those of the table or the weights.
        size: side of the square crops, by default that of the table or the weights.
        sizes: smaller sizes for experiments: `width` and `depths` for SlowFast and X3D, `width`,
            `depth`, `num_heads`, `patch_size` for the others, and what else the function of that
            name takes.

    Raises:
        InputError: the name or a size is not known, or the weights cannot be used.
    """
    given = {"num_frames": num_frames, "size": size}
    if name in _MAKERS:
        maker = _MAKERS[name]
        _check_sizes(name, maker, sizes)
        sizes |= {key: value for key, value in given.items() if value is not None}
        model: nn.Module = maker(num_classes=num_classes, weights=weights, **sizes)
        return model
    clip: dict[str, Any] = {"num_classes": num_classes, **given}
    if name not in FACTS:
        if weights is not None:
            raise InputError(
                f"weights is {weights} beside the backbone {name!r}, which brings its own; "
                "expected one of the two"
            )
        if not Path(name).is_dir() and not is_hub_id(name):
            raise InputError(
                f"backbone {name!r} is not known; expected one of {', '.join(FACTS)}, an id on "
                "the Hugging Face hub, or a folder of save_pretrained"
            )
        return pretrained_transformer(name, **clip, **sizes)
    facts = FACTS[name]
    if weights == facts.trained_on:
        return pretrained_transformer(str(facts.hub_id), family=name, **clip, **sizes)
    if weights in _PUBLISHED:
        raise InputError(
            f"weights is {weights!r}; the published ones of {name} are {facts.trained_on!r}"
        )
    if weights is not None and (Path(weights).is_dir() or is_hub_id(weights)):
        return pretrained_transformer(weights, family=name, **clip, **sizes)
    model = transformer(name, **clip, **sizes)
    if weights is not None:
        load_weights(model, weights, head=str(facts.head))
    return model


def _check_sizes(name: str, maker: Any, sizes: dict[str, Any]) -> None:
    known = [key for key in inspect.signature(maker).parameters if key not in ("weights",)]
    for key in sizes:
        if key not in known:
            raise InputError(f"{name} has no size {key!r}; expected {', '.join(known)}")
