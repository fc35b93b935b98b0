"""What the peers are made of: low-rank layers, exchanged weights, DDIM steps, features."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion import Attachment
from kinema.motion_inversion.denoising import Denoiser
from kinema.motion_inversion.usage import Usage
from kinema.peers import dmt, motion_director, motion_inversion_v1, vmc
from kinema.peers.ddim import Ddim, clean_and_noise, renoised
from kinema.peers.lora import factors, learned_low_rank, low_rank, switch
from kinema.peers.space_time import difference_loss, space_time_features, steered
from kinema.peers.weights import exchanged
from tests.motion_inversion.tiny import TINY, Tiny, output, random_embeddings, unet_motion
from tests.peers.quick import QUICK, assert_same_makeup, makeup, task_on


def small_unet() -> nn.Module:
    """A model of few kinds of layers, quick to compile."""
    torch.manual_seed(0)
    return unet_motion(
        down_block_types=("DownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "UpBlockMotion"),
        use_motion_mid_block=False,
    ).eval()


each_unet = pytest.mark.parametrize("tiny", TINY[:2], ids=lambda tiny: tiny.kind)


@each_unet
def test_low_rank_layers_change_nothing_at_birth_and_leave_no_trace(tiny: Tiny):
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    paths = motion_director.temporal_layers(model) + motion_director.spatial_layers(model)
    before, plain = makeup(model), output(model, inputs)
    with low_rank(model, paths, rank=2) as layers:
        assert list(layers) == paths
        # To float precision: zeros added may come in another order in memory.
        torch.testing.assert_close(output(model, inputs), plain, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            for factor in factors(layers).values():
                factor.add_(0.1)
        changed = output(model, inputs)
        kept = {name: factor.detach().clone() for name, factor in factors(layers).items()}
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert_same_makeup(before, makeup(model))
    with learned_low_rank(model, kept):
        assert torch.equal(output(model, inputs), changed)
    assert torch.equal(output(model, inputs), plain)


def test_dropout_falls_on_what_low_rank_layers_add():
    model = torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.Conv2d(4, 6, 1)).eval()
    rows, planes = torch.randn(4000, 8), torch.randn(2, 4, 60, 60)
    with low_rank(model, ["0", "1"], rank=2, dropout=0.25) as layers, torch.no_grad():
        for factor in factors(layers).values():
            torch.nn.init.normal_(factor)
        for layer, given in ((model[0], rows), (model[1], planes)):
            switch({"": layer}, on=False)
            plain = layer(given)
            switch({"": layer}, on=True)
            added = layer(given) - plain
            whole = layer.lora_B["kinema"].forward(layer.lora_A["kinema"](given))
            dropped = added == 0
            assert 0.23 < dropped.float().mean() < 0.27
            torch.testing.assert_close(
                added[~dropped], whole[~dropped] / 0.75, atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_rank_layers_of_a_half_precision_model_are_float32(dtype: torch.dtype):
    model = TINY[0].model(dtype)
    paths = motion_director.temporal_layers(model)
    with low_rank(model, paths, rank=2) as layers:
        assert {factor.dtype for factor in factors(layers).values()} == {torch.float32}
        assert output(model, TINY[0].inputs(dtype)).dtype == dtype
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_low_rank_layers_refuse_what_is_there_and_what_does_not_fit():
    model = TINY[0].model(torch.float32)
    paths = motion_director.temporal_layers(model)[:2]
    with (
        low_rank(model, paths, rank=2) as layers,
        pytest.raises(InputError, match="UNet3DConditionModel carries a LoRA already"),
        low_rank(model, paths, rank=2),
    ):
        pass
    kept = {name: factor.detach().clone() for name, factor in factors(layers).items()}
    name = f"{paths[1]}.lora_B"
    for tensors, sentence in (
        ({"elsewhere.lora_A": torch.zeros(2, 8)}, "learned for 'elsewhere'"),
        ({**kept, name: torch.zeros(3, 2)}, f"factor {name} has shape"),
        ({key: value for key, value in kept.items() if key != name}, f"factor {name} is missing"),
    ):
        with pytest.raises(InputError, match=sentence), learned_low_rank(model, tensors):
            pass
    assert not hasattr(model, "peft_config")


def test_exchanged_weights_come_back_as_the_very_same():
    tiny = TINY[0]
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    before, plain = makeup(model), output(model, inputs)
    others = {name: weight.detach() + 0.1 for name, weight in vmc.tuned_weights(model).items()}
    with exchanged(model, others):
        assert not torch.equal(output(model, inputs), plain)
    assert_same_makeup(before, makeup(model))
    with (
        pytest.raises(InputError, match=r"a weight nowhere.weight of shape \(2,\)"),
        exchanged(model, {"nowhere.weight": torch.zeros(2)}),
    ):
        pass


@each_unet
def test_version_1_embeds_queries_keys_and_values(tiny: Tiny):
    model, inputs = tiny.model(), tiny.inputs()
    sites = motion_inversion_v1.embedded_sites(model)
    embeddings = random_embeddings(
        motion_inversion_v1.new_embeddings(sites, num_frames=tiny.num_frames)
    )
    with_values = motion_inversion_v1.with_values(embeddings, sites)
    attachment = Attachment(model, with_values, sites, Usage(value="raw"))
    found = output(model, inputs)
    attachment.detach()
    hooks = [
        model.get_submodule(f"{site.name}.{projection}").register_forward_pre_hook(
            lambda module, args, added=embeddings[f"query_key/{site.block}"]: (args[0] + added,)
        )
        for site in sites
        for projection in ("to_q", "to_k", "to_v")
    ]
    expected = output(model, inputs)
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    assert not torch.allclose(found, output(model, inputs))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_step_of_ddim_is_that_of_diffusers(kind: str):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False)
    scheduler.set_timesteps(10)
    ddim = Ddim.of(scheduler, 10)
    assert ddim.timesteps == scheduler.timesteps.tolist()
    generator = torch.Generator().manual_seed(0)
    noisy, prediction = torch.randn(2, 1, 4, 3, 2, 2, generator=generator)
    for number in (0, 5, 9):
        timestep = ddim.timesteps[number]
        following = ddim.timesteps[number + 1] if number < 9 else None
        expected = scheduler.step(prediction, timestep, noisy).prev_sample
        start, end = ddim.level(timestep), ddim.level(following)
        found = ddim.step(noisy, prediction, start=start, end=end)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        back = ddim.step(
            noisy, prediction, start=start, end=start
        )  # no step at all, in every parametrisation
        torch.testing.assert_close(back, noisy, atol=1e-4, rtol=1e-4)


def test_predictions_of_every_kind_say_the_same_clip_and_noise():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    level = 0.3
    noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
    velocity = level**0.5 * noise - (1 - level) ** 0.5 * clean
    for kind, prediction in (
        ("epsilon", noise),
        ("v_prediction", velocity),
        ("sample", clean),
    ):
        found = clean_and_noise(noisy, prediction, level=level, kind=kind)
        torch.testing.assert_close(found, (clean, noise))
    with pytest.raises(InputError, match="predicts 'flow'"):
        clean_and_noise(noisy, noise, level=level, kind="flow")


def test_an_inversion_passes_through_every_level_of_the_sampling():
    from diffusers import DDIMScheduler

    ddim = Ddim.of(DDIMScheduler(), 50)
    timesteps = ddim.inversion_timesteps(7)
    assert timesteps == sorted(set(timesteps))
    assert {0, 999, *ddim.timesteps} <= set(timesteps)
    assert len(ddim.inversion_timesteps(999)) in (999, 1000)
    with pytest.raises(InputError, match="sampling_steps is 2000 and this model was trained at"):
        Ddim.of(DDIMScheduler(), 2000)


def test_new_noise_is_that_of_the_forward_process():
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler()
    start, end = 300, 320
    kept, power = 1.0, 0.0
    for timestep in range(start + 1, end + 1):
        beta = scheduler.betas[timestep].item()
        kept, power = kept * (1 - beta) ** 0.5, power * (1 - beta) + beta
    levels = scheduler.alphas_cumprod.double()
    one = torch.ones((), dtype=torch.float64)
    weights = [
        renoised(latents, noise, start=float(levels[start]), end=float(levels[end])).item()
        for latents, noise in ((one, 0 * one), (0 * one, one))
    ]
    assert weights == pytest.approx([kept, power**0.5], rel=1e-5)


def test_low_frequencies_are_the_clips_and_high_ones_the_noises():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, 3, 8, 12, generator=generator)
    torch.testing.assert_close(dmt.with_high_frequencies(noise, noise, downsampling=4), noise)
    even = torch.full_like(noise, 2.0)
    low = dmt.with_high_frequencies(even, torch.zeros_like(noise), downsampling=4)
    torch.testing.assert_close(low, even)
    stripes = torch.ones_like(noise)
    stripes[..., ::2] = -1
    left = dmt.with_high_frequencies(stripes, torch.zeros_like(noise), downsampling=4)
    assert left.abs().mean() < 0.2


def test_features_are_the_means_of_the_layers_outputs_and_the_rest_is_not_computed(pipe: Any):
    task = task_on(pipe, QUICK["dmt"])
    seen: dict[str, Tensor] = {}
    block = "up_blocks.1"
    temporal = "temp_convs" if "3D" in type(task.unet).__name__ else "motion_modules"
    paths = [f"{block}.resnets.1.conv2", f"{block}.{temporal}.1", "conv_out"]

    def watch(path: str) -> Any:
        return task.unet.get_submodule(path).register_forward_hook(
            lambda module, args, result: seen.__setitem__(path, result)
        )

    hooks = [watch(path) for path in paths]
    with torch.no_grad():
        task.denoiser.predict(task.latents, torch.tensor([300]))
        full = dict(seen)
        seen.clear()
        found = space_time_features(task.denoiser, task.latents, 300)
    for hook in hooks:
        hook.remove()
    assert set(full) == set(paths)
    assert set(seen) == set(paths[:2])
    assert len(found) == 2  # the block is the last one here, and has no upsampler
    for features, path in zip(found, paths[:2], strict=True):
        frames = torch.stack([frame.flatten(1).double().mean(1) for frame in full[path]])
        assert features.shape == frames.shape
        torch.testing.assert_close(features.double(), frames, atol=1e-5, rtol=1e-4)


def test_features_of_a_grid_are_the_means_of_its_parts(pipe: Any):
    task = task_on(pipe, QUICK["dmt"])
    seen: list[Tensor] = []
    hook = task.unet.get_submodule("up_blocks.1.resnets.1.conv2").register_forward_hook(
        lambda module, args, result: seen.append(result)
    )
    with torch.no_grad():
        found = space_time_features(task.denoiser, task.latents, 300, grid=2)
    hook.remove()
    (frames,) = seen
    num_frames, channels, height, width = frames.shape
    parts = frames.view(num_frames, channels, 2, height // 2, 2, width // 2).mean((3, 5))
    torch.testing.assert_close(found[0], parts.flatten(1))
    with pytest.raises(InputError, match=r"grid is 9 and the features are of 8x8 places; give 8"):
        space_time_features(task.denoiser, task.latents, 300, grid=9)


@pytest.mark.parametrize("in_place", [False, True])
def test_features_of_a_compiled_model_are_read_too(in_place: bool):
    model = small_unet()
    latents = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(1))

    def told(model: nn.Module) -> Denoiser:
        return Denoiser(
            model, text, lambda t, b, n: {"encoder_hidden_states": t.expand(b * n, -1, -1)}
        )

    with torch.no_grad():
        expected = space_time_features(told(model), latents, 300)
        torch._dynamo.reset()
        called: Any = torch.compile(model, backend="eager")
        if in_place:
            model.compile(backend="eager")
            called = model
        told(called).predict(latents, torch.tensor([300]))
        found = space_time_features(told(called), latents, 300)
    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert (model._compiled_call_impl is not None) == in_place


@pytest.mark.parametrize("grid", [1, 2])
def test_steering_brings_changes_of_features_closer_to_the_clips(pipe: Any, grid: int):
    task = task_on(pipe, QUICK["dmt"])
    noise = torch.randn(task.latents.shape, generator=torch.Generator().manual_seed(1))

    def loss(latents: Tensor) -> float:
        features = space_time_features(task.denoiser, latents, 700, grid=grid)
        return sum(difference_loss(*pair).item() for pair in zip(features, source, strict=True))

    with torch.no_grad():
        source = space_time_features(task.denoiser, task.latents, 700, grid=grid)
        moved = steered(
            noise,
            task.denoiser,
            source,
            timestep=700,
            num_steps=5,
            learning_rate=0.01,
            grid=grid,
        )
        assert loss(moved) < loss(noise)
    assert moved.shape == noise.shape
    assert not moved.requires_grad


def test_a_model_without_the_layers_that_dmt_reads_is_refused():
    class UNet3DConditionModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up_blocks = nn.ModuleList()

    with pytest.raises(InputError, match=r"dmt reads layer 1 of up_blocks\.1"):
        from kinema.peers.space_time import feature_modules

        feature_modules(UNet3DConditionModel())
