"""Connected regions of a mask."""

import torch
import torch.nn.functional as F
from torch import Tensor


def label_regions(mask: Tensor) -> Tensor:
    """Return a label for the connected region of each pixel.

    Args:
        mask: (N, H, W) bool.

    Returns:
        (N, H, W) int64: 0 outside, else 1 to H * W, equal within a region (of eight neighbours) and
        different between the regions of a frame.
    """
    num_frames, height, width = mask.shape
    own = torch.arange(1, height * width + 1, device=mask.device).view(height, width)
    labels = own * mask
    while True:
        # Take the largest label around, then that label's own: the second step doubles the reach,
        # so that a winding region takes few rounds.
        grown = F.pad((largest_around(labels) * mask).flatten(1), (1, 0))
        for _ in range(2):
            grown = grown.gather(1, grown)
        grown = grown[:, 1:].view(num_frames, height, width)
        if torch.equal(grown, labels):
            return labels
        labels = grown


def largest_around(values: Tensor) -> Tensor:
    """Return the largest value among each pixel and its eight neighbours, (N, H, W)."""
    # torch.max_pool2d takes ten times as long on one core.
    rows = values.clone()
    torch.maximum(rows[:, 1:], values[:, :-1], out=rows[:, 1:])
    torch.maximum(rows[:, :-1], values[:, 1:], out=rows[:, :-1])
    largest = rows.clone()
    torch.maximum(largest[..., 1:], rows[..., :-1], out=largest[..., 1:])
    torch.maximum(largest[..., :-1], rows[..., 1:], out=largest[..., :-1])
    return largest


def region_sizes(labels: Tensor) -> Tensor:
    """Return how many pixels of each frame have each label, (N, H * W + 1); label 0 counts none."""
    flat = labels.flatten(1)
    sizes = torch.zeros(flat.shape[0], flat.shape[1] + 1, device=labels.device)
    sizes.scatter_add_(1, flat, torch.ones(flat.shape, device=labels.device))
    sizes[:, 0] = 0
    return sizes
