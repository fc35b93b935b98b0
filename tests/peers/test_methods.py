"""One set of tests for all methods on both pipelines: the two calls, the file, the model left."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.errors import InputError
from kinema.motion_inversion import Motion, generate
from kinema.peers import METHODS, Learned, is_learned, load, method_named
from kinema.peers.training import learning
from kinema.peers.weights import exchanged
from tests.motion_inversion.clip import PROMPT, moving_square
from tests.peers.quick import (
    NUM_FRAMES,
    PEERS,
    QUICK,
    assert_same_makeup,
    learned_by,
    makeup,
    task_on,
    video_by,
)

each_method = pytest.mark.parametrize("method", list(METHODS))


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[int, str], Any]:
    return {}


@pytest.fixture
def learned(method: str, pipe: Any, outcomes: dict[tuple[int, str], Any]) -> Any:
    """What a method learned on a pipeline, once; the model was left as it was."""
    key = (id(pipe), method)
    if key not in outcomes:
        before = makeup(pipe.unet)
        outcomes[key] = learned_by(method, pipe)
        assert_same_makeup(before, makeup(pipe.unet))
    return outcomes[key]


@each_method
def test_the_same_arguments_learn_the_same(method: str, pipe: Any, learned: Any):
    random = torch.get_rng_state()
    again = learned_by(method, pipe)
    assert torch.equal(torch.get_rng_state(), random)
    assert again.origin == learned.origin
    assert set(again.tensors) == set(learned.tensors)
    for name, tensor in learned.tensors.items():
        assert torch.equal(again.tensors[name], tensor), name


@each_method
def test_a_video_is_repeatable_leaves_the_model_alone_and_shows_what_was_learned(
    method: str, pipe: Any, learned: Any
):
    before = makeup(pipe.unet)
    video = video_by(method, pipe, learned, seed=3)
    assert_same_makeup(before, makeup(pipe.unet))
    assert video.shape == (NUM_FRAMES, 3, 64, 64)
    assert video.min() >= 0
    assert video.max() <= 1
    assert torch.equal(video_by(method, pipe, learned, seed=3), video)
    plain = generate(pipe, "a red circle", seed=3, num_steps=2, guidance=3.0, num_frames=NUM_FRAMES)
    assert torch.equal(video, plain) == (method == "none")


@each_method
def test_a_video_of_a_batch_is_the_one_made_alone(method: str, pipe: Any, learned: Any):
    prompts, seeds = ("a red circle", "a blue star"), (3, 4)
    videos = METHODS[method].generate(
        pipe, prompts, learned, seed=seeds, num_steps=2, guidance=3.0, negative_prompt="grey"
    )
    assert videos.shape == (2, NUM_FRAMES, 3, 64, 64)
    for video, prompt, seed in zip(videos, prompts, seeds, strict=True):
        alone = METHODS[method].generate(
            pipe, prompt, learned, seed=seed, num_steps=2, guidance=3.0, negative_prompt="grey"
        )
        torch.testing.assert_close(video, alone, atol=1e-4, rtol=0)


@each_method
def test_an_outcome_is_one_file(method: str, pipe: Any, learned: Any, tmp_path: Path):
    path = tmp_path / "deep" / "motion.safetensors"
    learned.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["motion.safetensors"]
    again = load(path)
    assert type(again) is type(learned)
    assert is_learned(path) == isinstance(learned, Learned)
    assert again.origin == learned.origin
    assert again.num_numbers == learned.num_numbers
    assert set(again.tensors) == set(learned.tensors)
    for name, tensor in learned.tensors.items():
        assert torch.equal(again.tensors[name], tensor), name
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    if isinstance(learned, Learned):
        assert again.method == method
        for name, tensor in learned.kept.items():
            assert torch.equal(again.kept[name], tensor), name
        assert repr(again).startswith(f"Learned({method} from ")


@pytest.mark.parametrize("method", ["motion-inversion-v1", "motiondirector", "vmc"])
def test_what_was_learned_is_what_counts(method: str, pipe: Any, learned: Any):
    video = video_by(method, pipe, learned)
    other = dataclasses.replace(
        learned, tensors={name: tensor + 0.05 for name, tensor in learned.tensors.items()}
    )
    assert not torch.equal(video_by(method, pipe, other), video)


def test_another_seed_learns_something_else(pipelines: dict[str, Any]):
    for method in ("motion-inversion-v1", "vmc"):
        one, other = (
            list(learned_by(method, pipelines["animatediff"], seed=seed).tensors.values())[-1]
            for seed in (0, 1)
        )
        assert not torch.equal(one, other)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_vmc_starts_at_the_models_own_weights_and_leaves_them(form: str, pipelines: dict[str, Any]):
    pipe = pipelines["text_to_video"]
    settings = dataclasses.replace(QUICK["vmc"], form=form, inversion_steps=0, num_steps=1)
    learned = learned_by("vmc", pipe, settings=settings)
    own = dict(pipe.unet.named_parameters())
    moved = [(tensor - own[name]).abs().max().item() for name, tensor in learned.tensors.items()]
    # AdamW's first step is as long as its learning rate, and decay adds next to nothing.
    assert all(0 < far < 3 * settings.learning_rate for far in moved)
    assert learned.kept == {}


@pytest.mark.parametrize("name", ["animatediff", "text_to_video"])
def test_vmc_inverts_the_clip_with_the_tuned_weights(name: str, pipelines: dict[str, Any]):
    pipe, settings = pipelines[name], dataclasses.replace(QUICK["vmc"], learning_rate=0.05)
    learned, task = learned_by("vmc", pipe, settings=settings), task_on(pipe, settings)
    own = task.inverted_latents(settings.inversion_steps)["inverted_latents"]
    with exchanged(pipe.unet, learned.tensors):
        tuned = task.inverted_latents(settings.inversion_steps)["inverted_latents"]
    assert torch.equal(learned.kept["inverted_latents"], tuned)
    assert not torch.allclose(tuned, own, atol=1e-3)


def test_motiondirectors_spatial_layers_spare_the_temporal_ones(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    both = [
        learned_by(
            "motiondirector",
            pipe,
            settings=dataclasses.replace(
                QUICK["motiondirector"],
                dropout=0.0,
                inversion_steps=0,
                num_steps=num_steps,
                spatial_share=share,
            ),
        ).tensors
        for num_steps in (1, 2)
        for share in (0.0, 1.0)
    ]

    def alike(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
        return all(torch.equal(tensor, b[name]) for name, tensor in a.items())

    # Spatial layers begin as nothing, so the first step is the same with and without them; from
    # then on they explain the looks, and the temporal ones learn something else.
    assert alike(both[0], both[1])
    assert not alike(both[2], both[3])
    assert all(".motion_modules." in name for name in both[3])


def test_dmt_learns_no_numbers_and_keeps_the_latents_that_it_needs(pipelines: dict[str, Any]):
    learned = learned_by("dmt", pipelines["text_to_video"])
    assert learned.num_numbers == 0
    assert len(learned.kept) == 1 + QUICK["dmt"].guided_steps
    assert {tensor.shape for tensor in learned.kept.values()} == {(6, NUM_FRAMES, 8, 8)}


@pytest.mark.parametrize("change", [{"guided_steps": 0}, {"grid": 2}], ids=str)
def test_dmt_is_steered_as_its_settings_say(change: dict[str, int], pipelines: dict[str, Any]):
    pipe = pipelines["text_to_video"]
    learned = learned_by("dmt", pipe)
    origin = dataclasses.replace(learned.origin, settings={**learned.origin.settings, **change})
    changed = dataclasses.replace(learned, origin=origin)
    assert not torch.equal(video_by("dmt", pipe, changed), video_by("dmt", pipe, learned))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_models_are_learned_on(dtype: torch.dtype, untrained_weights: Path):
    from kinema.sprites import animatediff

    pipe = animatediff(weights=untrained_weights, dtype=dtype)
    for method in ("motion-inversion-v1", "motiondirector", "vmc", "dmt"):
        learned = learned_by(method, pipe)
        for tensor in learned.tensors.values():
            assert tensor.dtype == torch.float32
            # Finer than the model's own numbers, as small steps have to be.
            assert not torch.equal(tensor, tensor.to(dtype).float())
        assert video_by(method, pipe, learned).isfinite().all()


def test_a_step_in_half_precision_sees_what_the_step_before_has_learned(untrained_weights: Path):
    from kinema.sprites import animatediff

    settings = QUICK["vmc"]
    task = task_on(animatediff(weights=untrained_weights, dtype=torch.bfloat16), settings)
    layer, ones = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with learning(task, settings):
        before = layer(ones)
        with torch.no_grad():
            layer.weight.add_(1)
        torch.testing.assert_close(layer(ones), before + 4, atol=0.05, rtol=0)


def test_no_negative_prompt_is_the_pipelines_own(
    pipelines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """Latte's is "", and it takes no None in its place."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "kinema.peers.methods.generate_with_motion",
        lambda *_, **arguments: seen.append(arguments),
    )
    pipe = pipelines["animatediff"]
    motion = learned_by("kinema", pipe)
    video_by("kinema", pipe, motion)
    video_by("kinema", pipe, motion, negative_prompt="blur")
    assert "negative_prompt" not in seen[0]
    assert seen[1]["negative_prompt"] == "blur"


