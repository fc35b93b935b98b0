import dataclasses
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kinema.errors import InputError
from kinema.motion_inversion import (
    PAPER_SAMPLING,
    PRESETS,
    InversionInterrupted,
    InversionSettings,
    InversionStep,
    Motion,
    fitted_reference,
    generate,
    invert,
)
from kinema.motion_inversion.denoising import denoiser_of, latents_of
from kinema.motion_inversion.learner import Learner, computing_dtype
from kinema.motion_inversion.noise import ddim_inversion
from kinema.motion_inversion.origin import origin_of
from kinema.motion_inversion.recompute import recomputing
from kinema.motion_inversion.sites import denoiser
from kinema.sprites import animatediff, text_to_video
from tests.motion_inversion.clip import PROMPT, QUICK, moving_square
from tests.motion_inversion.tiny import TINY, ip_adapter, output


def _invert(pipe: Any, settings: InversionSettings = QUICK, **arguments: Any) -> Motion:
    given = {"prompt": PROMPT, "settings": settings, "progress": False} | arguments
    return invert(pipe, given.pop("video", moving_square()), **given)


def _learner(pipe: Any, settings: InversionSettings) -> Learner:
    """As `invert` makes it."""
    reference = fitted_reference(pipe, moving_square())
    latents = latents_of(pipe, reference.video)
    origin = origin_of(pipe, latents, reference, prompt=PROMPT, settings={}, seed=0)
    return Learner(pipe, denoiser_of(pipe, PROMPT), latents, origin, settings, 0, None)


def _bytes(motion: Motion, folder: Path) -> bytes:
    motion.save(folder / "motion.safetensors")
    return (folder / "motion.safetensors").read_bytes()


def _same(a: Motion, b: Motion) -> bool:
    return all(torch.equal(tensor, b.tensors[name]) for name, tensor in a.tensors.items())


def test_a_motion_is_learned_and_the_model_stays_as_it_was(pipe: Any):
    model = denoiser(pipe)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    processors = dict(model.attn_processors)
    motion = _invert(pipe)
    assert all(tensor.abs().max() > 0.01 for tensor in motion.tensors.values())
    assert motion.num_frames == 4
    assert motion.origin.latent_size == (8, 8)
    assert motion.origin.prompt == PROMPT
    assert motion.origin.settings["learning_rate"] == 0.02
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(model.attn_processors[name] is each for name, each in processors.items())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not model._forward_pre_hooks
    assert not any("forward" in module.__dict__ for module in model.modules())
    model.eval()


def test_the_denoiser_is_called_as_its_pipeline_calls_it(pipe: Any):
    seen: list[tuple[Any, ...]] = []
    model = denoiser(pipe)
    hook = model.register_forward_hook(
        lambda module, args, kwargs, result: seen.append(
            (args[0], args[1], result[0] if isinstance(result, tuple) else result.sample)
        ),
        with_kwargs=True,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe(
        PROMPT,
        num_frames=4,
        num_inference_steps=2,
        guidance_scale=1.0,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    )
    hook.remove()
    for noisy, timestep, expected in seen:
        with torch.no_grad():
            found = denoiser_of(pipe, PROMPT).predict(noisy, timestep.expand(len(noisy)))
        torch.testing.assert_close(found, expected)


def test_latents_are_those_the_pipeline_decodes(pipe: Any):
    latents = latents_of(pipe, moving_square())
    assert latents.shape == (1, 6, 4, 8, 8)
    with torch.no_grad():
        mode = pipe.vae.encode(2 * moving_square() - 1).latent_dist.mode()
    torch.testing.assert_close(
        latents[0].transpose(0, 1), mode * pipe.vae.config.scaling_factor, atol=1e-5, rtol=1e-4
    )


def test_the_same_seed_is_the_same_motion_and_another_is_not(pipe: Any, tmp_path: Path):
    settings = dataclasses.replace(QUICK, num_steps=2, inversion_steps=2)
    first = _invert(pipe, settings)
    assert _bytes(first, tmp_path) == _bytes(_invert(pipe, settings), tmp_path)
    assert not _same(first, _invert(pipe, settings, seed=1))
    assert first.inverted_latents is not None
    assert first.inverted_latents.shape == (6, 4, 8, 8)


def test_learning_lowers_the_loss(pipelines: dict[str, Any]):
    losses: list[float] = []
    # Near pure noise this model is to say what the clip is, the same at every step.
    settings = dataclasses.replace(
        QUICK, num_steps=10, noise_levels=(0.97, 0.98), learning_rate=0.1, batch_size=2
    )
    _invert(pipelines["text_to_video"], settings, callback=lambda step: losses.append(step.loss))
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.parametrize(
    "change",
    [
        {"value": "coarse", "coarse_factor": 2},
        {"value": "low-rank", "rank": 2},
        {"value": "none"},
        {"query_key": False},
        {"blocks": "all"},
        {"blocks": "mid_block"},
        {"objective": "debiased"},
        {"objective": "residual", "training_value": "debiased-zero"},
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"noise_power": 1.0, "noise_levels": (0.5, 1.0)},
    ],
    ids=lambda change: "-".join(map(str, change.values())),
)
def test_every_setting_learns_something_of_its_own(
    pipelines: dict[str, Any], change: dict[str, Any], tmp_path: Path
):
    settings = dataclasses.replace(QUICK, num_steps=2, **change)
    motion = _invert(pipelines["animatediff"], settings)
    assert any(tensor.any() for tensor in motion.tensors.values())
    motion.save(tmp_path / "motion.safetensors")
    again = Motion.load(tmp_path / "motion.safetensors")
    usual = _invert(pipelines["animatediff"], dataclasses.replace(QUICK, num_steps=2))
    assert again.tensors.keys() == motion.tensors.keys()
    if change != {"precision": "float16"}:  # which is float32 on the CPU, and says so
        assert again.tensors.keys() != usual.tensors.keys() or not _same(again, usual)


