"""The shared tests of every supported class of models: what a motion does on it, and undoes."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.attachment import Attachment, detach
from kinema.motion_inversion.attention import MotionAttention
from kinema.motion_inversion.parameters import (
    QUERY_KEY,
    QUERY_KEY_GRID,
    VALUE,
    VALUE_DIRECTIONS,
    VALUE_SCORES,
    new_embeddings,
)
from kinema.motion_inversion.sites import Site, find_sites
from kinema.motion_inversion.usage import Usage
from tests.motion_inversion.tiny import (
    LATENT_SIZE,
    TINY,
    Tiny,
    each_tiny,
    ip_adapter,
    output,
    random_embeddings,
)

RAW = Usage(value="raw")


def _embeddings(sites: list[Site], tiny: Tiny, **form: Any) -> dict[str, Tensor]:
    return random_embeddings(
        new_embeddings(sites, num_frames=tiny.num_frames, latent_size=LATENT_SIZE, **form)
    )


def _temporal_attention(
    attention: Any, x: Tensor, query_key: Tensor, value: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Equation 3 as it is written, one place, one head and one frame at a time.

    x (B*H*W, N, C), query_key (1, N, C) or (H, W, N, C), value (H, W, N, C), all float64.
    """
    height, width = grid
    num_frames, heads = x.shape[1], attention.heads

    def project(layer: nn.Linear, features: Tensor) -> Tensor:
        bias = 0 if layer.bias is None else layer.bias
        return features @ layer.weight.T + bias

    out = torch.empty_like(x)
    for row, features in enumerate(x):
        place = row % (height * width)
        there = value[place // width, place % width]
        lines = query_key.expand(height, width, *query_key.shape[-2:])
        shifted = features + lines[place // width, place % width]
        q, k = project(attention.to_q, shifted), project(attention.to_k, shifted)
        v = project(attention.to_v, features + there)
        size = q.shape[-1] // heads
        mixed = torch.zeros_like(q)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            for frame in range(num_frames):
                weights = torch.softmax(k[:, part] @ q[frame, part] / size**0.5, dim=0)
                mixed[frame, part] = weights @ v[:, part]
        out[row] = project(attention.to_out[0], mixed)
    return out


def _equation_5(value: Tensor) -> Tensor:
    out = value.clone()
    for frame in range(1, value.shape[2]):
        out[:, :, frame] = value[:, :, frame] - value[:, :, frame - 1]
    return out


@each_tiny
@pytest.mark.parametrize(("mode", "kind"), [("raw", QUERY_KEY), ("debiased", QUERY_KEY_GRID)])
def test_every_attention_computes_equations_3_and_5(tiny: Tiny, mode: str, kind: str):
    model = tiny.model()
    sites = find_sites(model)
    tensors = _embeddings(sites, tiny, query_key_grid=kind == QUERY_KEY_GRID)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for site in sites:
        model.get_submodule(site.name).register_forward_hook(
            lambda module, args, result, name=site.name: seen.__setitem__(name, (args[0], result))
        )
    attachment = Attachment(
        model, tensors, sites, Usage(query_key_strength=0.7, value_strength=1.3, value=mode)
    )
    output(model, tiny.inputs())
    attachment.detach()
    for site in sites:
        x, result = seen[site.name]
        value = tensors[VALUE + site.name]
        expected = _temporal_attention(
            model.get_submodule(site.name),
            x,
            0.7 * tensors[kind + site.block],
            1.3 * (_equation_5(value) if mode == "debiased" else value),
            site.grid(LATENT_SIZE),
        )
        assert (result - expected).abs().max() < 1e-10


@each_tiny
def test_a_value_lands_at_its_own_place(tiny: Tiny):
    """A value embedding at one row and column changes that row and column after its attention."""
    model = tiny.model()
    site = find_sites(model)[-1]
    tensors = new_embeddings([site], num_frames=tiny.num_frames, latent_size=LATENT_SIZE)
    tensors = {name: tensor.double() for name, tensor in tensors.items()}
    height, width = site.grid(LATENT_SIZE)
    row, column = 1, width - 2
    tensors[VALUE + site.name][row, column] = 1
    outputs: list[Tensor] = []

    def take(module: nn.Module, args: Any, result: Any) -> None:
        outputs.append(result if isinstance(result, Tensor) else result[0])

    if tiny.kind.startswith("Latte"):
        model.register_forward_hook(take)
    else:
        parent = site.block.rsplit(".", 2)[0]
        model.get_submodule(parent).register_forward_hook(take)
    inputs = tiny.inputs(batch_size=1)
    output(model, inputs)
    attachment = Attachment(model, tensors, [site], RAW)
    output(model, inputs)
    attachment.detach()
    change = (outputs[1] - outputs[0]).abs()
    # Whatever else there is, the last two axes are height and width.
    where = change.flatten(0, -3).amax(0)
    scale = where.shape[0] // height
    moved = (where > 1e-12).nonzero().unique(dim=0)
    assert {(int(h) // scale, int(w) // scale) for h, w in moved} == {(row, column)}


@each_tiny
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zeros_change_nothing_bit_for_bit(tiny: Tiny, dtype: torch.dtype):
    model = tiny.model(dtype)
    inputs = tiny.inputs(dtype)
    base = output(model, inputs)
    sites = find_sites(model, blocks="all")
    zeros = new_embeddings(sites, num_frames=tiny.num_frames, latent_size=LATENT_SIZE)
    attachment = Attachment(model, zeros, sites, Usage())
    assert torch.equal(output(model, inputs), base)
    attachment.detach()
    # As at the first step of training, where zeros that are being learned do enter.
    learning = {name: tensor.requires_grad_() for name, tensor in zeros.items()}
    attachment = Attachment(model, learning, sites, RAW)
    assert torch.equal(output(model, inputs), base)
    attachment.detach()


@each_tiny
def test_strength_zero_changes_nothing_bit_for_bit(tiny: Tiny):
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32)
    base = output(model, inputs)
    sites = find_sites(model)
    attachment = Attachment(
        model, _embeddings(sites, tiny), sites, Usage(query_key_strength=0, value_strength=0)
    )
    assert torch.equal(output(model, inputs), base)
    attachment.detach()


@each_tiny
def test_detaching_restores_processors_output_and_state(tiny: Tiny):
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32)
    base, sites = output(model, inputs), find_sites(model)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    processors = {site.name: model.get_submodule(site.name).processor for site in sites}
    attachment = Attachment(model, _embeddings(sites, tiny), sites, RAW)
    assert list(model.state_dict()) == list(state)
    assert not torch.allclose(output(model, inputs), base)
    attachment.detach()
    attachment.detach()  # a second time is no fault
    for name, processor in processors.items():
        assert model.get_submodule(name).processor is processor
    assert torch.equal(output(model, inputs), base)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not model._forward_pre_hooks


@each_tiny
def test_the_conditional_branch_is_the_second_half(tiny: Tiny):
    model = tiny.model()
    inputs = tiny.inputs(batch_size=4)
    base, sites = output(model, inputs), find_sites(model)
    tensors = _embeddings(sites, tiny)
    both = Attachment(model, tensors, sites, RAW)
    everywhere = output(model, inputs)
    both.detach()
    conditional = Attachment(model, tensors, sites, Usage(value="raw", branch="conditional"))
    half = output(model, inputs)
    conditional.detach()
    torch.testing.assert_close(half[:2], base[:2], atol=1e-10, rtol=0)
    torch.testing.assert_close(half[2:], everywhere[2:], atol=1e-10, rtol=0)
    assert not torch.allclose(everywhere[:2], base[:2])


@each_tiny
def test_two_motions_add_up(tiny: Tiny):
    model = tiny.model()
    inputs, sites = tiny.inputs(), find_sites(model)
    processors = {site.name: model.get_submodule(site.name).processor for site in sites}
    base = output(model, inputs)
    a, b = _embeddings(sites, tiny), random_embeddings(_embeddings(sites, tiny), seed=9)
    once = Attachment(model, {name: a[name] + 2 * b[name] for name in a}, sites, RAW)
    expected = output(model, inputs)
    once.detach()
    first = Attachment(model, a, sites, RAW)
    only_a = output(model, inputs)
    second = Attachment(
        model, b, sites, Usage(query_key_strength=2.0, value_strength=2.0, value="raw")
    )
    torch.testing.assert_close(output(model, inputs), expected, atol=1e-10, rtol=0)
    first.detach()  # not in the order in which they came
    second.detach()
    assert torch.equal(output(model, inputs), base)
    for name, processor in processors.items():
        assert model.get_submodule(name).processor is processor
    assert not torch.allclose(only_a, expected)


@each_tiny
def test_another_resolution_and_length_are_interpolated(tiny: Tiny):
    model = tiny.model()
    sites = find_sites(model)
    latent_size = (16, 8)
    num_frames = tiny.other_num_frames or tiny.num_frames
    inputs = tiny.inputs(latent_size=latent_size, num_frames=num_frames)
    # Embeddings that are straight lines in time and constant in space resample exactly; query-key
    # embeddings together with the positions that the model adds to them, where it does.
    generator = torch.Generator().manual_seed(6)
    given: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}

    def line(name: str, slope: Tensor, grid: tuple[int, ...], finer: tuple[int, ...]) -> None:
        for tensors, length, space in (
            (given, tiny.num_frames, grid),
            (wanted, num_frames, finer),
        ):
            times = torch.linspace(0, 1, length, dtype=torch.float64)[:, None]
            tensors[name] = (slope * times).expand(*space, -1, -1).clone()
            if tiny.kind == "UNetMotionModel" and name.startswith(QUERY_KEY):
                block: Any = model.get_submodule(name.removeprefix(QUERY_KEY))
                tensors[name] -= block.pos_embed.pe[0, :length]

    for site in sites:
        slope = torch.randn(2, site.channels, generator=generator, dtype=torch.float64)
        line(QUERY_KEY + site.block, slope[0], (1,), (1,))
        line(VALUE + site.name, slope[1], site.grid(LATENT_SIZE), site.grid(latent_size))
    fitted = Attachment(model, given, sites, Usage())
    found = output(model, inputs)
    fitted.detach()
    exact = Attachment(model, wanted, sites, Usage())
    torch.testing.assert_close(found, output(model, inputs), atol=1e-10, rtol=0)
    exact.detach()
    assert not torch.allclose(found, output(model, inputs))


@pytest.mark.parametrize("form", ["coarse", "low-rank"])
def test_smaller_forms_are_their_full_tensor(form: str):
    from kinema.motion_inversion.embedding import at_grid, low_rank_value

    tiny = TINY[0]
    model = tiny.model()
    sites, inputs = find_sites(model), tiny.inputs()
    small = _embeddings(sites, tiny, value=form, coarse_factor=2, rank=3)
    full = {name: tensor for name, tensor in small.items() if name.startswith(QUERY_KEY)}
    for site in sites:
        full[VALUE + site.name] = (
            at_grid(small[VALUE + site.name], site.grid(LATENT_SIZE))
            if form == "coarse"
            else low_rank_value(
                small[VALUE_SCORES + site.name], small[VALUE_DIRECTIONS + site.name]
            )
        )
    assert sum(t.numel() for t in small.values()) < sum(t.numel() for t in full.values())
    on = Attachment(model, small, sites, Usage())
    found = output(model, inputs)
    on.detach()
    on = Attachment(model, full, sites, Usage())
    torch.testing.assert_close(found, output(model, inputs), atol=1e-10, rtol=0)
    on.detach()


class _Pipeline:
    """As much of a pipeline as a window needs."""

    def __init__(self, model: nn.Module, num_steps: int) -> None:
        from diffusers import DDIMScheduler

        self.components = {"unet": model}
        self.scheduler = DDIMScheduler()
        self.scheduler.set_timesteps(num_steps)


def test_a_window_opens_and_shuts_by_the_step_of_the_sampling():
    tiny = TINY[1]
    model = tiny.model(torch.float32)
    pipe = _Pipeline(model, 10)
    sites = find_sites(model)
    attachment = Attachment(pipe, _embeddings(sites, tiny), sites, Usage(window=(0.2, 0.5)))
    moved = []
    for step, timestep in enumerate(pipe.scheduler.timesteps):
        inputs = tiny.inputs(torch.float32, timestep=int(timestep))
        with attachment.suspended():
            base = output(model, inputs)
        if not torch.equal(output(model, inputs), base):
            moved.append(step)
    attachment.detach()
    assert moved == [2, 3, 4]


def test_a_window_without_a_scheduler_is_refused():
    tiny = TINY[1]
    model = tiny.model(torch.float32)
    sites = find_sites(model)
    with pytest.raises(InputError, match="attach to its pipeline"):
        Attachment(model, _embeddings(sites, tiny), sites, Usage(window=(0, 0.5)))


def test_gradients_reach_the_embeddings_and_nothing_before_them():
    tiny = TINY[0]
    model = tiny.model(torch.float32).requires_grad_(False)
    sites = find_sites(model)
    tensors = new_embeddings(sites, num_frames=5, latent_size=LATENT_SIZE)
    for tensor in tensors.values():
        tensor.requires_grad_()
    needs: dict[str, bool] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, args, result, name=name: (
                needs.__setitem__(name, result.requires_grad)
                if isinstance(result, Tensor)
                else None
            )
        )
    attachment = Attachment(model, tensors, sites, RAW)
    model(**tiny.inputs(torch.float32), return_dict=False)[0].square().mean().backward()
    attachment.detach()
    assert all(tensor.grad is not None and tensor.grad.any() for tensor in tensors.values())
    first = next(name for name in needs if name.startswith(sites[0].name))
    names = list(needs)
    before, after = names[: names.index(first)], names[names.index(first) :]
    assert len(before) > 20
    assert not any(needs[name] for name in before)
    assert sum(needs[name] for name in after) > 0.9 * len(after)
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_gradients_are_those_of_finite_differences():
    tiny = TINY[1]
    model = tiny.model().requires_grad_(False)
    sites = find_sites(model)
    tensors = {
        name: (0.1 * tensor).requires_grad_()
        for name, tensor in _embeddings(sites, tiny, value="low-rank", rank=2).items()
    }
    inputs = tiny.inputs(batch_size=1)
    attachment = Attachment(model, tensors, sites, Usage(value="debiased"))

    def loss() -> Tensor:
        return model(**inputs, return_dict=False)[0].square().mean()

    loss().backward()
    for tensor in list(tensors.values())[:6]:
        flat, step = tensor.data.view(-1), 1e-5
        kept = flat[3].clone()
        with torch.no_grad():
            flat[3] = kept + step
            above = loss()
            flat[3] = kept - step
            below = loss()
            flat[3] = kept
        slope = (above - below) / (2 * step)
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad.view(-1)[3], slope, atol=1e-9, rtol=1e-5)
    attachment.detach()


