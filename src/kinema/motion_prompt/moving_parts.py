"""Where a clip moves: a motion prompt's attention map that needs no learning."""

import torch
from torch import Tensor

from kinema.motion_prompt.layer import MotionPrompt
from kinema.motion_prompt.normalisation import SigmE


@torch.no_grad()
def moving_parts(clip: Tensor) -> Tensor:
    """Return how much each place moves from frame to frame, `(T-1, H, W)` in [0, 1].

    0 is where nothing moves. The learnable sigmoid answers to brightening alone and has its say at
    rest too; a thing that is darker than its ground moves as well, so the map is SigmE's of both
    signs.

    Args:
        clip: `(T, 3, H, W)` floating-point, RGB in [0, 1], two frames or more.

    Raises:
        InputError: a clip of another form, as `MotionPrompt` says.
    """
    prompt = MotionPrompt(mean=(0.0,) * 3, std=(1.0,) * 3, normalisation=SigmE(signed=True))
    return prompt(clip[None]).attention[0].abs()
