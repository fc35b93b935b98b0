"""A clip in which something moves, and settings that take seconds."""

import torch

from kinema.motion_inversion import InversionSettings

PROMPT = "a blue star moves left on a grey background"
QUICK = InversionSettings(num_steps=3, inversion_steps=0, batch_size=1)


def moving_square(num_frames: int = 4) -> torch.Tensor:
    """A white square of 16 pixels that moves right by 8 a frame, on grey, 64x64."""
    video = torch.full((num_frames, 3, 64, 64), 0.4)
    for frame in range(num_frames):
        video[frame, :, 24:40, 8 * frame : 8 * frame + 16] = 1
    return video