def test_loras_are_seen_by_the_embedding_too():
    """A motion enters before the projection, so what a LoRA adds to the projection counts."""
    tiny = TINY[1]
    model = tiny.model()
    site = find_sites(model)[0]
    attention: Any = model.get_submodule(site.name)
    tensors = _embeddings([site], tiny)

    class WithLora(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.delta = base, torch.randn_like(base.weight) * 0.1

        @property
        def weight(self) -> Tensor:
            return self.base.weight  # what peft's layers show: without the LoRA

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x) + x @ self.delta.T

    plain, attention.to_k = attention.to_k, WithLora(attention.to_k)
    attachment = Attachment(model, tensors, [site], RAW)
    found = output(model, tiny.inputs())
    with torch.no_grad():
        plain.weight += attention.to_k.delta
    attention.to_k = plain
    torch.testing.assert_close(found, output(model, tiny.inputs()), atol=1e-10, rtol=0)
    attachment.detach()


def test_what_stands_in_the_way_is_refused_in_a_sentence():
    from diffusers.models.attention_processor import AttnProcessor, XFormersAttnProcessor

    tiny = TINY[1]
    model = tiny.model(torch.float32)
    sites = find_sites(model)
    tensors = _embeddings(sites, tiny)
    attention: Any = model.get_submodule(sites[0].name)
    kept = attention.processor
    for other in (XFormersAttnProcessor(), AttnProcessor()):
        attention.processor = other
        with pytest.raises(InputError, match=f"runs through {type(other).__name__}"):
            Attachment(model, tensors, sites, RAW)
    attention.processor = kept
    attention.fused_projections = True
    with pytest.raises(InputError, match="unfuse_qkv_projections"):
        Attachment(model, tensors, sites, RAW)
    attention.fused_projections = False
    assert not any(
        isinstance(model.get_submodule(site.name).processor, MotionAttention) for site in sites
    )
    assert not model._forward_pre_hooks


