"""Prompts straight from decoded frames: normalisation, prompt and layout in one pass."""

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.fused import can_fuse, fused_prompt
from kinema.motion_prompt.fused_formula import PromptFormula
from kinema.motion_prompt.layer import MotionPrompt, MotionPromptOutput
from kinema.motion_prompt.layout import canonical_axes, from_canonical, to_canonical
from kinema.motion_prompt.validation import check_num_frames

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def prompt_uint8(
    layer: MotionPrompt, frames: Tensor, *, dtype: torch.dtype = torch.float32
) -> MotionPromptOutput:
    """Prompt 8-bit frames as a decoder gives them, without a normalised clip in between.

    Equal to `layer(clip)` within rounding, where `clip = (frames / 255 - mean) / std` in the
    layer's layout. m and n get their gradients.

    Args:
        layer: gives mean, std, layout and normalisation.
        frames: `(B, T, H, W, 3)`, or `(T, H, W, 3)` where the layer's layout has no B; uint8, RGB,
            of any strides, T >= 2.
        dtype: of the prompts; the arithmetic is float32.

    Returns:
        Prompts in the layer's layout, contiguous; attention `(B, T-1, H, W)` and variation in
        float32.

    Raises:
        InputError: the frames are not uint8, have another rank or channel count, an axis of
            length 0 or a single frame, or dtype is none of float32, float16 and bfloat16.
    """
    if dtype not in _DTYPES:
        raise InputError(f"dtype is {dtype}; expected torch.float32, torch.float16 or bfloat16")
    given = "BTHWC" if layer.layout.startswith("B") else "THWC"
    canonical = to_canonical(frames, given, dtypes=(torch.uint8,))
    check_num_frames(canonical.shape[1])
    formula = PromptFormula(
        layer.folded_weights,
        dtype=dtype,
        order=canonical_axes(layer.layout),
        scale=tuple(1 / (255 * std) for std in layer.std),
        offset=tuple(-mean / std for mean, std in zip(layer.mean, layer.std, strict=True)),
    )
    if can_fuse(layer.normalisation, canonical):
        prompts, attention, variation = fused_prompt(
            canonical, layer.normalisation, formula, compiled=layer.compiled
        )
        return MotionPromptOutput(from_canonical(prompts, layer.layout), attention, variation)
    clip = from_canonical(formula.normalised(canonical), layer.layout).contiguous()
    output = layer(clip)
    return output._replace(video=output.video.to(dtype))
