"""The motion prompt layer on a CPU in one loop, where there is a C compiler.

`fused_native.c` is compiled once in a process, in a second or so, for the processor it runs on;
nothing of it stays on disk. Without a compiler, and for what the loop was not written for,
`fused_cpu` does the same.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from kinema.motion_prompt.fused_formula import Gradients, Prompted, PromptFormula

_SOURCE = Path(__file__).with_name("fused_native.c")
_FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# Values in a clip from which a compiler is worth its second; a step of training saves 1 ms there.
_WORTH_COMPILING = 250_000
# Pixels that a thread takes at once are a multiple of this.
_GRAIN = 4096
# By dtype of the frames, and steps from pixel to pixel in frames and prompts.
_FORWARD = {
    (torch.float32, 1, 1): "prompt_planes",
    (torch.float32, 3, 3): "prompt_interleaved",
    (torch.uint8, 3, 1): "prompt_bytes_to_planes",
    (torch.uint8, 3, 3): "prompt_bytes_interleaved",
}
Result = TypeVar("Result")
_SIZES = (
    "time",
    "frames_t",
    "frames_c",
    "video_t",
    "video_c",
    "map_t",
    "target_t",
    "target_c",
    "varies",
)


class _Settings(ctypes.Structure):
    """`Prompt` of the C source."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_float * 3) for name in ("weight", "scale", "offset")),
        *((name, ctypes.c_float) for name in ("slope", "shift", "per_change")),
    )


def is_wanted(frames: Tensor, compiled: bool | None) -> bool:
    """Whether to try: as `compiled` says, and if it says nothing, for large clips."""
    return frames.numel() >= _WORTH_COMPILING if compiled is None else compiled


def prompt(frames: Tensor, slope: Tensor, shift: Tensor, formula: PromptFormula) -> Prompted | None:
    """As `fused_cpu.prompt`; None where the loop was not written for these frames."""
    library = _library()
    if library is None:
        return None
    video, attention = formula.empty(frames)
    name = _FORWARD.get((frames.dtype, frames.stride(4), video.stride(4)))
    if name is None or video.dtype != torch.float32 or not _are_flat(frames, video):
        return None
    settings = _settings(frames, slope, shift, formula, video=video)

    def run(clip: int, start: int, stop: int) -> float:
        at = (tensor[clip].data_ptr() for tensor in (frames, video, attention))
        return getattr(library, name)(settings, *at, start, stop)

    squares = sum(_shared_out(run, frames))
    variation = squares / max(formula.num_changes(frames), 1)
    return Prompted(video, attention, attention.new_tensor(variation))


def prompt_backward(
    frames: Tensor,
    slope: Tensor,
    shift: Tensor,
    formula: PromptFormula,
    grads: Sequence[Tensor | None],
    *,
    of_frames: bool,
) -> Gradients | None:
    """As `fused_cpu.prompt_backward`; None where the loop was not written for these tensors."""
    grad_video, grad_attention, grad_variation = grads
    target = formula.empty_frames(frames.shape, frames.device) if of_frames else None
    videos = [video for video in (frames, grad_video, target) if video is not None]
    planes = all(video.stride(4) == 1 and video.dtype == torch.float32 for video in videos)
    library = _library() if planes and _are_flat(*videos) else None
    if library is None:
        return None
    grad_attention = None if grad_attention is None else grad_attention.contiguous()
    settings = _settings(frames, slope, shift, formula, video=grad_video, target=target)
    if grad_variation is not None:
        settings.varies = 1
        settings.per_change = 2 * grad_variation.item() / max(formula.num_changes(frames), 1)

    def run(clip: int, start: int, stop: int) -> tuple[float, float]:
        at = (
            None if tensor is None else tensor[clip].data_ptr()
            for tensor in (frames, grad_video, grad_attention, target)
        )
        sums = (ctypes.c_double * 2)()
        library.prompt_backward(settings, *at, start, stop, sums)
        return sums[0], sums[1]

    of_slope, of_shift = (sum(parts) for parts in zip(*_shared_out(run, frames), strict=True))
    return Gradients(
        target,
        torch.full_like(slope, of_slope),
        torch.full_like(shift, -slope.item() * of_shift),
    )


