import ctypes
import gc
import math
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from kinema.errors import InputError
from kinema.motion_prompt import (
    Gamma,
    LearnableSigmoid,
    MotionPrompt,
    from_canonical,
    fused,
    fused_native,
    fused_triton,
    prompt_uint8,
    to_canonical,
)

STD = (0.225, 0.21, 0.3)
MEAN = (0.45, 0.4, 0.5)
LAYOUTS = ("BTCHW", "BCTHW", "BTHWC", "BHWTC")
ROUNDING = {
    torch.float64: 1e-12,
    torch.float32: 2e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 1.5e-2,
}
has_compiler = fused_native._library() is not None
ways = pytest.mark.parametrize("compiled", [False, True], ids=["no compiler", "compiled"])


def formula(frames, m, n):
    """The layer from its equations, in float64: video, attention and variation."""
    frames, m, n = frames.double(), m.double(), n.double()
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    std, mean = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (STD, MEAN))
    grey = torch.einsum("btchw,c->bthw", frames * std + mean, weights)
    slope = 5 / (0.45 * m.tanh().abs() + 0.1)
    attention = torch.sigmoid(slope * (grey[:, 1:] - grey[:, :-1] - 0.6 * n.tanh()))
    changes = attention[:, 1:] - attention[:, :-1]
    variation = changes.square().sum() / max(changes.numel(), 1)
    return attention.unsqueeze(2) * frames[:, 1:], attention, variation


def layer(m=0.3, n=-0.2, **settings):
    return MotionPrompt(mean=MEAN, std=STD, normalisation=LearnableSigmoid(m, n), **settings)


def clip_of(shape=(2, 4, 3, 6, 5), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return ((torch.rand(shape, generator=generator, dtype=torch.float64) - 0.45) / 0.225).to(dtype)


def with_strides(clip, form):
    """The same values, lying in memory another way."""
    if form == "contiguous":
        return clip.contiguous()
    if form == "reversed axes":
        return clip.permute(4, 3, 2, 1, 0).contiguous().permute(4, 3, 2, 1, 0)
    if form == "every other":
        room = torch.zeros([2 * size for size in clip.shape], dtype=clip.dtype)
        view = room[tuple(slice(None, None, 2) for _ in clip.shape)]
        return view.copy_(clip)
    return clip.contiguous(memory_format=torch.channels_last_3d)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(1, 7), st.integers(1, 7)),
    m=st.floats(-3, 3),
    n=st.floats(-3, 3),
    dtype=st.sampled_from(list(ROUNDING)),
    layout=st.sampled_from(LAYOUTS),
    form=st.sampled_from(["contiguous", "reversed axes", "every other", "channels last"]),
    compiled=st.booleans(),
    asked=st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any),
    frames_too=st.booleans(),
)
def test_outputs_and_gradients_follow_the_formula(
    seed, shape, m, n, dtype, layout, form, compiled, asked, frames_too
):
    batch, time, height, width = shape
    canonical = clip_of((batch, time, 3, height, width), dtype, seed)
    clip = with_strides(from_canonical(canonical, layout), form).requires_grad_(frames_too)
    prompt = layer(m, n, layout=layout, compiled=compiled)
    scalars = [p.detach().clone().requires_grad_() for p in prompt.parameters()]
    exact_clip = clip.detach().clone().requires_grad_(frames_too)
    expected = formula(to_canonical(exact_clip, layout), *scalars)
    found = prompt(clip)
    canonical_video = to_canonical(found.video, layout)

    atol = ROUNDING[dtype]
    # Attention and its gradients never leave float32 for half precision.
    fine = ROUNDING[torch.promote_types(dtype, torch.float32)]
    assert found.video.dtype == dtype
    for value, wanted, tolerance in zip(
        (canonical_video, *found[1:]), expected, (atol, fine, fine), strict=True
    ):
        torch.testing.assert_close(value.double(), wanted, rtol=tolerance, atol=tolerance)

    grads = [clip_of(value.shape, value.dtype, seed + 1) for value in expected]
    grads[0] = grads[0].to(dtype)
    pairs = [
        (value.double() * grad.double()).sum()
        for value, grad, used in zip((canonical_video, *found[1:]), grads, asked, strict=True)
        if used
    ]
    sum(pairs).backward()
    sum(
        (value * grad.double()).sum()
        for value, grad, used in zip(expected, grads, asked, strict=True)
        if used
    ).backward()
    largest = max(1.0, batch * time * height * width / 10)
    for parameter, scalar in zip(prompt.parameters(), scalars, strict=True):
        exact = torch.zeros(()) if scalar.grad is None else scalar.grad
        torch.testing.assert_close(parameter.grad, exact, rtol=1e-4, atol=1e-4 * largest)
    if frames_too:
        scale = exact_clip.grad.abs().max().clamp(min=1).item()
        torch.testing.assert_close(
            clip.grad.double(), exact_clip.grad.double(), rtol=2 * atol, atol=2 * atol * scale
        )