def test_dmt_is_steered_in_the_same_share_of_other_steps():
    settings = METHODS["dmt"].defaults.over(25)
    assert (settings.sampling_steps, settings.guided_steps) == (25, 10)
    assert settings.inner_steps == METHODS["dmt"].defaults.inner_steps
    # In fewer steps each reaches further, and one at least is steered, unless none is to be.
    assert settings.learning_rates == pytest.approx((0.014, 0.008))
    assert METHODS["dmt"].defaults.over(1).guided_steps == 1
    unsteered = dataclasses.replace(METHODS["dmt"].defaults, guided_steps=0).over(25)
    assert (unsteered.guided_steps, unsteered.learning_rates) == (0, (0.007, 0.004))


def test_every_method_is_listed_with_its_published_settings():
    assert list(METHODS) == [
        "none",
        "kinema",
        "motion-inversion",
        "motion-inversion-v1",
        "motiondirector",
        "vmc",
        "dmt",
    ]
    assert METHODS["motiondirector"].defaults.to_json() == {
        "sampling_steps": 30,
        "guidance": 12.0,
        "num_steps": 150,
        "learning_rate": 5e-4,
        "weight_decay": 0.01,
        "gradient_checkpointing": True,
        "inversion_steps": 50,
        "noise_share": 0.5,
        "rank": 32,
        "dropout": 0.1,
        "spatial_share": 0.8,
        "beta": 1.0,
    }
    v1 = METHODS["motion-inversion-v1"].defaults
    assert (v1.learning_rate, v1.num_steps) == (0.05, 200)
    vmc = METHODS["vmc"].defaults
    assert (vmc.learning_rate, vmc.num_steps, vmc.sampling_steps) == (1e-4, 400, 75)
    assert (vmc.guidance, vmc.noise_share, vmc.max_norm) == (9.0, 1.0, 1.0)
    dmt = METHODS["dmt"].defaults
    assert (dmt.sampling_steps, dmt.guided_steps, dmt.inner_steps) == (50, 20, 10)
    assert (dmt.inversion_steps, dmt.guidance, dmt.downsampling) == (999, 10.0, 4)
    assert dmt.learning_rates == (0.007, 0.004)
    assert dmt.grid == 1
    # A comparison that was begun before there was a grid goes on.
    assert "grid" not in dmt.to_json()