def test_accumulated_batches_are_one_large_batch_of_as_many_levels(pipelines: dict[str, Any]):
    """Not the same levels, but gradients and losses of the same size: means, not sums."""

    def learned(**change: int) -> tuple[float, float]:
        # Levels so close together that it hardly matters which are drawn.
        settings = dataclasses.replace(
            QUICK, num_steps=1, noise_levels=(0.9, 0.9001), noise_power=0.0, **change
        )
        learner = _learner(pipelines["animatediff"], settings)
        with learner.on_the_model():
            loss = learner.step()
        gradients = [tensor.grad for tensor in learner.progress.tensors.values()]
        return loss, sum(g.square().sum().item() for g in gradients if g is not None) ** 0.5

    (loss, norm), (whole_loss, whole_norm) = learned(accumulation=3), learned(batch_size=3)
    assert loss == pytest.approx(whole_loss, rel=0.2)
    assert norm == pytest.approx(whole_norm, rel=0.5)


def test_a_float16_model_is_learned_on_with_gradients_that_do_not_vanish(
    untrained_weights: Path, tmp_path: Path
):
    pipe = text_to_video(weights=untrained_weights, dtype=torch.float16)
    learner = _learner(pipe, QUICK)
    with learner.on_the_model():
        assert learner.step() > 0
    assert learner.progress.scaler.get_scale() > 1
    for name, tensor in learner.progress.tensors.items():
        assert tensor.dtype == torch.float32
        assert tensor.grad is not None
        assert (tensor.grad == 0).float().mean() < 0.02, name
        assert (tensor.detach() == 0).float().mean() < 0.02, name
    # What scales the gradients is part of a checkpoint.
    checkpoint = tmp_path / "run.safetensors"
    _invert(pipe, dataclasses.replace(QUICK, num_steps=1), checkpoint=checkpoint)
    assert _same(_invert(pipe, resume_from=checkpoint), _invert(pipe))


