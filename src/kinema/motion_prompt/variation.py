"""Temporal attention variation, the regulariser of a motion prompt (arXiv 2407.03179)."""

from torch import Tensor


def attention_variation(attention: Tensor) -> Tensor:
    """Mean squared change between neighbouring attention maps.

    `V = 1 / (T-2) * sum_t ||A_{t+1} - A_t||_F^2` for T frames; like the authors' code, and unlike
    the printed formula, it is divided by `B * H * W` too, so that batch and frame size leave the
    weight of the penalty alone.

    Args:
        attention: `(B, T-1, H, W)`.

    Returns:
        A scalar, at least 0. A single map (T = 2) has no neighbour: its variation is 0, where the
        authors' code divides by zero.
    """
    changes = attention[:, 1:] - attention[:, :-1]
    if changes.shape[1] == 0:
        return changes.sum()  # zero, and still part of the graph
    return changes.square().mean()
