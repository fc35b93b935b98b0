"""Embeddings in another order or number of frames, on models that tell attention which frame is
which.

AnimateDiff adds a sinusoid of the frame's number to what its temporal attentions see. An embedding
was learned on top of it, so the two together are the clip's time: turned round or drawn out without
the other, the embedding says one frame and the sinusoid another, and nothing moves as it should
(`benchmarks/arithmetic.py`; `docs/log.md`). Here the sum is changed and the sinusoid of the new
frames taken off again; attention does not mind the order of its frames, so what it does is then
exactly the old, in the new order.
"""

from collections.abc import Callable

from torch import Tensor


def in_clip_time(embedding: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change a query-key embedding and the positions below it together.

    Args:
        embedding: `(..., N, C)`.
        change: linear, from `(..., N, C)` to `(..., M, C)`.

    Returns:
        `(..., M, C)`, to be added to what already has the positions of M frames.
    """
    changed = change(embedding + frame_positions(embedding))
    return changed - frame_positions(changed)


def frame_positions(like: Tensor) -> Tensor:
    """The sinusoids that diffusers adds to the N frames of `like` (..., N, C), as (N, C)."""
    from diffusers.models.embeddings import SinusoidalPositionalEmbedding

    num_frames, channels = like.shape[-2:]
    return SinusoidalPositionalEmbedding(channels, num_frames).pe[0].to(like)