def test_a_step_that_overflowed_is_not_counted_as_one_after_resuming(
    untrained_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pipe = text_to_video(weights=untrained_weights, dtype=torch.float16)
    scaler = functools.partial(torch.amp.GradScaler, init_scale=2.0**28)
    monkeypatch.setattr("torch.amp.GradScaler", scaler)
    checkpoint = tmp_path / "run.safetensors"
    settings = dataclasses.replace(QUICK, num_steps=8)
    first = _invert(pipe, dataclasses.replace(settings, num_steps=2), checkpoint=checkpoint)
    assert not any(tensor.any() for tensor in first.tensors.values())
    whole = _invert(pipe, settings)
    assert any(tensor.any() for tensor in whole.tensors.values())
    assert _same(_invert(pipe, settings, resume_from=checkpoint), whole)
    _invert(pipe, dataclasses.replace(settings, num_steps=7), checkpoint=checkpoint)
    assert _same(_invert(pipe, settings, resume_from=checkpoint), whole)


def test_the_dtype_of_a_precision():
    half, full = torch.float16, torch.float32
    assert computing_dtype("model", half, on_cpu=False) == half
    assert computing_dtype("float16", full, on_cpu=False) == half
    assert computing_dtype("float16", full, on_cpu=True) == full
    assert computing_dtype("bfloat16", full, on_cpu=True) == torch.bfloat16
    assert computing_dtype("float32", full, on_cpu=False) == full
    sentence = "precision is 'float32' and the model is loaded in float16; load it in float32, or"
    for on_cpu in (False, True):
        with pytest.raises(InputError, match=sentence):
            computing_dtype("float32", half, on_cpu=on_cpu)


def test_checkpointing_gradients_changes_memory_and_nothing_else(pipe: Any):
    plain = _invert(pipe, dataclasses.replace(QUICK, num_steps=2))
    again = _invert(pipe, dataclasses.replace(QUICK, num_steps=2, gradient_checkpointing=True))
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.kind)
def test_recomputing_covers_every_model(tiny: Any):
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32, batch_size=1)

    def kept() -> int:
        """How many numbers wait for the backward pass."""
        sizes: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(**inputs, return_dict=False)[0].sum().backward()
        return sum(sizes)

    before, expected = kept(), output(model, inputs)
    gradients = [
        parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
    ]
    model.zero_grad()
    with recomputing(model):
        assert kept() < 0.4 * before
        assert torch.equal(output(model, inputs), expected)
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_a_callback_sees_the_model_without_the_motion_and_the_motion_so_far(
    pipelines: dict[str, Any],
):
    pipe = pipelines["animatediff"]
    plain = {"seed": 3, "num_steps": 2, "num_frames": 4}
    without = generate(pipe, PROMPT, **plain)
    steps: list[InversionStep] = []
    previews: list[torch.Tensor] = []

    def look(step: InversionStep) -> None:
        steps.append(step)
        assert torch.equal(generate(pipe, PROMPT, **plain), without)
        previews.append(generate(pipe, PROMPT, motion=step.motion(), **plain))

    watched = _invert(pipe, callback=look)
    assert _same(watched, _invert(pipe))
    assert [step.step for step in steps] == [1, 2, 3]
    assert torch.equal(previews[-1], generate(pipe, PROMPT, motion=watched, **plain))
    assert not torch.equal(previews[0], previews[-1])