@ways
def test_bands_and_blocks_meet_without_a_seam(compiled):
    clip = clip_of((3, 5, 3, 150, 301))
    prompt = layer(compiled=compiled)
    for found, wanted in zip(prompt(clip), formula(clip, *prompt.parameters()), strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=2e-5, atol=2e-5)


@ways
def test_several_threads_give_the_same(compiled):
    clip, before = clip_of((1, 4, 3, 120, 160)), torch.get_num_threads()
    found = []
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            prompt = layer(compiled=compiled)
            output = prompt(clip)
            (output.video.square().mean() + output.variation).backward()
            found.append([*output, *(p.grad for p in prompt.parameters())])
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        torch.testing.assert_close(one, three)


@ways
@pytest.mark.parametrize("of_clip", [False, True])
def test_gradients_come_only_where_they_are_asked_for(compiled, of_clip):
    clip = clip_of().requires_grad_(of_clip)
    prompt = layer(compiled=compiled)
    prompt.normalisation.n.requires_grad_(False)
    output = prompt(clip)
    (output.video.mean() + output.variation).backward()
    assert prompt.normalisation.m.grad is not None
    assert prompt.normalisation.n.grad is None
    assert (clip.grad is not None) == of_clip
    frozen = prompt.requires_grad_(False)(clip.detach())
    assert not any(value.requires_grad for value in frozen)


@ways
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_pass_as_in_the_formula(compiled, value):
    clip = clip_of((1, 5, 3, 4, 40))
    for time, channel, row, column in ((0, 0, 0, 0), (2, 1, 1, 17), (4, 2, 3, 39)):
        clip[0, time, channel, row, column] = value
    clip[0, 1, :, 2, 5] = value
    exact_clip = clip.clone().requires_grad_()
    prompt = layer(compiled=compiled)
    scalars = [p.detach().clone().requires_grad_() for p in prompt.parameters()]
    expected = formula(exact_clip, *scalars)
    found = prompt(clip.requires_grad_())
    for seen, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(seen.double(), wanted, rtol=2e-5, atol=2e-5, equal_nan=True)
    found.video.sum().backward()
    expected[0].sum().backward()
    assert torch.equal(clip.grad.isnan(), exact_clip.grad.isnan())
    for parameter, scalar in zip(prompt.parameters(), scalars, strict=True):
        assert torch.equal(parameter.grad.isnan(), scalar.grad.isnan())


@ways
def test_a_still_clip_does_not_vary(compiled):
    clip = clip_of((2, 1, 3, 9, 70)).expand(-1, 6, -1, -1, -1).contiguous()
    output = layer(compiled=compiled)(clip)
    assert output.variation == 0
    assert (output.attention == output.attention[0, 0, 0, 0]).all()


def test_a_gradient_of_a_gradient_is_right():
    clip = clip_of((1, 3, 3, 2, 2), torch.float64).requires_grad_()
    prompt = layer().double()
    scalars = [p.detach().clone().requires_grad_() for p in prompt.parameters()]

    def outputs(clip, m, n):
        replaced = {"normalisation.m": m, "normalisation.n": n}
        return torch.func.functional_call(prompt, replaced, clip)

    assert torch.autograd.gradcheck(outputs, (clip, *scalars))
    assert torch.autograd.gradgradcheck(outputs, (clip, *scalars))


@ways
def test_only_the_clip_is_kept_for_the_backward_pass(compiled):
    clip = clip_of((2, 5, 3, 32, 32)).requires_grad_()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = layer(compiled=compiled)(clip)
    gc.collect()
    assert output.video.requires_grad
    assert sum(kept.values()) <= clip.nbytes + 256


