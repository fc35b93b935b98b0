"""Whose time attention sees, on models that tell it which frame is which.

AnimateDiff adds a sinusoid of the frame's number to what its temporal attentions see. An embedding
was learned on top of it, so the two together are the clip's time: turned round or drawn out without
the other, the embedding says one frame and the sinusoid another, and nothing moves as it should
(`benchmarks/arithmetic.py`; `docs/log.md`). So queries and keys get the clip's own sinusoids,
turned round or drawn out along with the embeddings, in place of the model's. Attention does not
mind the order of its frames: the attention map is then exactly the old, in the new order.

Embeddings add up and take factors; positions do not, and belong to the model as much as to a
motion. They are therefore no part of the embeddings and change once in a call, whatever the number
and strengths of motions.
"""

from dataclasses import dataclass

from torch import Tensor

from kinema.motion_inversion.embedding import at_length


@dataclass(frozen=True)
class ClipTime:
    """The positions that a motion was learned on.

    Attributes:
        num_frames: of the clip.
        backwards: whether its last frame comes first.
    """

    num_frames: int
    backwards: bool = False

    def shift(self, num_frames: int, like: Tensor) -> Tensor | None:
        """What to add to queries and keys that have the positions of a video's own frames.

        Args:
            num_frames: of the video.
            like: `(..., C)`, floating.

        Returns:
            `(num_frames, C)`; None where they have the right ones already.
        """
        if self == ClipTime(num_frames):
            return None
        clip = at_length(frame_positions(self.num_frames, like), num_frames)
        if self.backwards:
            clip = clip.flip(-2)
        return clip - frame_positions(num_frames, like)

    def __str__(self) -> str:
        return f"{self.num_frames} frames{' backwards' if self.backwards else ''}"


def frame_positions(num_frames: int, like: Tensor) -> Tensor:
    """The sinusoids that diffusers adds to frames of as many channels as `like`, `(N, C)`."""
    from diffusers.models.embeddings import SinusoidalPositionalEmbedding

    return SinusoidalPositionalEmbedding(like.shape[-1], num_frames).pe[0].to(like)