def test_settings_go_through_json():
    finer = dataclasses.replace(METHODS["dmt"].defaults, grid=4)
    for settings in (*(METHODS[method].defaults for method in PEERS), finer):
        assert type(settings).from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("method", "values", "sentence"),
    [
        ("motiondirector", {"rank": 0}, "rank is 0; expected 1 or more"),
        ("motiondirector", {"dropout": 1.0}, "dropout is 1.0; expected from 0"),
        ("motiondirector", {"spatial_share": 2}, "spatial_share is 2; expected a share"),
        ("motiondirector", {"learning_rate": 0}, "learning_rate is 0; expected above 0"),
        ("motiondirector", {"noise_share": -1}, "noise_share is -1; expected a share"),
        ("vmc", {"form": "abs"}, "form is 'abs'; expected one of paper, released"),
        ("vmc", {"num_steps": 0}, "num_steps is 0; expected 1 or more"),
        ("vmc", {"num_steps": "many"}, "num_steps is 'many'; expected a whole number"),
        ("vmc", {"num_steps": 1.5}, "num_steps is 1.5; expected a whole number"),
        ("vmc", {"learning_rate": None}, "learning_rate is None; expected a number"),
        ("dmt", {"guided_steps": 60}, "guided_steps is 60; expected from 0 to the 50"),
        ("dmt", {"grid": 0}, "grid is 0; expected 1 or more"),
        ("dmt", {"learning_rates": (0.1,)}, r"learning_rates is \(0.1,\); expected two rates"),
        ("dmt", {"learning_rates": 0.1}, "learning_rates is 0.1; expected two rates"),
        ("none", {"guidance": -1}, "guidance is -1; expected 0 or more"),
        ("none", {"rank": 2}, "are none of PeerSettings"),
    ],
)
def test_settings_out_of_range_are_refused(method: str, values: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        type(METHODS[method].defaults).from_json(values)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"method is 'lora'; expected one of none, kinema, mot"):
        method_named("lora")


