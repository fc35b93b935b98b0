"""A TimeSformer for other frames or another size than it was built for."""

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.backbones.facts import num_frames_of, row_of
from kinema.errors import InputError

logger = logging.getLogger(__name__)


def set_num_frames(backbone: nn.Module, num_frames: int) -> None:
    """Make a backbone take clips of `num_frames` frames; only a TimeSformer can change.

    transformers' TimeSformer groups its tokens by `config.num_frames` and, given another count,
    either fails deep inside or runs with the frames of different places mixed. So the
    configuration is set, and the time embeddings are repeated or dropped by nearest neighbour, as
    its authors do on loading: the parameter is a new one, so make the optimiser afterwards. A
    warning says so.

    Raises:
        InputError: any other backbone is asked for a count that it was not built for, or the
            count is below 1.
    """
    built = num_frames_of(backbone)
    if num_frames < 1:
        raise InputError(f"num_frames is {num_frames}; expected 1 or more")
    if num_frames == built:
        return
    row = row_of(backbone)
    if row is None or row.name != "timesformer":
        raise InputError(
            f"num_frames is {num_frames}; this {type(backbone).__name__} is built for {built}: "
            f"build it with num_frames={num_frames}"
        )
    model: Any = backbone
    model.config.num_frames = num_frames
    if model.config.attention_type != "space_only":
        embeddings = model.timesformer.embeddings
        embeddings.time_embeddings = _like(
            embeddings.time_embeddings, resized_times(embeddings.time_embeddings, num_frames)
        )
    logger.warning(
        "the TimeSformer took %d frames and now takes %d: its time embeddings are resized by "
        "nearest neighbour",
        built,
        num_frames,
    )


def set_size(backbone: nn.Module, size: int) -> None:
    """Make a TimeSformer take square crops of side `size`; its position embeddings are resized.

    Raises:
        InputError: the size is no multiple of the patch size, or the backbone is another one.
    """
    row = row_of(backbone)
    if row is None or row.name != "timesformer":
        raise InputError(
            f"size is {size}; only a TimeSformer can be resized, this {type(backbone).__name__} is "
            f"built with its size: build it with size={size}"
        )
    model: Any = backbone
    config = model.config
    if size == config.image_size:
        return
    if size < 1 or size % config.patch_size:
        raise InputError(
            f"size is {size}; expected a multiple of the patch size, {config.patch_size}"
        )
    logger.warning(
        "the TimeSformer took crops of %s and now takes %d: its position embeddings are resized "
        "by nearest neighbour",
        config.image_size,
        size,
    )
    config.image_size = size
    embeddings = model.timesformer.embeddings
    patches = embeddings.patch_embeddings
    side = size // config.patch_size
    embeddings.position_embeddings = _like(
        embeddings.position_embeddings, resized_places(embeddings.position_embeddings, side)
    )
    patches.image_size, patches.num_patches = (size, size), side**2
    embeddings.num_patches = side**2


def resized_times(embeddings: Tensor, num_frames: int) -> Tensor:
    """Time embeddings `(1, T, C)` to `(1, num_frames, C)` by nearest neighbour."""
    return F.interpolate(embeddings.transpose(1, 2), size=num_frames).transpose(1, 2)


def resized_places(embeddings: Tensor, side: int) -> Tensor:
    """Position embeddings `(1, 1 + n * n, C)` to `(1, 1 + side * side, C)`, the first one kept."""
    first, places = embeddings[:, :1], embeddings[:, 1:]
    old = round(places.shape[1] ** 0.5)
    grid = places.transpose(1, 2).unflatten(2, (old, old))
    return torch.cat([first, F.interpolate(grid, size=side).flatten(2).transpose(1, 2)], dim=1)


def _like(old: nn.Parameter, values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().clone(), requires_grad=old.requires_grad)