def test_the_clip_may_not_change_before_the_backward_pass():
    clip = clip_of()
    output = layer()(clip)
    clip.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.video.sum().backward()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prompts_lie_in_memory_as_the_clip_does(layout):
    clip = from_canonical(clip_of(), layout).contiguous()
    assert layer(layout=layout)(clip).video.is_contiguous()
    if layout == "BCTHW":
        clip = clip.contiguous(memory_format=torch.channels_last_3d)
        video = layer(layout=layout)(clip).video
        assert video.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_hook_on_the_normalisation_still_fires():
    prompt, seen = layer(), []
    prompt.normalisation.register_forward_hook(lambda *call: seen.append(call))
    prompt(clip_of())
    assert len(seen) == 1


def test_transforms_and_compilers_see_the_formula():
    prompt, clip = layer(), clip_of()
    whole = torch.compile(prompt, backend="eager", fullgraph=True)
    torch.testing.assert_close(whole(clip).video, prompt(clip).video)
    each = torch.func.vmap(lambda one: prompt(one.unsqueeze(0)).attention[0])(clip)
    torch.testing.assert_close(each, prompt(clip).attention)


# torch's own, where it takes derivatives forward for the first time.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@ways
def test_derivatives_forward_and_of_many_outputs_at_once_are_right(compiled):
    prompt, clip = layer(compiled=compiled), clip_of()
    scalars = (prompt.normalisation.m, prompt.normalisation.n)
    tangents = (clip_of(seed=1), torch.tensor(0.7), torch.tensor(-0.4))
    inputs = tuple(value.detach().double().view(()) for value in scalars)
    _, expected = torch.func.jvp(
        formula, (clip.double(), *inputs), tuple(tangent.double() for tangent in tangents)
    )
    with forward_ad.dual_level():
        found = torch.func.functional_call(
            prompt,
            {
                f"normalisation.{name}": forward_ad.make_dual(
                    value.detach(), tangent.view_as(value)
                )
                for name, value, tangent in zip("mn", scalars, tangents[1:], strict=True)
            },
            forward_ad.make_dual(clip, tangents[0]),
        )
        for value, tangent in zip(found, expected, strict=True):
            moved = forward_ad.unpack_dual(value).tangent
            torch.testing.assert_close(moved.double(), tangent, atol=1e-5, rtol=1e-5)

    clip.requires_grad_()
    video = prompt(clip).video
    directions = torch.stack([clip_of(video.shape, seed=seed) for seed in range(3)])
    at_once = torch.autograd.grad(
        video, (clip, *scalars), directions, is_grads_batched=True, retain_graph=True
    )
    for index, direction in enumerate(directions):
        alone = torch.autograd.grad(video, (clip, *scalars), direction, retain_graph=True)
        for value, of_all in zip(alone, at_once, strict=True):
            torch.testing.assert_close(of_all[index], value, atol=1e-4, rtol=1e-4)


@pytest.fixture
def fresh_compiler(monkeypatch):
    fused_native._library.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    fused_native._library.cache_clear()


FAILING = ["echo no such thing >&2; exit 1", "printf '\\377' >&2; exit 1", "kill -9 $$", "exit 0"]


@pytest.mark.parametrize("script", FAILING)
def test_a_compile_that_fails_or_is_killed_falls_back_and_says_so_once(
    script, fresh_compiler, tmp_path
):
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    fresh_compiler.setenv("CC", str(compiler))
    clip = clip_of()
    expected = layer(compiled=False)(clip)
    with pytest.warns(UserWarning, match="could not compile the motion prompt's loop") as told:
        found = [layer(compiled=True)(clip) for _ in range(3)]
    assert len(told) == 1
    for output in found:
        assert all(torch.equal(a, b) for a, b in zip(output, expected, strict=True))