def test_attention_says_where_errors_count(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    attention = torch.zeros(3, 64, 64)
    attention[:, 24:40] = 1
    even = _invert(pipe, attention=torch.ones(3, 64, 64))
    weighted = _invert(pipe, attention=attention)
    plain = _invert(pipe)
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(even.tensors[name], tensor, atol=1e-4, rtol=1e-3)
    assert not _same(weighted, plain)


def test_a_plateau_ends_it(pipelines: dict[str, Any]):
    steps: list[int] = []
    settings = dataclasses.replace(QUICK, num_steps=20, patience=2, min_improvement=0.99)
    _invert(pipelines["animatediff"], settings, callback=lambda step: steps.append(step.step))
    assert steps == [1, 2, 3, 4]


_KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from kinema.sprites import {name} as pipeline
from kinema.motion_inversion import invert
from tests.motion_inversion.clip import PROMPT, moving_square
from tests.motion_inversion.test_invert import KILL_SETTINGS

def look(step):
    if step.step == 3:
        os.kill(os.getpid(), signal.{signal})

invert(
    pipeline(weights={weights!r}), moving_square(), prompt=PROMPT, settings=KILL_SETTINGS,
    checkpoint={checkpoint!r}, checkpoint_every=2, callback=look, progress=False,
)
"""
KILL_SETTINGS = dataclasses.replace(QUICK, num_steps=5, inversion_steps=2, batch_size=2)


def _run_and_signal(weights: Path, checkpoint: Path, name: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    code = _KILLED.format(
        root=str(root),
        weights=str(weights),
        checkpoint=str(checkpoint),
        name="text_to_video",
        signal=name,
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        timeout=300,
    )


def test_killed_and_resumed_is_the_same_file(
    pipelines: dict[str, Any], untrained_weights: Path, tmp_path: Path
):
    checkpoint = tmp_path / "run.safetensors"
    run = _run_and_signal(untrained_weights, checkpoint, "SIGKILL")
    assert run.returncode == -signal.SIGKILL
    pipe = pipelines["text_to_video"]
    steps: list[int] = []
    resumed = _invert(
        pipe, KILL_SETTINGS, resume_from=checkpoint, callback=lambda step: steps.append(step.step)
    )
    assert steps == [3, 4, 5]  # the last checkpoint was after step 2
    expected = _bytes(_invert(pipe, KILL_SETTINGS), tmp_path)
    assert _bytes(resumed, tmp_path) == expected
    # Finished: nothing is left to do, and the motion is there at once.
    assert _bytes(_invert(pipe, KILL_SETTINGS, resume_from=checkpoint), tmp_path) == expected


@pytest.mark.parametrize(
    "when", ["after the last step", "during the clip's inversion", "at its very end"]
)
def test_ctrl_c_is_not_lost_late(
    when: str, pipelines: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    settings, walked = dataclasses.replace(QUICK, inversion_steps=3), []

    def interrupt(step: InversionStep) -> None:
        if when == "after the last step" and step.step == settings.num_steps:
            signal.raise_signal(signal.SIGINT)

    def walk(*given: Any, before_each: Any, **more: Any) -> torch.Tensor:
        def second() -> None:
            walked.append(len(walked))
            if when == "during the clip's inversion" and len(walked) == 2:
                signal.raise_signal(signal.SIGINT)
            before_each()

        found = ddim_inversion(*given, before_each=second, **more)
        signal.raise_signal(signal.SIGINT)
        return found

    # By name: the package has the function `invert` where the module would be.
    module = importlib.import_module("kinema.motion_inversion.invert")
    monkeypatch.setattr(module, "ddim_inversion", walk)
    with pytest.raises(InversionInterrupted, match=r"after step 3 of 3; go on with resume_from="):
        _invert(pipe, settings, checkpoint=checkpoint, callback=interrupt)
    of_three = {"after the last step": 0, "during the clip's inversion": 2, "at its very end": 3}
    assert len(walked) == of_three[when]
    monkeypatch.undo()
    expected = _bytes(_invert(pipe, settings), tmp_path)
    assert _bytes(_invert(pipe, settings, resume_from=checkpoint), tmp_path) == expected


def test_a_checkpoint_is_of_the_very_weights_it_was_learned_on(
    pipelines: dict[str, Any], tmp_path: Path
):
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    _invert(pipe, checkpoint=checkpoint)
    weight = pipe.unet.conv_in.weight
    with torch.no_grad():
        weight += 1
    try:
        with pytest.raises(InputError, match=r"on other weights .* load the same model"):
            _invert(pipe, resume_from=checkpoint)
    finally:
        with torch.no_grad():
            weight -= 1


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(pipelines: dict[str, Any], tmp_path: Path):
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    before = signal.getsignal(signal.SIGINT)

    def interrupt(step: InversionStep) -> None:
        if step.step == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InversionInterrupted, match=r"after step 2 of 3; go on with resume_from="):
        _invert(pipe, checkpoint=checkpoint, callback=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert not denoiser(pipe)._forward_pre_hooks
    assert _same(_invert(pipe, resume_from=checkpoint), _invert(pipe))
    with pytest.raises(InversionInterrupted, match="nothing is kept, for want of a checkpoint"):
        _invert(pipe, callback=interrupt)


def test_a_longer_run_goes_on_from_a_shorter_one(pipelines: dict[str, Any], tmp_path: Path):
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    _invert(pipe, dataclasses.replace(QUICK, num_steps=1), checkpoint=checkpoint)
    longer = _invert(pipe, resume_from=checkpoint)
    assert longer.origin.settings["num_steps"] == 3
    assert _same(longer, _invert(pipe))


def test_a_shorter_run_does_not_go_on_from_a_longer_one(pipelines: dict[str, Any], tmp_path: Path):
    """It would say of itself that it was learned in fewer steps than it was."""
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    _invert(pipe, checkpoint=checkpoint)
    with pytest.raises(InputError, match="has learned for 3 steps and num_steps is 1; give 3"):
        _invert(pipe, dataclasses.replace(QUICK, num_steps=1), resume_from=checkpoint)


def test_a_checkpoint_of_something_else_is_refused(pipelines: dict[str, Any], tmp_path: Path):
    pipe, checkpoint = pipelines["animatediff"], tmp_path / "run.safetensors"
    short = dataclasses.replace(QUICK, num_steps=1)
    _invert(pipe, short, checkpoint=checkpoint)
    for arguments, sentence in (
        ({"seed": 5}, "seed is 0 there and 5 here"),
        ({"prompt": "a red circle"}, "prompt is 'a blue star"),
        ({"video": moving_square().flip(0)}, "source_sha256 is"),
        ({"settings": dataclasses.replace(short, learning_rate=1.0)}, "learning_rate is 0.02"),
    ):
        with pytest.raises(InputError, match=sentence):
            _invert(pipe, **{"settings": short, "resume_from": checkpoint} | arguments)
    attention = torch.zeros(4, 64, 64)
    attention[:, 24:40] = 1
    weighted = tmp_path / "weighted.safetensors"
    _invert(pipe, short, attention=attention, checkpoint=weighted)
    for path, given in (
        (checkpoint, attention),
        (weighted, None),
        (weighted, 1 - attention),
    ):
        with pytest.raises(InputError, match="another inversion: attention_sha256 is"):
            _invert(pipe, short, attention=given, resume_from=path)
    assert _invert(pipe, short, attention=attention, resume_from=weighted).origin.settings[
        "attention_sha256"
    ]
    # As an earlier version wrote another form of embeddings under the same settings.
    tensors = load_file(checkpoint)
    with safe_open(checkpoint, framework="pt") as file:
        header = file.metadata()
    name = next(name for name in tensors if name.startswith("embedding/value"))
    other = tmp_path / "other.safetensors"
    save_file({n: t for n, t in tensors.items() if n != name}, other, metadata=header)
    with pytest.raises(InputError, match=r"of another form, without value/.*; start without it"):
        _invert(pipe, short, resume_from=other)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(InputError, match="no checkpoint of an inversion, or only part of one"):
        _invert(pipe, short, resume_from=checkpoint)
    with pytest.raises(InputError, match="there is no checkpoint"):
        _invert(pipe, short, resume_from=tmp_path / "none.safetensors")


def test_it_learns_away_from_the_main_thread(pipelines: dict[str, Any]):
    results: list[Motion] = []
    thread = threading.Thread(target=lambda: results.append(_invert(pipelines["animatediff"])))
    thread.start()
    thread.join()
    assert _same(results[0], _invert(pipelines["animatediff"]))


def test_latte_learns_too():
    """The tiny model and what an inversion asks of a pipeline: Latte's own text encoder is a T5."""
    from diffusers import AutoencoderKL, DDIMScheduler

    model = TINY[4].model(torch.float32)
    torch.manual_seed(0)
    pipe = SimpleNamespace(
        components={"transformer": model},
        vae=AutoencoderKL(block_out_channels=(32,), norm_num_groups=8).eval(),
        scheduler=DDIMScheduler(),
        vae_scale_factor=1,
        _execution_device=torch.device("cpu"),
        encode_prompt=lambda prompt, **_: (torch.ones(1, 3, 8),),
        name_or_path="",
    )
    motion = _invert(pipe, video=torch.rand(9, 3, 8, 8))
    assert motion.origin.model_class == "LatteTransformer3DModel"
    assert motion.num_frames == 5
    assert all(tensor.any() for tensor in motion.tensors.values())
    with pytest.raises(InputError, match="4 frames and this model takes 5, no fewer"):
        _invert(pipe, video=torch.rand(4, 3, 8, 8))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": " "}, "the prompt is ' '; expected words"),
        ({"prompt": None}, "the prompt is None"),
        ({"video": moving_square(1)}, "has 1 frame"),
        ({"settings": "fast"}, "settings is 'fast'; expected one of paper, default"),
        ({"num_frames": 1}, "num_frames is 1"),
        ({"num_frames": 0}, "num_frames is 0; expected 1 or more"),
        ({"num_frames": "4"}, "num_frames is '4'; expected a whole number"),
        ({"seed": 2**64}, "seed is 18446744073709551616; expected 0 to"),
        ({"size": (60, 64)}, "size is 60x64"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"video": torch.rand(40, 3, 64, 64), "num_frames": 33}, "has positions for 32"),
        ({"attention": torch.ones(9, 64, 64)}, "with 4 or 3 frames"),
        ({"attention": -torch.ones(4, 64, 64)}, "holds values from -1 to -1; expected them in"),
        ({"seed": None}, "seed is None; expected a whole number"),
        (
            {"settings": dataclasses.replace(QUICK, inversion_steps=2000)},
            "inversion_steps is 2000 and this model was trained at 1000 noise levels",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    pipelines: dict[str, Any], arguments: dict[str, Any], sentence: str
):
    steps: list[InversionStep] = []
    with pytest.raises(InputError, match=sentence):
        _invert(pipelines["animatediff"], callback=steps.append, **arguments)
    assert steps == []  # before any work