def test_what_does_not_go_together_is_refused(pipelines: dict[str, Any], tmp_path: Path):
    pipe, other = pipelines["text_to_video"], pipelines["animatediff"]
    learned = learned_by("dmt", pipe)
    with pytest.raises(InputError, match="is of dmt and the method is vmc; give what vmc learned"):
        video_by("vmc", pipe, learned)
    with pytest.raises(InputError, match="is of dmt and the method is kinema"):
        video_by("kinema", pipe, learned)
    with pytest.raises(InputError, match="is of str and the method is none"):
        video_by("none", pipe, "a file")
    with pytest.raises(InputError, match="learned on a UNet3DConditionModel and this is a UNetMot"):
        video_by("dmt", other, learned)
    with pytest.raises(InputError, match="num_steps is 9 and the clip's latents were kept for 2"):
        video_by("dmt", pipe, learned, num_steps=9)
    with pytest.raises(InputError, match="num_steps is 0; expected 1 or more"):
        video_by("dmt", pipe, learned, num_steps=0)
    with pytest.raises(InputError, match=r"num_steps is 2\.5; expected a whole number"):
        video_by("dmt", pipe, learned, num_steps=2.5)
    with pytest.raises(InputError, match="the prompt is None; expected words for what to show"):
        METHODS["dmt"].generate(pipe, None, learned)
    with pytest.raises(InputError, match="seed is 'x'; expected a whole number"):
        learned_by("vmc", pipe, seed="x")
    with pytest.raises(InputError, match="settings of vmc are a DmtSettings; expected VmcSettings"):
        learned_by("vmc", pipe, settings=QUICK["dmt"])
    with pytest.raises(InputError, match="settings of kinema are a str; expected InversionSettin"):
        learned_by("kinema", pipe, settings="default")
    many = dataclasses.replace(QUICK["vmc"], inversion_steps=2000)
    with pytest.raises(InputError, match="inversion_steps is 2000 and this model was trained at"):
        METHODS["vmc"].check(pipe, many)  # before anything is learned
    with pytest.raises(InputError, match="seed is None; expected a whole number"):
        video_by("dmt", pipe, learned, seed=None)
    with pytest.raises(InputError, match="the prompt is ' '; expected words"):
        METHODS["vmc"].learn(pipe, moving_square(), prompt=" ")
    with pytest.raises(InputError, match="motiondirector cannot be used on a UNet3DConditionModel"):
        METHODS["motiondirector"].learn(pipe.unet, moving_square(), prompt=PROMPT)


def test_another_class_of_model_is_refused():
    from tests.motion_inversion.tiny import TINY

    latte = next(tiny for tiny in TINY if tiny.kind.startswith("Latte")).model(torch.float32)

    class LattePipeline:
        def __init__(self) -> None:
            self.components = {"transformer": latte}

    for method in PEERS:
        with pytest.raises(
            InputError,
            match=f"{method} cannot be used on a LatteTransformer3DModel; expected a pipeline "
            "around one of: UNet3DConditionModel, UNetMotionModel",
        ):
            METHODS[method].learn(LattePipeline(), moving_square(), prompt=PROMPT)


def test_files_that_are_none_are_refused(pipelines: dict[str, Any], tmp_path: Path):
    from safetensors.torch import save_file

    path = tmp_path / "peer.safetensors"
    with pytest.raises(InputError, match="there is no file"):
        Learned.load(path)
    with pytest.raises(InputError, match="there is no motion"):
        load(path)
    learned = learned_by("none", pipelines["text_to_video"])
    learned.save(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="no safetensors file, or only part of one"):
        Learned.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="without the header 'kinema_peer'"):
        Learned.load(path)
    for header, sentence in (
        ("{", "header of .* cannot be read"),
        ('{"method": "vmc", "format": 7}', "format 7; this Kinema reads format 1"),
        ('{"method": "vmc", "format": 1}', "cannot be used: the header does not say where"),
    ):
        save_file({"x": torch.zeros(1)}, path, metadata={"kinema_peer": header})
        with pytest.raises(InputError, match=sentence):
            Learned.load(path)
    with pytest.raises(InputError, match="nan holds NaN or infinity"):
        dataclasses.replace(learned, tensors={"nan": torch.tensor(float("nan"))})
    assert isinstance(learned, Learned)
    assert not isinstance(learned, Motion)
