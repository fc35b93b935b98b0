"""Clips and sizes that a backbone cannot take, refused before the network runs."""

from torch import Tensor

from kinema.errors import InputError

NUM_STAGES = 4


def check_clip_shape(clip: object, *, num_frames: int, what: str = "clip") -> None:
    """Pass a floating-point `(B, 3, num_frames, H, W)`; only shape and dtype are read.

    Raises:
        InputError: it is anything else.
    """
    expected = f"expected (B, 3, {num_frames}, H, W)"
    if not isinstance(clip, Tensor):
        raise InputError(
            f"the {what} is a {type(clip).__name__}; {expected}, a tensor of normalised frames"
        )
    shape = tuple(clip.shape)
    if clip.ndim != 5:
        raise InputError(
            f"the {what} has shape {shape}, rank {clip.ndim}; {expected}: give one clip a batch "
            "axis with clip[None]"
        )
    if not clip.is_floating_point():
        raise InputError(
            f"the {what} is {clip.dtype}; expected a normalised floating-point clip: divide 8-bit "
            "frames by 255, subtract the mean and divide by the standard deviation"
        )
    if clip.shape[1] != 3:
        raise InputError(
            f"the {what} has shape {shape} with {clip.shape[1]} channels on axis 1; {expected}: "
            "bring a BTCHW clip into this order with clip.transpose(1, 2)"
        )
    if clip.shape[2] != num_frames:
        raise InputError(
            f"the {what} has {clip.shape[2]} frames; {expected}: sample {num_frames} frames, or "
            "build the backbone with another num_frames"
        )
    if 0 in shape:
        raise InputError(f"the {what} has shape {shape}, which is empty; {expected}")


def check_sizes(*, depths: tuple[int, ...], **sizes: int) -> None:
    """Pass four depths and sizes of 1 or more.

    Raises:
        InputError: a number of stages other than four, or a size below 1; it names which.
    """
    if len(depths) != NUM_STAGES or min(depths) < 1:
        raise InputError(
            f"depths is {tuple(depths)}; expected {NUM_STAGES} stages of one block or more each"
        )
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}; expected 1 or more")
