"""The Triton kernels: on a GPU, or without one under TRITON_INTERPRET=1."""

import os

import pytest
import torch

pytest.importorskip("triton")
if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("neither a GPU nor TRITON_INTERPRET=1", allow_module_level=True)

from kinema.motion_prompt import fused_cpu, fused_triton
from kinema.motion_prompt.fused_formula import PromptFormula, memory_order

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def close(found, wanted, tolerance):
    torch.testing.assert_close(
        found.cpu().double(), wanted.double(), rtol=tolerance, atol=tolerance, equal_nan=True
    )


@pytest.mark.parametrize("form", ["planes", "channels last", "every other pixel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(2, 5, 3, 24, 31), (1, 2, 3, 3, 4)])
@pytest.mark.parametrize(
    ("asked", "of_frames"),
    [((1, 1, 1), True), ((1, 0, 0), False), ((1, 0, 1), True), ((0, 1, 1), True)],
)
def test_the_kernels_give_what_the_cpu_gives(form, dtype, shape, asked, of_frames):
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand((*shape[:-1], 2 * shape[-1]), generator=generator) * 4 - 2
    if dtype == torch.uint8:
        whole = (whole + 2) * 63
    frames = whole.to(dtype)[..., ::2]
    if form == "planes":
        frames = frames.contiguous()
    if form == "channels last":
        frames = frames.movedim(2, 4).contiguous().movedim(4, 2)
    raw = dtype == torch.uint8
    formula = PromptFormula(
        weights=(0.07, 0.13, 0.03),
        dtype=torch.float32 if raw else dtype,
        order=memory_order(frames, range(5)),
        scale=(0.02, 0.017, 0.015) if raw else None,
        offset=(-2.0, -1.9, -1.5) if raw else None,
    )
    slope, shift = torch.tensor(20.0), torch.tensor(0.1)
    expected = fused_cpu.prompt(frames, slope, shift, formula)
    given = [value.to(DEVICE) for value in (frames, slope, shift)]
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5
    for found, wanted in zip(fused_triton.prompt(*given, formula), expected, strict=True):
        close(found, wanted, tolerance)

    of_frames = of_frames and not raw
    grads = [
        torch.randn(value.shape, generator=generator).to(value.dtype) if used else None
        for value, used in zip(expected, asked, strict=True)
    ]
    wanted = fused_cpu.prompt_backward(frames, slope, shift, formula, grads, of_frames=of_frames)
    found = fused_triton.prompt_backward(
        *given,
        formula,
        [None if grad is None else grad.to(DEVICE) for grad in grads],
        of_frames=of_frames,
    )
    assert (found.frames is not None) == of_frames
    if of_frames:
        close(found.frames, wanted.frames, 4 * tolerance)
    close(found.slope, wanted.slope, 1e-3)
    close(found.shift, wanted.shift, 1e-3)