def test_free_noise_is_refused():
    from diffusers.models.attention import FreeNoiseTransformerBlock

    tiny = TINY[1]
    model = tiny.model(torch.float32)
    sites = find_sites(model)
    module: Any = model.get_submodule(sites[0].block.rsplit(".", 1)[0])
    module[0] = FreeNoiseTransformerBlock(16, 2, 8, double_self_attention=True)
    with pytest.raises(InputError, match="disable_free_noise"):
        Attachment(model, _embeddings(sites, tiny), sites, RAW)


def test_a_processor_replaced_meanwhile_is_noticed():
    from diffusers.models.attention_processor import AttnProcessor2_0

    tiny = TINY[1]
    model: Any = tiny.model(torch.float32)
    sites = find_sites(model)
    attachment = Attachment(model, _embeddings(sites, tiny), sites, RAW)
    model.set_attn_processor(AttnProcessor2_0())
    with pytest.raises(InputError, match="was replaced while a motion was attached"):
        output(model, tiny.inputs(torch.float32))
    attachment.detach()
    output(model, tiny.inputs(torch.float32))


def test_more_frames_than_positions_are_refused():
    tiny = TINY[1]
    model = tiny.model(torch.float32)
    sites = find_sites(model)
    attachment = Attachment(model, _embeddings(sites, tiny), sites, RAW)
    with pytest.raises(InputError, match="17 frames and this model has positions for 16"):
        output(model, tiny.inputs(torch.float32, num_frames=17))
    attachment.detach()


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_model_takes_a_motion_and_gives_it_back(in_place: bool):
    tiny = TINY[4]  # the smallest graph
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32)
    base, sites = output(model, inputs), find_sites(model)
    tensors = _embeddings(sites, tiny)
    attachment = Attachment(model, tensors, sites, Usage())
    expected = output(model, inputs)
    attachment.detach()
    torch._dynamo.reset()
    if in_place:
        model.compile(backend="eager")
    called = model if in_place else torch.compile(model, backend="eager")
    torch.testing.assert_close(output(called, inputs), base)
    attachment = Attachment(called, tensors, sites, Usage())
    torch.testing.assert_close(output(called, inputs), expected)
    other = random_embeddings(tensors, seed=8)
    second = Attachment(called, other, sites, Usage())
    assert not torch.allclose(output(called, inputs), expected)
    second.detach()
    torch.testing.assert_close(output(called, inputs), expected)
    attachment.detach()
    torch.testing.assert_close(output(called, inputs), base)
    assert (model._compiled_call_impl is not None) == in_place


