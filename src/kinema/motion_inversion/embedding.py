"""Motion embeddings as arithmetic: debiasing, another length, another grid, low rank.

A temporal attention with C channels over N frames and a grid of H x W sites has a query-key
embedding `(1, N, C)`, without space, and a value embedding `(H, W, N, C)` (arXiv 2403.20193).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError

VALUE_MODES = ("raw", "debiased", "debiased-zero", "centred", "none")
"""What becomes of a value embedding before it is added; `debias` says what each one does."""


def debias(value: Tensor, mode: str) -> Tensor:
    """Take from a value embedding what does not move, so that less of the clip's look is kept.

    Args:
        value: `(..., N, C)`, frames last but one.
        mode: "raw" changes nothing. "debiased" replaces every frame but the first by its
            difference from the frame before (equation 5). "debiased-zero" also zeroes the first
            frame, which equation 5 leaves with all its appearance. "centred", ours and the default,
            subtracts the mean over frames: what stands still goes from every frame, the first
            too, and the rest stays as it was learned, where differences of neighbours become
            faint in slow or long videos (`docs/log.md`). "none" gives zeros, for camera motion.

    Returns:
        The same shape and dtype.

    Raises:
        InputError: an unknown mode.
    """
    check_value_mode(mode)
    if mode == "raw":
        return value
    if mode == "none":
        return torch.zeros_like(value)
    if mode == "centred":
        return value - value.mean(dim=-2, keepdim=True)
    first, changes = value[..., :1, :], value[..., 1:, :] - value[..., :-1, :]
    return torch.cat([first if mode == "debiased" else torch.zeros_like(first), changes], dim=-2)


def check_value_mode(mode: str) -> None:
    """Refuse a value mode that there is not.

    Raises:
        InputError: an unknown mode.
    """
    if mode not in VALUE_MODES:
        raise InputError(f"value is {mode!r}; expected one of {', '.join(VALUE_MODES)}")


def at_length(embedding: Tensor, num_frames: int) -> Tensor:
    """Bring an embedding to another length, linearly between frames; both ends stay as they are.

    Args:
        embedding: `(..., N, C)`, floating.
        num_frames: 1 or more.

    Returns:
        `(..., num_frames, C)`, the very tensor where the length is right already.
    """
    if embedding.shape[-2] == num_frames:
        return embedding
    lines = embedding.movedim(-2, -1)
    resized = F.interpolate(
        lines.flatten(0, -2)[None], size=num_frames, mode="linear", align_corners=True
    )
    return resized.reshape(*lines.shape[:-1], num_frames).movedim(-1, -2)


def at_grid(value: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bring a value embedding, or its scores, to another grid, bilinearly.

    Args:
        value: `(H, W, ...)`, floating.
        grid: the new height and width.

    Returns:
        `(*grid, ...)`, the very tensor where the grid is right already.
    """
    if value.shape[:2] == grid:
        return value
    flat = value.flatten(2) if value.ndim > 2 else value[..., None]
    planes = flat.permute(2, 0, 1)[None]
    resized = F.interpolate(planes, size=grid, mode="bilinear", align_corners=False)[0]
    return resized.permute(1, 2, 0).reshape(*grid, *value.shape[2:])


def low_rank_value(scores: Tensor, directions: Tensor) -> Tensor:
    """Put a value embedding of low rank together.

    Places and frames on one side, channels on the other: what a clip's motion says of a place
    changes with every frame, but lies along few directions of the channels. With places on one
    side and frames and channels on the other much more of a motion is lost (`docs/log.md`).

    Args:
        scores: `(H, W, N, R)`.
        directions: `(R, C)`.

    Returns:
        `(H, W, N, C)`, of rank R at most as a matrix of places and frames by channels.
    """
    return scores @ directions


def low_rank_factors(value: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The scores and directions that are closest to a value embedding, by least squares.

    Args:
        value: `(H, W, N, C)`.
        rank: R, at most C.

    Returns:
        `(H, W, N, R)` and `(R, C)`, rows of length 1 at right angles, in the value's dtype.
    """
    flat = value.double().flatten(0, 2)
    # Its right singular vectors; of places and frames there may be many times the channels.
    _, vectors = torch.linalg.eigh(flat.mT @ flat)
    directions = vectors.flip(-1)[:, :rank].mT
    return (value.double() @ directions.mT).to(value.dtype), directions.to(value.dtype)