def _settings(
    frames: Tensor,
    slope: Tensor,
    shift: Tensor,
    formula: PromptFormula,
    *,
    video: Tensor | None = None,
    target: Tensor | None = None,
) -> _Settings:
    """Strides of one clip and the formula's numbers; the strides of what is absent stay 0."""
    settings = _Settings(time=frames.shape[1], map_t=frames.shape[3] * frames.shape[4])
    for name, tensor in (("frames", frames), ("video", video), ("target", target)):
        if tensor is not None:
            setattr(settings, f"{name}_t", tensor.stride(1))
            setattr(settings, f"{name}_c", tensor.stride(2))
    settings.weight[:] = formula.weights
    settings.scale[:] = formula.scale or (1.0,) * 3
    settings.offset[:] = formula.offset or (0.0,) * 3
    settings.slope, settings.shift = slope.item(), shift.item()
    return settings


def _are_flat(*videos: Tensor) -> bool:
    """Whether each steps evenly through its frames, by pixels of a plane or of three channels."""
    return all(
        (video.stride(3) == video.stride(4) * video.shape[4] or video.shape[3] == 1)
        and (video.stride(4) == 1 or video.stride(2) == 1)
        for video in videos
    )


def _shared_out(run: Callable[[int, int, int], Result], frames: Tensor) -> list[Result]:
    """`run(clip, first pixel, last)` over all clips, by as many threads as torch may use."""
    batch, num_pixels = frames.shape[0], frames.shape[3] * frames.shape[4]
    num_threads = torch.get_num_threads()
    per_clip = -(-num_threads // batch)
    share = -(-num_pixels // (per_clip * _GRAIN)) * _GRAIN
    parts = [
        (clip, start, min(start + share, num_pixels))
        for clip in range(batch)
        for start in range(0, num_pixels, share)
    ]
    if min(num_threads, len(parts)) == 1:
        return [run(*part) for part in parts]
    # A pool for the call: one that lived longer would not survive a fork.
    with ThreadPoolExecutor(min(num_threads, len(parts))) as pool:
        return list(pool.map(lambda part: run(*part), parts))


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled loop, or None: silently without a compiler, with a warning if it failed."""
    # CC may hold more than a name, such as "ccache gcc", or nothing but spaces.
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        return None
    try:
        return _compile(compiler)
    except (OSError, subprocess.SubprocessError) as error:
        printed = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        said = (printed or str(error)).strip().partition("\n")[0]
        warnings.warn(
            f"{shlex.join(compiler)} could not compile the motion prompt's loop, which goes on "
            f"without, slower: {said}",
            stacklevel=2,
        )
        return None


def _compile(compiler: list[str]) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="kinema-") as folder:
        target = Path(folder) / "fused_native.so"
        # Not every compiler can name the processor it is on, or has such vectors.
        for tune in (["-march=native", "-mprefer-vector-width=512"], ["-march=native"], []):
            command = [*compiler, *_FLAGS, *tune, str(_SOURCE), "-o", str(target)]
            built = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if built.returncode == 0:
                break
        built.check_returncode()
        library = ctypes.CDLL(str(target))
    numbers = [ctypes.c_int64, ctypes.c_int64]
    for name in _FORWARD.values():
        # By attribute: an item of a library is a new function each time, without its types.
        forward = getattr(library, name)
        forward.argtypes = [ctypes.POINTER(_Settings), *[ctypes.c_void_p] * 3, *numbers]
        forward.restype = ctypes.c_double
    backward = library.prompt_backward
    backward.argtypes = [
        ctypes.POINTER(_Settings),
        *[ctypes.c_void_p] * 4,
        *numbers,
        ctypes.POINTER(ctypes.c_double),
    ]
    backward.restype = None
    return library