def test_detach_takes_every_motion_off():
    tiny = TINY[0]
    model = tiny.model(torch.float32)
    inputs, sites = tiny.inputs(torch.float32), find_sites(model)
    base = output(model, inputs)
    for seed in (1, 2):
        Attachment(model, random_embeddings(_embeddings(sites, tiny), seed=seed), sites, RAW)
    detach(model)
    assert torch.equal(output(model, inputs), base)
    detach(model)  # with nothing on it


@pytest.mark.parametrize(
    ("usage", "sentence"),
    [
        ({"query_key_strength": "strong"}, "query_key_strength is 'strong'; expected a number"),
        ({"value_strength": float("nan")}, "value_strength is nan; expected a finite number"),
        ({"value": "blurred"}, "value is 'blurred'; expected one of raw"),
        ({"branch": "left"}, "branch is 'left'; expected one of both, conditional"),
        ({"window": (0.5, 0.2)}, "window is"),
        ({"window": 0.5}, "window is 0.5"),
        ({"window": ("a", "b")}, "window is"),
        ({"window": (0, 1.5)}, "window is"),
    ],
)
def test_a_usage_that_makes_no_sense_is_refused(usage: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        Usage(**usage)


@pytest.mark.parametrize("unload", [False, True])
def test_an_ip_adapter_loaded_or_unloaded_under_a_motion_is_noticed(unload: bool):
    """diffusers makes all processors of the model anew, by their classes."""
    from diffusers.loaders.ip_adapter import IPAdapterMixin

    tiny = TINY[1]
    model: Any = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32)
    base, sites = output(model, inputs), find_sites(model)
    tensors = _embeddings(sites, tiny)

    class Pipeline(IPAdapterMixin):
        unet = model

    def load() -> None:
        model._load_ip_adapter_weights([ip_adapter(model)], low_cpu_mem_usage=False)

    if unload:
        load()
    attachment = Attachment(model, tensors, sites, RAW)
    Pipeline().unload_ip_adapter() if unload else load()
    picture = torch.randn(2, 1, 6)
    with_picture = inputs | {"added_cond_kwargs": {"image_embeds": [picture]}}
    with pytest.raises(InputError, match="was replaced while a motion was attached"):
        output(model, inputs if unload else with_picture)
    attachment.detach()
    kinds = {type(model.get_submodule(site.name).processor).__name__ for site in sites}
    assert kinds == {"AttnProcessor2_0"}
    if not unload:
        Pipeline().unload_ip_adapter()
    assert torch.equal(output(model, inputs), base)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_dropped_under_a_motion_is_freed(compiled: bool):
    tiny = TINY[4]
    model = tiny.model(torch.float32)
    sites = find_sites(model)
    called = torch.compile(model, backend="eager") if compiled else model
    Attachment(called, _embeddings(sites, tiny), sites, RAW)
    output(model, tiny.inputs(torch.float32))
    alive = weakref.ref(model)
    del model, called
    gc.collect()
    assert alive() is None


