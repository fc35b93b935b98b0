"""The Triton kernels: on a GPU, or without one under TRITON_INTERPRET=1."""

import math
import os

import pytest
import torch

pytest.importorskip("triton")
if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("neither a GPU nor TRITON_INTERPRET=1", allow_module_level=True)

from kinema import MotionPrompt
from kinema.motion_prompt import fused, fused_cpu, fused_triton, prompt_uint8
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


@pytest.fixture
def by_triton(monkeypatch):
    """The layer takes the kernels on a CPU too, where the interpreter runs them."""
    monkeypatch.setattr(fused, "_fast_pass", lambda frames, compiled: fused_triton)
    launches, launch = [], fused_triton._launch

    def noted(*args, **kwargs):
        launches.append(launch(*args, **kwargs))
        return launches[-1]

    monkeypatch.setattr(fused_triton, "_launch", noted)
    yield
    # Else the formula stood in, and nothing was tested.
    assert launches
    assert all(launches)


def through(prompt, clip, grads):
    """What the layer gives, and the gradients of clip, m and n, all on the CPU."""
    clip = clip.detach().requires_grad_()
    output = prompt(clip)
    torch.autograd.backward(
        (output.video, output.attention), [grad.to(output.video) for grad in grads]
    )
    return [
        value.detach().cpu()
        for value in (*output, clip.grad, prompt.normalisation.m.grad, prompt.normalisation.n.grad)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("expanded", [False, True])
def test_the_layer_takes_them_and_gives_what_the_formula_gives(by_triton, dtype, expanded):
    generator = torch.Generator().manual_seed(1)
    clip = torch.rand((2, 4, 3, 24, 31), generator=generator).to(dtype)
    # A sum's gradient is one number seen through strides of 0.
    video = torch.rand((2, 3, 3, 24, 31), generator=generator)
    attention = torch.rand((2, 3, 24, 31), generator=generator)
    if expanded:
        video, attention = (torch.ones(()).expand(each.shape) for each in (video, attention))
    expected = through(MotionPrompt(), clip.double(), (video, attention))
    found = through(MotionPrompt().to(DEVICE), clip.to(DEVICE), (video, attention))
    tolerance = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    for one, other in zip(found[:4], expected[:4], strict=True):
        close(one, other, tolerance)
    for one, other in zip(found[4:], expected[4:], strict=True):
        close(one, other, tolerance * max(1.0, other.abs().item()))


def test_what_is_no_number_goes_where_the_formula_sends_it(by_triton):
    clip = torch.rand((1, 3, 3, 8, 8), generator=torch.Generator().manual_seed(2))
    clip[0, 1, 0, 2, 3], clip[0, 2, 1, 4, 5], clip[0, 0, 2, 6, 7] = math.nan, math.inf, -math.inf
    found, expected = MotionPrompt().to(DEVICE)(clip.to(DEVICE)), MotionPrompt()(clip.double())
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-4)


def test_bytes_are_prompted_in_one_kernel(by_triton):
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(256, (2, 4, 24, 31, 3), generator=generator, dtype=torch.uint8)
    found = prompt_uint8(MotionPrompt().to(DEVICE), frames.to(DEVICE))
    layer = MotionPrompt()
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (layer.mean, layer.std))
    expected = layer((frames.movedim(4, 2).double() / 255 - mean) / std)
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-4)
