"""The motion prompt layer on a GPU: one kernel forward, one backward, in Triton.

On an H200 the forward pass of large clips reaches 3.8 TB/s, where a copy reaches 4.2;
`benchmarks/prompt_bandwidth.py` measures it.

What is summed over pixels (the variation, the gradients of slope and shift) leaves each program as
one partial sum, which makes the totals the same from run to run.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kinema.motion_prompt.fused_formula import Gradients, Prompted, PromptFormula

try:
    from kinema.motion_prompt import triton_kernels
except ImportError:  # torch for CPUs comes without Triton
    triton_kernels = None  # type: ignore[assignment]

_BLOCK = 512
_MOST = 2**31
_MOST_CLIPS = 65_535
"""Of CUDA's grids along their second axis."""
_failed = False


def can_run(frames: Tensor) -> bool:
    """Whether the kernels take these frames: on a GPU, where Triton is installed.

    float64 is left to the formula: Triton's scalar arguments are float32. So are frames so many
    that the kernels, which count in 32 bits, would lose count, and more clips than a grid has.
    """
    if triton_kernels is None or _failed:
        return False
    return (
        frames.device.type == "cuda"
        and frames.dtype != torch.float64
        and _last_place(frames) < _MOST
        and frames.shape[0] <= _MOST_CLIPS
    )


def prompt(frames: Tensor, slope: Tensor, shift: Tensor, formula: PromptFormula) -> Prompted | None:
    """As `fused_cpu.prompt`, on a GPU, where nothing waits for it; None where Triton fails."""
    video, attention = formula.empty(frames)
    grid, sizes = _grid(frames)
    squares = torch.empty(grid, dtype=torch.float32, device=frames.device)
    scale, offset = formula.scale or (1.0,) * 3, formula.offset or (0.0,) * 3
    launched = _launch(
        "prompt_kernel", grid,
        frames, video, attention, squares, slope, shift,
        *sizes, *frames.stride(), *video.stride(), *formula.weights, *scale, *offset,
        FLAT_IN=_is_flat(frames), FLAT_OUT=_is_flat(video), SCALED=formula.scale is not None,
    )  # fmt: skip
    if not launched:
        return None
    variation = squares.sum(dtype=torch.float64) / max(formula.num_changes(frames), 1)
    return Prompted(video, attention, variation.to(attention.dtype))


def prompt_backward(
    frames: Tensor,
    slope: Tensor,
    shift: Tensor,
    formula: PromptFormula,
    grads: Sequence[Tensor | None],
    *,
    of_frames: bool,
) -> Gradients | None:
    """As `fused_cpu.prompt_backward`, on a GPU; None where Triton fails."""
    grad_video, grad_attention, grad_variation = grads
    grid, sizes = _grid(frames)
    sums = torch.empty((2, *grid), dtype=torch.float32, device=frames.device)
    grad_frames = formula.empty_frames(frames.shape, frames.device) if of_frames else None
    # Where something is absent, any pointer will do: the kernel is built without its use.
    video = frames[:, 1:] if grad_video is None else grad_video
    attention = frames[:, 1:, 0] if grad_attention is None else grad_attention
    target = frames if grad_frames is None else grad_frames
    scale, offset = formula.scale or (1.0,) * 3, formula.offset or (0.0,) * 3
    launched = _launch(
        "backward_kernel", grid,
        frames, video, attention, slope if grad_variation is None else grad_variation,
        target, sums, slope, shift,
        *sizes, *frames.stride(), *video.stride(), *attention.stride(), *target.stride(),
        *formula.weights, *scale, *offset, 2.0 / max(formula.num_changes(frames), 1),
        FLAT_IN=_is_flat(frames), FLAT_GRAD=_is_flat(video), FLAT_OUT=_is_flat(target),
        SCALED=formula.scale is not None, OF_VIDEO=grad_video is not None,
        OF_ATTENTION=grad_attention is not None, OF_VARIATION=grad_variation is not None,
        TO_FRAMES=of_frames,
    )  # fmt: skip
    if not launched:
        return None
    sum_slope, sum_shift = sums.flatten(1).sum(1, dtype=torch.float64).to(slope.dtype)
    return Gradients(
        grad_frames, sum_slope.view_as(slope), (-slope * sum_shift.view_as(slope)).view_as(shift)
    )


def _launch(
    name: str, grid: tuple[int, int], frames: Tensor, *given: Any, **constants: Any
) -> bool:
    """Launch a kernel; where Triton fails, as without a C compiler, say so once and give up."""
    global _failed
    if _failed:
        return False
    try:
        with torch.cuda.device_of(frames):
            getattr(triton_kernels, name)[grid](frames, *given, **constants, BLOCK=_BLOCK)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        _failed = True
        warnings.warn(
            "Triton could not make the motion prompt's kernel, which goes on without, slower: "
            f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            stacklevel=2,
        )
        return False
    return True


def _grid(frames: Tensor) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Programs over pixels and clips; and the frames, the width and the pixels of a clip."""
    batch, time, _, height, width = frames.shape
    return (-(-height * width // _BLOCK), batch), (time, width, height * width)


def _last_place(frames: Tensor) -> int:
    """How far the last pixel lies from the first, in the frames or in the video made of them."""
    strided = zip(frames.shape, frames.stride(), strict=True)
    return max(sum((size - 1) * stride for size, stride in strided), frames.numel())


def _is_flat(video: Tensor) -> bool:
    """Whether a step along the pixels of a frame is always the same."""
    return video.stride(3) == video.stride(4) * video.shape[4] or video.shape[3] == 1