def test_models_that_are_to_be_told_more_than_a_prompt_are_refused(untrained_weights: Path):
    pipe = animatediff(weights=untrained_weights)
    pipe.unet._load_ip_adapter_weights([ip_adapter(pipe.unet)], low_cpu_mem_usage=False)
    with pytest.raises(InputError, match="while an IP-Adapter is loaded"):
        _invert(pipe)
    pipe.unload_ip_adapter()
    _invert(pipe, dataclasses.replace(QUICK, num_steps=1))
    pipe.unet.register_to_config(addition_embed_type="text_time")  # as AnimateDiffSDXLPipeline's
    with pytest.raises(InputError, match="addition_embed_type is 'text_time'"):
        _invert(pipe)


def test_models_that_motions_are_not_learned_on_are_refused():
    for index in (2, 3):  # I2VGenXL and Stable Video Diffusion take an image
        pipe = SimpleNamespace(components={"unet": TINY[index].model(torch.float32)})
        with pytest.raises(InputError, match=f"with a {TINY[index].kind}; expected a text-to-vid"):
            _invert(pipe)
    with pytest.raises(InputError, match="without its pipeline"):
        _invert(TINY[1].model(torch.float32))


def test_a_loss_that_is_nan_is_a_sentence(pipelines: dict[str, Any]):
    settings = dataclasses.replace(QUICK, num_steps=5, learning_rate=1e30)
    with pytest.raises(InputError, match="the loss is NaN at step"):
        _invert(pipelines["animatediff"], settings)
    assert not denoiser(pipelines["animatediff"])._forward_pre_hooks


