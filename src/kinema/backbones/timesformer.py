"""TimeSformer, from transformers; weights of the hub, of a folder, or of its authors' files."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kinema.backbones.facts import facts_of
from kinema.backbones.resize import set_num_frames, set_size
from kinema.backbones.transformer import is_hub_id, pretrained_transformer, transformer
from kinema.backbones.weights import load_state, read_state
from kinema.errors import InputError

# The authors' names (facebookresearch/TimeSformer) and transformers' for the same tensors. The
# order of rows in a qkv matrix is the same in both.
_NAMES = {
    r"cls_token": "timesformer.embeddings.cls_token",
    r"pos_embed": "timesformer.embeddings.position_embeddings",
    r"time_embed": "timesformer.embeddings.time_embeddings",
    r"patch_embed\.proj\.": "timesformer.embeddings.patch_embeddings.projection.",
    r"blocks\.(\d+)\.norm1\.": r"timesformer.encoder.layer.\1.layernorm_before.",
    r"blocks\.(\d+)\.norm2\.": r"timesformer.encoder.layer.\1.layernorm_after.",
    r"blocks\.(\d+)\.attn\.qkv\.": r"timesformer.encoder.layer.\1.attention.attention.qkv.",
    r"blocks\.(\d+)\.attn\.proj\.": r"timesformer.encoder.layer.\1.attention.output.dense.",
    r"blocks\.(\d+)\.temporal_norm1\.": r"timesformer.encoder.layer.\1.temporal_layernorm.",
    r"blocks\.(\d+)\.temporal_attn\.qkv\.": (
        r"timesformer.encoder.layer.\1.temporal_attention.attention.qkv."
    ),
    r"blocks\.(\d+)\.temporal_attn\.proj\.": (
        r"timesformer.encoder.layer.\1.temporal_attention.output.dense."
    ),
    r"blocks\.(\d+)\.temporal_fc\.": r"timesformer.encoder.layer.\1.temporal_dense.",
    r"blocks\.(\d+)\.mlp\.fc1\.": r"timesformer.encoder.layer.\1.intermediate.dense.",
    r"blocks\.(\d+)\.mlp\.fc2\.": r"timesformer.encoder.layer.\1.output.dense.",
    r"norm\.": "timesformer.layernorm.",
    r"head\.": "classifier.",
}
_PUBLISHED_WIDTHS = (768, 1024)


def timesformer(
    num_classes: int = 400,
    *,
    weights: str | Path | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    width: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
    mlp_width: int | None = None,
    patch_size: int | None = None,
    dropout: float = 0.0,
) -> nn.Module:
    """transformers' TimesformerForVideoClassification: 121,566,352 parameters at 400 classes.

    It takes normalised clips `(B, T, 3, H, W)` and returns an output with `.logits`. Small ones
    for experiments: `timesformer(6, num_frames=16, size=64, width=128, depth=4)`.

    Args:
        num_classes: logits.
        weights: None for random ones; "k400" for those of the Hugging Face hub, downloaded once;
            an id there; or the path of a folder of `save_pretrained`, or of a file with its
            authors' names or transformers'. A head of another size starts afresh, and a warning
            is logged.
        num_frames: frames in a clip; by default 8, or those of the weights. Weights of another
            count have their time embeddings resized, and a warning is logged.
        size: side of the square crops; by default 224, or that of the weights, like `num_frames`.
        width: channels of a token, 768 in the base model. This and the next four come with the
            weights where there are any.
        depth: layers, 12.
        num_heads: heads of attention, by default one for 64 channels, as the published models
            have them. A file of weights of another width than theirs does not tell: give it then.
        mlp_width: channels inside the MLP, by default four times the width.
        patch_size: side of the square that makes one token, 16.
        dropout: probability, on embeddings and after each layer.

    Raises:
        InputError: unusable sizes or weights.
    """
    sizes: dict[str, Any] = {
        "width": width,
        "depth": depth,
        "num_heads": num_heads,
        "mlp_width": mlp_width,
        "patch_size": patch_size,
    }
    sizes = {name: value for name, value in sizes.items() if value is not None}
    facts = facts_of("timesformer")
    if weights is None:
        return transformer(
            facts.name,
            num_classes=num_classes,
            num_frames=num_frames,
            size=size,
            dropout=dropout,
            **sizes,
        )
    if weights == facts.trained_on or Path(weights).is_dir() or is_hub_id(weights):
        return pretrained_transformer(
            str(facts.hub_id) if weights == facts.trained_on else weights,
            num_classes=num_classes,
            num_frames=num_frames,
            size=size,
            family=facts.name,
            dropout=dropout,
            **sizes,
        )
    path = Path(weights)
    state = in_transformers_names(read_state(path))
    found = _sizes_in(state, path)
    if num_heads is None and found["width"] not in _PUBLISHED_WIDTHS:
        raise InputError(
            f"{path} does not tell how many heads its attention of {found['width']} channels has; "
            "give num_heads"
        )
    model = transformer(facts.name, num_classes=num_classes, dropout=dropout, **found | sizes)
    load_state(model, state, head=str(facts.head), path=path)
    if num_frames is not None:
        set_num_frames(model, num_frames)
    if size is not None:
        set_size(model, size)
    return model


def in_transformers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the authors' TimeSformer under transformers' names; any other as it is."""
    renamed = {}
    for name, tensor in state.items():
        own = name.removeprefix("model.")
        for theirs, ours in _NAMES.items():
            new, count = re.subn(f"^{theirs}", ours, own)
            if count:
                renamed[new] = tensor
                break
        else:
            renamed[name] = tensor
    return renamed


def _sizes_in(state: dict[str, Tensor], path: Path) -> dict[str, Any]:
    embeddings, layers = "timesformer.embeddings.", "timesformer.encoder.layer."
    needed = {
        "patches": f"{embeddings}patch_embeddings.projection.weight",
        "places": f"{embeddings}position_embeddings",
        "times": f"{embeddings}time_embeddings",
        "mlp": f"{layers}0.intermediate.dense.weight",
    }
    for name in needed.values():
        if name not in state:
            raise InputError(
                f"{path} does not fit a TimeSformer: {name} is missing there; give the weights of "
                "a TimeSformer with divided attention"
            )
    width, _, _, patch_size = state[needed["patches"]].shape
    side = round((state[needed["places"]].shape[1] - 1) ** 0.5)
    return {
        "num_frames": state[needed["times"]].shape[1],
        "size": side * patch_size,
        "width": width,
        "depth": 1 + max(int(n.split(".")[3]) for n in state if n.startswith(layers)),
        "mlp_width": len(state[needed["mlp"]]),
        "patch_size": patch_size,
    }