@pytest.fixture
def threads():
    """Sets how many threads torch may use, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def of_many_parts(layout="BTCHW"):
    """What a clip comes to that no number of parts divides evenly, with its gradients."""
    clip = to_canonical(clip_of((3, 4, 3, 127, 150)), "BTCHW")
    frames = from_canonical(clip, layout).contiguous().requires_grad_()
    prompt = layer(layout=layout, compiled=True)
    output = prompt(frames)
    grads = (torch.full_like(output.video, 0.5), torch.tensor(3.0))
    torch.autograd.backward((output.video, output.variation), grads)
    return [*output, frames.grad, prompt.normalisation.m.grad, prompt.normalisation.n.grad]


@pytest.mark.skipif(not has_compiler, reason="no C compiler")
@pytest.mark.parametrize("layout", ["BTCHW", "BTHWC"])
def test_threads_share_a_batch_out_and_change_nothing(layout, threads):
    threads(1)
    alone = of_many_parts(layout)
    expected = formula(clip_of((3, 4, 3, 127, 150)), torch.tensor(0.3), torch.tensor(-0.2))
    video = from_canonical(expected[0], layout)
    torch.testing.assert_close(alone[0].double(), video, atol=2e-5, rtol=2e-5)
    for count in (2, 3, 7):
        threads(count)
        found = of_many_parts(layout)
        for value, before in zip(found[:-2], alone[:-2], strict=True):
            # The variation is a sum of other parts.
            torch.testing.assert_close(value, before, atol=0, rtol=1e-6)
        # So are the gradients of m and n, in which much cancels out.
        torch.testing.assert_close(found[-2:], alone[-2:], atol=1e-3, rtol=1e-4)


@pytest.mark.skipif(not has_compiler, reason="no C compiler")
def test_a_compiler_without_openmp_makes_the_same_loop(fresh_compiler, tmp_path, threads):
    threads(3)
    expected = of_many_parts()
    fused_native._library.cache_clear()
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    fresh_compiler.setenv("CC", str(compiler))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of_many_parts()
    assert not ctypes.c_int.in_dll(fused_native._library(), "shares_out")
    assert all(torch.equal(*both) for both in zip(found, expected, strict=True))


FORKED = """
import os, signal, sys, torch
from kinema import MotionPrompt
torch.set_num_threads(2)
prompt, clip = MotionPrompt(compiled=True), torch.rand(*map(int, sys.argv[1:]))
before = prompt(clip).video
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(30)
video = prompt(clip).video
torch.set_num_threads(1)  # torch's own operations would wait for ever
os._exit(0 if torch.equal(video, before) else 1)
"""


@pytest.mark.skipif(not has_compiler, reason="no C compiler")
@pytest.mark.parametrize("shape", ["2 4 3 128 128", "1 32 3 64 64"], ids=["parts", "one part"])
def test_a_fork_prompts_without_the_threads_it_has_not(shape):
    command = [sys.executable, "-c", FORKED, *shape.split()]
    assert subprocess.run(command, timeout=120).returncode == 0


def test_a_compiler_that_no_shell_could_read_falls_back_too(fresh_compiler):
    fresh_compiler.setenv("CC", "gcc '")
    with pytest.warns(UserWarning, match="gcc ' could not compile .* No closing quotation"):
        layer(compiled=True)(clip_of())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_nothing_is_compiled_for_what_the_loop_does_not_take(fresh_compiler, dtype):
    fresh_compiler.setattr(fused_native, "_compile", lambda compiler: pytest.fail("compiled"))
    layer(compiled=True)(clip_of().to(dtype))


def test_a_kernel_that_triton_cannot_make_is_tried_and_told_of_once(monkeypatch):
    class Failing:
        def __getitem__(self, grid):
            raise RuntimeError("no ptxas\nnor anything")

    kernels = SimpleNamespace(prompt_kernel=Failing(), backward_kernel=Failing())
    monkeypatch.setattr(fused_triton, "triton_kernels", kernels)
    monkeypatch.setattr(fused_triton, "_failed", False)
    monkeypatch.setattr(fused, "_fast_pass", lambda frames, compiled: fused_triton)
    clip = clip_of().requires_grad_()

    def there_and_back():
        layer()(clip).video.sum().backward()

    with pytest.warns(UserWarning, match="without, slower: RuntimeError: no ptxas$") as told:
        [there_and_back() for _ in range(2)]
    assert len(told) == 1
    assert clip.grad is not None


def test_an_interrupted_compile_is_tried_again(fresh_compiler):
    def interrupt(compiler):
        raise KeyboardInterrupt

    fresh_compiler.setattr(fused_native.shutil, "which", lambda name: name)
    fresh_compiler.setattr(fused_native, "_compile", interrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            layer(compiled=True)(clip_of())


def test_without_a_compiler_nothing_is_said(fresh_compiler):
    fresh_compiler.setattr(fused_native.shutil, "which", lambda name: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(compiled=True)(clip_of())


def test_a_compiler_named_by_spaces_is_the_usual_one(fresh_compiler):
    asked = []
    fresh_compiler.setenv("CC", " ")
    fresh_compiler.setattr(fused_native.shutil, "which", asked.append)
    layer(compiled=True)(clip_of())
    assert asked == ["cc"]


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((2, 9, 3, 224, 224), True),
        ((99, 65, 3, 1024, 1024), False),
        ((3, 2, 3, 9, 9), True),
        ((65_535, 2, 3, 8, 8), True),
        ((65_536, 2, 3, 8, 8), False),
    ],
)
def test_frames_beyond_32_bits_or_a_grid_are_left_to_the_formula(shape, fits, monkeypatch):
    """The kernels on a GPU would lose count of them, or could not be launched."""
    monkeypatch.setattr(fused_triton, "triton_kernels", object())
    monkeypatch.setattr(fused_triton, "_failed", False)
    frames = torch.empty(shape, device="meta")
    on_a_gpu = SimpleNamespace(
        device=torch.device("cuda"),
        dtype=frames.dtype,
        shape=frames.shape,
        stride=frames.stride,
        numel=frames.numel,
    )
    assert fused_triton.can_run(on_a_gpu) == fits
    # A view of little in much.
    on_a_gpu.stride = lambda: (2**31, *frames.stride()[1:])
    assert not fused_triton.can_run(on_a_gpu)


@pytest.mark.skipif(not has_compiler, reason="no C compiler")
def test_a_large_clip_is_worth_a_compiler_and_a_small_one_is_not():
    assert not fused_native.is_wanted(clip_of(), None)
    assert fused_native.is_wanted(torch.empty(2, 9, 3, 224, 224), None)
    assert not fused_native.is_wanted(torch.empty(2, 9, 3, 224, 224), False)


@ways
@pytest.mark.parametrize("layout", ["BTCHW", "BCTHW", "BTHWC", "CTHW"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bit_frames_are_normalised_prompted_and_laid_out_at_once(compiled, layout, dtype):
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (1, 4, 6, 50, 3), dtype=torch.uint8, generator=generator)
    prompt = layer(layout=layout, compiled=compiled)
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (MEAN, STD))
    canonical = ((frames.double() / 255 - mean) / std).permute(0, 1, 4, 2, 3)
    scalars = [p.detach().clone().requires_grad_() for p in prompt.parameters()]
    expected = formula(canonical, *scalars)
    given = frames if layout.startswith("B") else frames[0]
    found = prompt_uint8(prompt, given, dtype=dtype)
    assert found.video.dtype == dtype
    assert found.video.is_contiguous()
    video = to_canonical(found.video, layout)
    torch.testing.assert_close(video.double(), expected[0], rtol=1e-2, atol=ROUNDING[dtype])
    torch.testing.assert_close(found.attention.double(), expected[1], rtol=2e-5, atol=2e-5)
    (video.float().square().mean() + found.variation).backward()
    (expected[0].square().mean() + expected[2]).backward()
    for parameter, scalar in zip(prompt.parameters(), scalars, strict=True):
        torch.testing.assert_close(parameter.grad, scalar.grad, rtol=1e-2, atol=1e-3)


def test_8_bit_frames_suit_any_normalisation():
    frames = torch.randint(0, 256, (1, 3, 4, 5, 3), dtype=torch.uint8)
    prompt = MotionPrompt(normalisation=Gamma(), mean=MEAN, std=STD)
    clip = (frames / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    expected = prompt(clip.permute(0, 1, 4, 2, 3))
    for seen, wanted in zip(prompt_uint8(prompt, frames), expected, strict=True):
        torch.testing.assert_close(seen, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "dtype", "says"),
    [
        (torch.zeros(1, 3, 4, 4, 3), torch.float32, "torch.float32; expected torch.uint8"),
        (torch.zeros(1, 3, 4, 4, 3, dtype=torch.uint8), torch.float64, "dtype is torch.float64"),
        (torch.zeros(1, 3, 3, 4, 4, dtype=torch.uint8), torch.float32, "4 channels on axis 4"),
        (torch.zeros(1, 1, 4, 4, 3, dtype=torch.uint8), torch.float32, "1 frame; a motion prompt"),
    ],
)
def test_frames_that_are_no_8_bit_video_are_refused(frames, dtype, says):
    with pytest.raises(InputError, match=says):
        prompt_uint8(MotionPrompt(), frames, dtype=dtype)


class HalvedSigmoid(LearnableSigmoid):
    def forward(self, difference):
        return super().forward(difference) / 2


def test_a_normalisation_of_ones_own_is_called():
    output = MotionPrompt(normalisation=HalvedSigmoid())(clip_of())
    assert output.attention.max() <= 0.5