def test_the_paper_preset_is_what_was_published():
    paper = PRESETS["paper"]
    assert (paper.num_steps, paper.learning_rate, paper.weight_decay) == (400, 0.02, 0.01)
    assert (paper.batch_size, paper.accumulation, paper.blocks) == (1, 1, "paper")
    assert (paper.objective, paper.value, paper.query_key) == ("plain", "full", True)
    assert (paper.training_value, paper.precision) == ("raw", "float16")
    assert (paper.noise_levels, paper.noise_power, paper.patience) == ((0.0, 1.0), 0.0, None)
    assert paper.inversion_steps == 50
    assert {"num_steps": 30, "guidance": 12.0, "noise": "blend", "noise_share": 0.5}.items() <= (
        PAPER_SAMPLING.items()
    )
    assert json.dumps(paper.to_json())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_steps": 0}, "num_steps is 0; expected 1 or more"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected above 0"),
        ({"value": "small"}, "value is 'small'; expected one of full"),
        ({"training_value": "blurred"}, "value is 'blurred'"),
        ({"training_value": "none"}, "a mode that leaves something to learn"),
        ({"noise_levels": (0.8, 0.2)}, "noise_levels is"),
        ({"patience": 0}, "patience is 0"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"num_steps": "3"}, "num_steps is '3'; expected a whole number"),
        ({"coarse_factor": 1.5}, "coarse_factor is 1.5; expected a whole number"),
        ({"patience": 2.5}, "patience is 2.5; expected a whole number"),
        ({"learning_rate": None}, "learning_rate is None; expected a number"),
        ({"weight_decay": float("nan")}, "weight_decay is nan; expected a finite number"),
        ({"noise_levels": 0.5}, "noise_levels is 0.5; expected two shares"),
        ({"noise_levels": (0.2,)}, r"noise_levels is \(0.2,\); expected two shares"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        InversionSettings(**change)


def test_layers_are_computed_again_where_memory_is_short_or_where_asked(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
):
    asked: list[bool] = []

    def noted(model: Any, *, on: bool) -> Any:
        asked.append(on)
        return recomputing(model, on=False)

    monkeypatch.setattr("kinema.motion_inversion.learner.recomputing", noted)
    for chosen in (None, True, False):
        _invert(pipe, dataclasses.replace(QUICK, num_steps=1, gradient_checkpointing=chosen))
    assert asked == [False, True, False]  # on a CPU
