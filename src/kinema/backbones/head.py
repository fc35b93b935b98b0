"""From the last feature map to logits."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 32
"""Pixels of a crop for one place of the last feature map, in SlowFast and X3D."""


class WindowMean(nn.Module):
    """The mean over all frames and a square window that slides by one place.

    The zoo's models pool with the window that their training crops fill exactly. On larger crops
    the window slides, and the logits of its places are averaged. A map smaller than the window
    is averaged whole, where the zoo's models fail.

    Args:
        crop_size: side of the training crops; the window is `STRIDE` times smaller, rounded up.
    """

    def __init__(self, crop_size: int) -> None:
        super().__init__()
        self.size = math.ceil(crop_size / STRIDE)

    def forward(self, features: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to `(B, C, 1, H', W')`, one place for each position of the window."""
        # One frame is left before the window: avg_pool3d knows no bfloat16 on the CPU.
        frame = features.mean(2)
        height, width = frame.shape[2:]
        window = (min(self.size, height), min(self.size, width))
        return F.avg_pool2d(frame, window, stride=1).unsqueeze(2)


class ClassifierHead(nn.Module):
    """Pool, drop out, project, average over the places that the pool left.

    Args:
        width: channels after the pool.
        num_classes: logits.
        dropout: probability.
        pool: what comes first.
        probabilities: in eval mode, take the softmax at each place and average those, as the
            zoo's X3D does, instead of averaging logits.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        *,
        dropout: float,
        pool: nn.Module | None = None,
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        self.pool = nn.Identity() if pool is None else pool
        self.dropout = nn.Dropout(dropout)
        self.proj = nn.Linear(width, num_classes)
        self.probabilities = probabilities

    def forward(self, features: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to `(B, num_classes)`."""
        pooled = self.dropout(self.pool(features))
        scores = self.proj(pooled.movedim(1, -1))
        if self.probabilities and not self.training:
            scores = scores.softmax(-1)
        return scores.flatten(1, -2).mean(1)
