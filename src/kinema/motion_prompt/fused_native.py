"""The motion prompt layer on a CPU in one loop, where there is a C compiler.

`fused_native.c` is compiled once in a process, in a second or so, for the processor it runs on;
nothing of it stays on disk. Without a compiler, and for what the loop was not written for,
`fused_cpu` does the same.

Where the compiler knows OpenMP the loop runs on the threads that torch has, since a library of the
name that torch has loaded is not loaded again; elsewhere on threads of Python's.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from kinema.motion_prompt.fused_formula import Gradients, Prompted, PromptFormula

_SOURCE = Path(__file__).with_name("fused_native.c")
_FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# Values in a clip from which a compiler is worth its second; a step of training saves 1 ms there.
_WORTH_COMPILING = 250_000
# Parts for each thread, so that one which is kept from its core leaves its parts to others; and the
# pixels of a part are a multiple of this.
_PARTS_PER_THREAD = 4
_GRAIN = 4096
# A fork has none of the threads of the process that it comes from, and OpenMP waits for them.
_PROCESS = os.getpid()
# By dtype of the frames, and steps from pixel to pixel in frames and prompts.
_FORWARD = {
    (torch.float32, 1, 1): "prompt_planes",
    (torch.float32, 3, 3): "prompt_interleaved",
    (torch.uint8, 3, 1): "prompt_bytes_to_planes",
    (torch.uint8, 3, 3): "prompt_bytes_interleaved",
}
_SIZES = ("time", "pixels", "parts", "part_pixels", "threads")
_STRIDES = tuple(f"{of}_{axis}" for of in ("frames", "video", "target") for axis in "btc")


class _Settings(ctypes.Structure):
    """`Prompt` of the C source."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in (*_SIZES, *_STRIDES, "varies")),
        *((name, ctypes.c_float * 3) for name in ("weight", "scale", "offset")),
        *((name, ctypes.c_float) for name in ("slope", "shift", "per_change")),
    )


def is_wanted(frames: Tensor, compiled: bool | None) -> bool:
    """Whether to try: as `compiled` says, and if it says nothing, for large clips."""
    return frames.numel() >= _WORTH_COMPILING if compiled is None else compiled


def prompt(frames: Tensor, slope: Tensor, shift: Tensor, formula: PromptFormula) -> Prompted | None:
    """As `fused_cpu.prompt`; None where the loop was not written for these frames."""
    video, attention = formula.empty(frames)
    name = _FORWARD.get((frames.dtype, frames.stride(4), video.stride(4)))
    if name is None or video.dtype != torch.float32 or not _are_flat(frames, video):
        return None
    library = _library()
    if library is None:
        return None
    settings = _settings(frames, slope, shift, formula, video=video)

    given = (settings, frames.data_ptr(), video.data_ptr(), attention.data_ptr())
    squares = _all_parts(library, name, given, settings, len(frames), sums=1)
    variation = sum(squares) / max(formula.num_changes(frames), 1)
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

    at = (
        None if tensor is None else tensor.data_ptr()
        for tensor in (frames, grad_video, grad_attention, target)
    )
    sums = _all_parts(library, "prompt_backward", (settings, *at), settings, len(frames), sums=2)
    of_slope, of_shift = sum(sums[::2]), sum(sums[1::2])
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
    """Sizes, strides and the formula's numbers; the strides of what is absent stay 0."""
    batch, time, _, height, width = frames.shape
    threads = torch.get_num_threads()
    pixels = height * width
    grains = -(-pixels // _GRAIN)
    parts = min(-(-_PARTS_PER_THREAD * threads // batch), grains) if threads > 1 else 1
    part_pixels = -(-grains // parts) * _GRAIN
    settings = _Settings(
        time=time,
        pixels=pixels,
        parts=-(-pixels // part_pixels),
        part_pixels=part_pixels,
        threads=threads,
    )
    for name, tensor in (("frames", frames), ("video", video), ("target", target)):
        if tensor is not None:
            for axis, of in enumerate("btc"):
                setattr(settings, f"{name}_{of}", tensor.stride(axis))
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


def _all_parts(
    library: ctypes.CDLL,
    name: str,
    given: Sequence[object],
    settings: _Settings,
    batch: int,
    *,
    sums: int,
) -> list[float]:
    """Run a function of the library over all parts of a batch; return its sums, part by part."""
    num_parts = batch * settings.parts
    found = (ctypes.c_double * (sums * num_parts))()
    function = getattr(library, name)
    num_threads = min(settings.threads, num_parts)
    shares_out = ctypes.c_int.in_dll(library, "shares_out") and os.getpid() == _PROCESS
    settings.threads = num_threads if shares_out else 1  # of each call
    if num_threads == 1 or shares_out:
        function(*given, 0, num_parts, found)
        return list(found)
    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(lambda part: function(*given, part, part + 1, found), range(num_parts)))
    return list(found)


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled loop, or None: silently without a compiler, with a warning if it failed."""
    given = os.environ.get("CC", "")
    try:
        # CC may hold more than a name, such as "ccache gcc", or nothing but spaces.
        compiler = shlex.split(given) or ["cc"]
        return None if shutil.which(compiler[0]) is None else _compile(compiler)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        printed = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        said = (printed or str(error)).strip().partition("\n")[0]
        warnings.warn(
            f"{given.strip() or 'cc'} could not compile the motion prompt's loop, which goes on "
            f"without, slower: {said}",
            stacklevel=2,
        )
        return None


def _compile(compiler: list[str]) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="kinema-") as folder:
        target = Path(folder) / "fused_native.so"
        # Not every compiler has OpenMP, can name the processor it is on, or has such vectors.
        native = ["-march=native"]
        for more in (
            ["-fopenmp", *native, "-mprefer-vector-width=512"],
            ["-fopenmp", *native],
            ["-fopenmp"],
            native,
            [],
        ):
            command = [*compiler, *_FLAGS, *more, str(_SOURCE), "-o", str(target)]
            built = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=120
            )
            if built.returncode == 0:
                break
        built.check_returncode()
        library = ctypes.CDLL(str(target))
    # By attribute: an item of a library is a new function each time, without its types.
    for name, num_tensors in (*((name, 3) for name in _FORWARD.values()), ("prompt_backward", 4)):
        function = getattr(library, name)
        function.argtypes = [
            ctypes.POINTER(_Settings),
            *[ctypes.c_void_p] * num_tensors,
            *[ctypes.c_int64] * 2,
            ctypes.POINTER(ctypes.c_double),
        ]
        function.restype = None
    return library