def test_without_guidance_every_video_follows_the_prompt():
    tiny = TINY[1]
    model = tiny.model()
    inputs = tiny.inputs(batch_size=4)
    sites = find_sites(model)
    tensors = _embeddings(sites, tiny)
    pipe: Any = _Pipeline(model, 10)

    def made(usage: Usage, num_videos: int | None = None) -> Tensor:
        attachment = Attachment(pipe, tensors, sites, usage)
        attachment.num_videos = num_videos
        found = output(model, inputs)
        attachment.detach()
        return found

    conditional = Usage(value="raw", branch="conditional")
    everywhere, half = made(RAW), made(conditional, num_videos=2)
    assert not torch.allclose(everywhere, half)
    assert torch.equal(made(conditional, num_videos=4), everywhere)
    pipe.do_classifier_free_guidance = False
    assert torch.equal(made(conditional), everywhere)
    pipe.do_classifier_free_guidance = True
    assert torch.equal(made(conditional), half)
    # A pipeline that does not say so shows the model other videos in each half, or the same twice.
    del pipe.do_classifier_free_guidance
    assert torch.equal(made(conditional), everywhere)
    inputs = inputs | {"sample": inputs["sample"][:2].repeat(2, 1, 1, 1, 1)}
    assert not torch.allclose(made(conditional)[:2], made(RAW)[:2])


def test_an_ip_adapter_and_a_motion_go_together():
    tiny = TINY[1]
    model: Any = tiny.model(torch.float32)
    model._load_ip_adapter_weights([ip_adapter(model)], low_cpu_mem_usage=False)
    picture = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(5))
    inputs = tiny.inputs(torch.float32) | {"added_cond_kwargs": {"image_embeds": [picture]}}
    base, sites = output(model, inputs), find_sites(model)
    attachment = Attachment(model, _embeddings(sites, tiny), sites, RAW)
    moved = output(model, inputs)
    attachment.detach()
    assert not torch.allclose(moved, base)
    assert torch.equal(output(model, inputs), base)
    other = inputs | {"added_cond_kwargs": {"image_embeds": [-picture]}}
    assert not torch.allclose(output(model, other), base)
