"""Training of every stage in small: losses fall, and a run that is interrupted goes on the same."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from kinema.errors import InputError
from kinema.sprites import MOTIONS, animatediff, made_with, text_to_video
from kinema.sprites.scenes import WANDERS
from kinema.sprites.tokenizer import build_tokenizer
from kinema.sprites.training import STAGES, Recipe, image_stages, loop, new_stage, preview, train
from kinema.sprites.training.exports import load_export, load_start
from kinema.sprites.training.image_stages import unexplained_share
from kinema.sprites.training.latents import latent_pool
from kinema.sprites.training.loop import CHECKPOINT, LOSSES, _moving_average, learning_rate
from kinema.sprites.training.motion_words import distances_of_motions
from kinema.sprites.training.ship import ship

RECIPE = Recipe(
    stage="autoencoder",
    seed=3,
    num_steps=4,
    batch_size=4,
    learning_rate=1e-3,
    num_warmup_steps=2,
    num_videos=6,
    precision="fp32",
    # Pictures, which take long, have a test of their own.
    steps_between_checkpoints=100,
)


class Killed:
    """A stage in which the process gets SIGTERM in a step, counted from 0."""

    def __init__(self, stage, *, in_step: int) -> None:
        self.stage, self.in_step, self.trained = stage, in_step, stage.trained
        self.sample, self.export, self.rates = stage.sample, stage.export, stage.rates

    def loss(self, step: int) -> torch.Tensor:
        if step == self.in_step:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.stage.loss(step)


def losses(folder: Path) -> list[float]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage, trained for four steps."""
    folder = tmp_path_factory.mktemp("runs")
    for name in STAGES:
        recipe = replace(RECIPE, stage=name)
        assert train(new_stage(recipe, folder), recipe, folder / name) == 4
    return folder


@pytest.mark.parametrize("name", STAGES)
def test_an_interrupted_run_goes_on_to_the_same_losses_and_weights(
    name: str, runs: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stage=name)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(new_stage(recipe, runs), in_step=2), recipe, tmp_path)
    assert len(losses(tmp_path)) == 3
    assert not (tmp_path / "export").exists()

    # What a later kill may leave: lines of steps after the checkpoint.
    with (tmp_path / "losses.jsonl").open("a") as log:
        log.write('{"step": 4, "loss": 99.0}\n')
    train(new_stage(recipe, runs), recipe, tmp_path)
    assert losses(tmp_path) == losses(runs / name)
    for file in (runs / name / "export").rglob("*.safetensors"):
        again = tmp_path / "export" / file.relative_to(runs / name / "export")
        assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_makes_pictures_to_look_at(
    name: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "SAMPLE_CAPTIONS", preview.SAMPLE_CAPTIONS[:1])
    monkeypatch.setattr(preview, "NUM_STEPS", 2)
    stage = new_stage(replace(RECIPE, stage=name), runs)
    before = stage.trained.training
    stage.sample(stage.trained, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        # Frames, but for the stage that makes none: how far apart captions of any two motions are.
        side = len(MOTIONS) if name == "motion-words" else 64
        assert picture.size[0] % side == picture.size[1] % side == 0
    assert stage.trained.training == before


def test_a_finished_set_of_stages_ships_as_pipelines(runs: Path, tmp_path: Path) -> None:
    ship(runs, tmp_path / "weights")
    made = ship(runs, tmp_path / "weights")
    assert made == made_with(tmp_path / "weights")
    assert made["stages"]["autoencoder"]["recipe"]["seed"] == 3
    assert made["stages"]["text-to-video"]["steps"] == 4
    for make in (text_to_video, animatediff):
        pipeline = make(weights=tmp_path / "weights")
        pipeline.set_progress_bar_config(disable=True)
        frames = pipeline("a star", num_frames=2, num_inference_steps=1, output_type="pt").frames
        assert torch.isfinite(frames).all()


TEMPORAL = [
    ("text-to-video", r"\.(temp_convs|temp_attentions|transformer_in)\."),
    ("animatediff", r"\.motion_modules\."),
]


def learns_fully(name: str, temporal: str) -> bool:
    # In a temporal block attn2 is temporal too; elsewhere it reads the text.
    return bool(re.search(temporal, name)) or ".attn2." in name


@pytest.mark.parametrize(("name", "temporal"), TEMPORAL)
def test_only_temporal_layers_and_cross_attention_of_the_video_models_learn(
    name: str, temporal: str, runs: Path
) -> None:
    stage = new_stage(replace(RECIPE, stage=name), runs)
    for parameter_name, parameter in stage.trained.named_parameters():
        assert parameter.requires_grad == learns_fully(parameter_name, temporal), parameter_name


@pytest.mark.parametrize(("name", "temporal"), TEMPORAL)
def test_image_layers_of_the_video_models_learn_at_their_share_of_the_rate(
    name: str, temporal: str, runs: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stage=name, spatial_rate=0.25, num_steps=1, weight_decay=0.0)
    stage = new_stage(recipe, runs)
    before = {key: value.clone() for key, value in stage.trained.named_parameters()}
    train(stage, recipe, tmp_path)
    rate = learning_rate(recipe, 0)
    for key, value in stage.trained.named_parameters():
        # AdamW's first step has the size of the rate wherever there is a gradient to speak of.
        moved = (value - before[key]).abs().max().item()
        share = 1.0 if learns_fully(key, temporal) else 0.25
        assert moved <= rate * share * 1.001, key
        if key.endswith(("resnets.0.conv1.weight", "conv_out.weight")):
            assert moved > rate * share * 0.9, key


@pytest.mark.parametrize("name", [name for name, _ in TEMPORAL])
def test_a_video_stage_goes_on_from_weights(name: str, runs: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    before = ship(runs, weights)
    recipe = replace(RECIPE, stage=name, start=str(weights))
    parts = ("unet3d",) if name == "text-to-video" else ("motion_adapter", "unet")
    # The weights are meant also where there is an image model trained apart.
    image_model = tmp_path / "image-model" / "text-to-image"
    shutil.copytree(runs / "text-to-image", image_model)
    for folder in (tmp_path / "no-runs", image_model.parent):
        stage = new_stage(recipe, folder)
        own = stage.trained["unet"].state_dict()
        for part in parts:
            shipped = load_file(weights / part / "diffusion_pytorch_model.safetensors")
            assert all(torch.equal(own[key], shipped[key].float()) for key in shipped)

    train(stage, recipe, tmp_path / "runs" / name)
    made = ship(tmp_path / "runs", weights)
    # Only this stage's weights were replaced; what made the others is still said.
    assert made["stages"][name]["recipe"]["start"] == str(weights)
    assert set(made["stages"]) == set(STAGES)
    assert made["stages"]["autoencoder"] == before["stages"]["autoencoder"]
    assert str(tmp_path) not in (weights / part / "config.json").read_text()
    after = load_file(weights / part / "diffusion_pytorch_model.safetensors")
    assert any(not torch.equal(after[key], shipped[key]) for key in shipped)


@pytest.mark.parametrize("goes_on", [False, True])
def test_text_to_video_takes_its_image_layers_from_animatediff(
    goes_on: bool, runs: Path, tmp_path: Path
) -> None:
    for name in ("autoencoder", "motion-words", "animatediff"):
        shutil.copytree(runs / name / "export", tmp_path / "runs" / name / "export")
    file = tmp_path / "runs/animatediff/export/unet/diffusion_pytorch_model.safetensors"
    changed = {key: value + 0.5 for key, value in load_file(file).items()}
    save_file(changed, file)
    weights = ""
    if goes_on:
        ship(runs, tmp_path / "weights")
        weights = str(tmp_path / "weights")
    stage = new_stage(replace(RECIPE, stage="text-to-video", start=weights), tmp_path / "runs")
    own = stage.trained["unet"].state_dict()
    assert all(torch.equal(own[key], changed[key].float()) for key in changed)


def test_the_autoencoder_learns() -> None:
    recipe = replace(RECIPE, batch_size=8, learning_rate=2e-3)
    stage = new_stage(recipe, Path("unused"))
    optimizer = torch.optim.AdamW(stage.trained.parameters(), lr=2e-3)
    seen = []
    for _ in range(25):
        loss = stage.loss(0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < 0.5 * seen[0]


def test_an_autoencoder_goes_on_from_weights_and_learns_what_it_is_told_to() -> None:
    recipe = replace(RECIPE, start="kinema", batch_size=16, emphasis=("green",) * 94)
    stage = new_stage(recipe, Path("unused"))
    shipped = load_start(recipe, "vae").state_dict()
    assert all(
        torch.equal(value, shipped[name]) for name, value in stage.trained.state_dict().items()
    )
    assert all(value.requires_grad for value in stage.trained.parameters())

    frames, disc = stage._frames(16, seed=5)
    # A green sprite within every disc, on backgrounds none of which is as green.
    excess = (frames[:, 1] - torch.maximum(frames[:, 0], frames[:, 2])) / 2
    assert disc.shape == (16, 1, 64, 64)
    assert ((excess > 0.4) & (disc[:, 0] == 1)).flatten(1).any(dim=1).sum() >= 14
    calm = excess[:12] > 0.4  # the last quarter is cluttered
    assert not (calm & (disc[:12, 0] == 0)).any()


def test_the_autoencoder_is_told_how_much_of_each_sprite_it_misses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = new_stage(replace(RECIPE, start="kinema"), Path("unused"))
    seen = []
    for weight in (0.0, 0.05, 0.1):
        monkeypatch.setattr(image_stages, "_SPRITE_WEIGHT", weight)
        torch.manual_seed(0)
        seen.append(stage.loss(0).item())
    none, once, twice = seen
    assert once > none
    assert twice - once == pytest.approx(once - none, rel=1e-3)


def test_every_sprite_counts_the_same_whatever_its_size_and_contrast() -> None:
    generator = torch.Generator().manual_seed(0)
    frames, noise = torch.rand(2, 2, 3, 16, 16, generator=generator)
    disc = torch.zeros(2, 1, 16, 16)
    disc[0, :, 2:14, 2:14] = disc[1, :, 6:10, 6:10] = 1
    inside = frames.double() * disc
    num_pixels = disc.sum(dim=(2, 3), keepdim=True).double()
    mean = inside.sum(dim=(2, 3), keepdim=True) / num_pixels

    def share(rebuilt: torch.Tensor, truth: torch.Tensor) -> float:
        return unexplained_share(rebuilt, truth, disc).item()

    assert share(frames, frames) == 0
    assert share(frames + noise * (1 - disc), frames) == 0
    assert share(mean.float().expand_as(frames), frames) == pytest.approx(1, abs=0.01)
    faint = mean + 0.5 * (frames - mean)
    assert share(mean + 0.5 * (noise - mean), faint) == pytest.approx(
        share(noise, frames), rel=0.02
    )
    truth = ((noise.double() - frames).square() * disc).sum(dim=(1, 2, 3)) / (
        ((frames - mean).square() * disc).sum(dim=(1, 2, 3)) + 1e-3 * num_pixels.flatten()
    )
    assert share(noise, frames) == pytest.approx(truth.mean().item(), rel=1e-5)
    assert share(frames.flip(-1), torch.zeros_like(frames)) > 1  # nothing to explain: still finite


def test_another_recipe_does_not_go_on_from_a_checkpoint(runs: Path) -> None:
    recipe = replace(RECIPE, learning_rate=5e-4)
    with pytest.raises(InputError, match="another recipe"):
        train(new_stage(recipe, runs), recipe, runs / "autoencoder")


def test_a_stage_names_the_stage_that_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train autoencoder"):
        new_stage(replace(RECIPE, stage="text-to-image"), tmp_path)
    with pytest.raises(InputError, match="no finished autoencoder"):
        ship(tmp_path, tmp_path / "weights")


def test_latents_are_made_again_for_another_seed_but_not_for_the_same(
    runs: Path, tmp_path: Path
) -> None:
    autoencoder = new_stage(replace(RECIPE, stage="text-to-image"), runs).autoencoder
    first = latent_pool(autoencoder, tmp_path, num_videos=2, seed=0)
    (shard,) = tmp_path.rglob("*.safetensors")
    before = shard.stat().st_mtime_ns
    again = latent_pool(autoencoder, tmp_path, num_videos=2, seed=0)
    assert shard.stat().st_mtime_ns == before
    assert torch.equal(first.latents[0], again.latents[0])
    start = shard.read_bytes()[:100]
    shard.unlink()  # not in its place: the pools before are mapped from it
    shard.write_bytes(start)
    again = latent_pool(autoencoder, tmp_path, num_videos=2, seed=0)
    assert torch.equal(first.latents[0], again.latents[0])
    before = shard.stat().st_mtime_ns
    other = latent_pool(autoencoder, tmp_path, num_videos=2, seed=1)
    assert not torch.equal(first.latents[0], other.latents[0])
    # The first seed's are still there: two runs side by side do not undo each other's work.
    assert shard.stat().st_mtime_ns == before


def test_a_pool_may_draw_words_more_often_and_begin_its_circles_in_one_place(
    runs: Path, tmp_path: Path
) -> None:
    autoencoder = new_stage(replace(RECIPE, stage="text-to-image"), runs).autoencoder
    pool = partial(latent_pool, autoencoder, tmp_path, num_videos=96, seed=0)
    plain = pool()
    chosen = pool(emphasis=(*["circle-clockwise"] * 4, "cross"), phase_spread=0.125)
    for kind, word, least in (("motion", "circle-clockwise", 2.5), ("shape", "cross", 1.3)):
        before, after = (
            sum(getattr(said, kind) == word for said in drawn.scenes[0].descriptions())
            for drawn in (plain, chosen)
        )
        assert after > least * before > 0
    assert chosen.scenes[0].phase.max() <= 0.125 < 0.9 < plain.scenes[0].phase.max()
    assert not torch.equal(chosen.latents[0], plain.latents[0])
    wandering = pool(wander_share=0.5)
    assert 0.3 < (wandering.scenes[0].motion == WANDERS).float().mean() < 0.7
    pool(wander_share=1.0)
    # Each has a folder of its own, so that none is made again for another's sake.
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4


def test_an_export_that_was_killed_is_made_again_and_does_not_pass_for_one(
    runs: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stage="autoencoder")
    stage = new_stage(recipe, tmp_path)

    def killed(averaged: torch.nn.Module, folder: Path) -> None:
        (folder / "vae").mkdir()
        (folder / "vae" / "config.json").write_text("{")
        raise KeyboardInterrupt

    export, stage.export = stage.export, killed
    with pytest.raises(KeyboardInterrupt):
        train(stage, recipe, tmp_path / "autoencoder")
    assert not (tmp_path / "autoencoder" / "export").exists()
    # The same where there is no time left to clear up.
    (tmp_path / "autoencoder" / "export" / ".kinema-left" / "vae").mkdir(parents=True)
    with pytest.raises(InputError, match="no finished autoencoder"):
        ship(tmp_path, tmp_path / "out")
    stage.export = export
    for _ in range(2):  # over an earlier one too
        assert train(stage, recipe, tmp_path / "autoencoder") == 4
        assert load_export(tmp_path, "autoencoder", "vae")


def test_a_damaged_export_is_one_sentence(tmp_path: Path) -> None:
    vae = tmp_path / "autoencoder" / "export" / "vae"
    vae.mkdir(parents=True)
    (vae / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"vae cannot be loaded \(.*train that part again"):
        load_export(tmp_path, "autoencoder", "vae")


@pytest.mark.parametrize("damaged", [CHECKPOINT, LOSSES])
def test_a_damaged_run_is_not_shipped(runs: Path, tmp_path: Path, damaged: str) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    file = tmp_path / "runs" / "autoencoder" / damaged
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:20])
    with pytest.raises(InputError, match=r"autoencoder is damaged \(.*train that part again"):
        ship(tmp_path / "runs", tmp_path / "out")


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    recipe = replace(RECIPE, stage="autoencoder")
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not what it should be")
    with pytest.raises(InputError, match=r"checkpoint.safetensors is damaged \(.*remove it"):
        train(new_stage(recipe, tmp_path), recipe, tmp_path)


def test_a_pool_has_videos_of_each_length_in_shards_of_their_own(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    autoencoder = new_stage(replace(RECIPE, stage="text-to-image"), runs).autoencoder
    small = latent_pool(autoencoder, tmp_path / "small", num_videos=5, seed=0, num_frames=(16, 12))
    assert [tuple(latents.shape[:2]) for latents in small.latents] == [(3, 16), (2, 12)]
    monkeypatch.setattr("kinema.sprites.training.latents.VIDEOS_PER_SHARD", 2)
    pool = partial(latent_pool, autoencoder, tmp_path / "pool", num_videos=7, seed=0)
    lengths = [latents.shape[1] for latents in pool(num_frames=(16, 12, 24)).latents]
    assert lengths == [16, 12, 24, 16]
    # The first shard is the same as without other lengths, but in a folder of its own.
    assert [latents.shape[1] for latents in pool().latents] == [16] * 4
    assert len(list((tmp_path / "pool").rglob("*.safetensors"))) == 8


@pytest.mark.parametrize("kind", ["animatediff", "text-to-video"])
def test_a_video_stage_learns_from_videos_of_other_lengths(runs: Path, kind: str) -> None:
    stage = new_stage(replace(RECIPE, stage=kind, num_frames=(24,)), runs)
    video, _ = stage.videos(0)
    assert video.shape[2] == 24
    loss = stage.loss(0)
    loss.backward()
    assert loss.isfinite()


def test_a_stage_learns_from_the_pool_that_its_recipe_describes(runs: Path) -> None:
    recipe = replace(
        RECIPE,
        stage="text-to-image",
        emphasis=("cross",) * 94,
        phase_spread=0.125,
        wander_share=1.0,
    )
    (scenes,) = new_stage(recipe, runs).pool.scenes
    assert scenes.phase.max() <= 0.125
    assert (scenes.motion == WANDERS).all()
    # 95 of 100 shapes are crosses.
    assert sum(said.shape == "cross" for said in scenes.descriptions()) > len(scenes) / 2


def test_the_average_forgets_the_untrained_weights() -> None:
    update = _moving_average(0.999)
    average = [torch.tensor([1.0])]
    for count in range(300):
        update(average, [torch.tensor([0.0])], count)
    # A decay of 0.999 from the start would leave 0.74.
    assert average[0].item() < 1e-3
    average = [torch.tensor([1.0])]
    update(average, [torch.tensor([0.0])], 10**6)
    assert average[0].item() == pytest.approx(0.999)


def test_the_text_encoder_gets_the_words_of_motion_back_and_keeps_the_rest(
    runs: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, stage="motion-words", num_steps=150, batch_size=16, learning_rate=3e-3)
    recipe = replace(recipe, motion_share=0.7, ema_decay=0.9)
    stage = new_stage(recipe, runs)
    # An encoder that has forgotten them: the words are one word to it.
    words = stage.codes.isfinite().all(dim=1).nonzero()[:, 0]
    assert len(words) == 17
    for encoder in (stage.before, stage.trained):
        table = encoder.get_input_embeddings().weight.data
        table[words] = table[words[0]].clone()
    forgotten = distances_of_motions(stage.before)
    before = hidden_states(stage.before)
    train(stage, recipe, tmp_path)
    after = load_export(tmp_path.parent, tmp_path.name, "text_encoder")
    learned = distances_of_motions(after)
    left, right = (list(MOTIONS).index(name) for name in ("left", "right"))
    assert forgotten[0, left, right] == 0
    assert learned[0, left, right] > 2
    # Where the text has ended, what sums it up tells the motion too.
    ends = [
        hidden_states(after, f"a blue ring on a navy background, {said}")[-1]
        for said in ("moving left", "moving right")
    ]
    assert (ends[0] - ends[1]).norm() > 2
    assert (hidden_states(after) - before).square().mean() < 0.02 * before.var()


def hidden_states(
    encoder: torch.nn.Module, caption: str = "a large blue ring on a navy background"
) -> torch.Tensor:
    """Of a caption, (20, 96)."""
    tokens = build_tokenizer()(caption, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        return encoder(tokens.input_ids).last_hidden_state[0]


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = replace(RECIPE, num_steps=100, num_warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == 1.0
    assert rates[100] == pytest.approx(0.0)
    assert rates[55] == pytest.approx(0.5)


def test_the_learning_rate_stays_level_until_its_fall() -> None:
    recipe = replace(
        RECIPE, num_steps=100, num_warmup_steps=10, num_decay_steps=20, learning_rate=1.0
    )
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[10:81]) == {1.0}
    assert rates[90] == pytest.approx(0.5)
    assert rates[100] == 0.0


def test_a_run_made_longer_is_the_long_run(runs: Path, tmp_path: Path) -> None:
    quick = replace(RECIPE, stage="text-to-image")
    long = replace(quick, num_steps=4, num_decay_steps=2, num_warmup_steps=1)
    short = replace(long, num_steps=3, num_decay_steps=1)
    train(new_stage(long, runs), long, tmp_path / "long")
    # The short run is stopped where its learning rate is still level, and made the long one.
    with pytest.raises(KeyboardInterrupt):
        train(Killed(new_stage(short, runs), in_step=1), short, tmp_path / "short")
    train(new_stage(long, runs), long, tmp_path / "short")
    first, second = (
        load_file(tmp_path / name / "checkpoint.safetensors") for name in ("long", "short")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_whose_learning_rate_fell_is_not_made_longer(runs: Path, tmp_path: Path) -> None:
    quick = replace(RECIPE, stage="text-to-image")
    short = replace(quick, num_steps=3, num_decay_steps=1, num_warmup_steps=1)
    train(new_stage(short, runs), short, tmp_path / "short")
    long = replace(short, num_steps=4)
    with pytest.raises(InputError, match="another recipe"):
        train(new_stage(long, runs), long, tmp_path / "short")


def test_a_shift_moves_noise_levels_towards_noise(runs: Path) -> None:
    def mean_level(shift: float) -> float:
        stage = new_stage(replace(RECIPE, stage="text-to-image", timestep_shift=shift), runs)
        _, _, timesteps = stage.noised(torch.zeros(4096, 1, 1, 1), step=0)
        return timesteps.double().mean().item() / 1000

    # The mean of s t / (1 + (s - 1) t) over t in [0, 1] is s / (s - 1) - s ln s / (s - 1)^2.
    assert mean_level(1.0) == pytest.approx(0.5, abs=2e-3)
    assert mean_level(3.0) == pytest.approx(1.5 - 0.75 * math.log(3), abs=2e-3)


def test_the_highest_draw_is_a_noise_level_too(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = new_stage(replace(RECIPE, stage="text-to-image"), runs)
    monkeypatch.setattr(torch, "rand", lambda count: torch.full((count,), 1 - 2**-24))
    _, _, timesteps = stage.noised(torch.zeros(32, 1, 1, 1), step=0)
    assert timesteps.max() == 999


def test_noise_levels_come_back_while_the_learning_rate_falls() -> None:
    recipe = replace(
        RECIPE, num_steps=30, num_decay_steps=10, timestep_shift=16.0, last_timestep_shift=1.0
    )
    shifts = [recipe.timestep_shift_at(step) for step in (0, 20, 25, 30)]
    assert shifts == pytest.approx([16.0, 16.0, 4.0, 1.0])
    assert replace(recipe, last_timestep_shift=0.0).timestep_shift_at(30) == 16.0


def test_clock_steps_teach_the_temporal_convolutions_which_frame_is_which(
    runs: Path, tmp_path: Path
) -> None:
    recipe = replace(
        RECIPE,
        stage="text-to-video",
        batch_size=2,
        num_steps=24,
        num_clock_steps=24,
        num_warmup_steps=3,
        learning_rate=3e-3,
        beta2=0.99,
        precision="bf16",
    )
    stage = new_stage(recipe, runs)
    before = {name: p.clone() for name, p in stage.trained.named_parameters()}
    train(stage, recipe, tmp_path)
    moved = {
        name for name, p in stage.trained.named_parameters() if not torch.equal(p, before[name])
    }
    assert moved
    assert all("temp_convs" in name for name in moved)
    course = losses(tmp_path)
    assert course[0] == pytest.approx(8, abs=0.2)
    assert course[-1] < 6


def test_a_motion_adapter_gets_a_new_clock_down_to_the_middle(runs: Path) -> None:
    recipe = replace(RECIPE, stage="animatediff", start="kinema", new_clock=True)
    told, plain = new_stage(recipe, runs), new_stage(replace(recipe, new_clock=False), runs)
    ours = dict(told.trained.named_parameters())
    other = {
        name
        for name, parameter in plain.trained.named_parameters()
        if not torch.equal(parameter, ours[name])
    }
    assert other
    assert all(".motion_modules." in name and ".up_blocks." not in name for name in other)


def test_settings_of_the_clock_are_for_the_stages_that_have_one() -> None:
    with pytest.raises(InputError, match="only text-to-video has clock steps"):
        replace(RECIPE, stage="animatediff", num_clock_steps=3)
    with pytest.raises(InputError, match="the clock is set on 16 frames"):
        replace(RECIPE, stage="text-to-video", num_clock_steps=3, num_frames=(16, 12))
    with pytest.raises(InputError, match="only animatediff that starts from weights"):
        replace(RECIPE, stage="animatediff", new_clock=True)


def test_a_checkpoint_of_unknown_settings_is_refused(runs: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, stage="text-to-image", num_steps=1)
    train(new_stage(recipe, runs), recipe, tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    of_another_version = json.dumps({"stage": "text-to-image", "colour": "blue"})
    save_file(load_file(path), path, {"step": "1", "recipe": of_another_version})
    with pytest.raises(InputError, match="another recipe"):
        train(new_stage(recipe, runs), recipe, tmp_path)


def copy_in_checkout(folder: Path, *, tracked: bool) -> Path:
    """Put a file where Kinema's would be into a checkout of its own, committed or not."""
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    source = folder / "site-packages" / "loop.py"
    source.parent.mkdir(parents=True)
    source.touch()
    (folder / "theirs.py").touch()
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", str(source) if tracked else "theirs.py"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "theirs"], check=True)
    return source


def test_the_commit_is_of_the_tree_that_knows_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "__file__", str(copy_in_checkout(tmp_path / "a", tracked=True)))
    assert re.fullmatch("[0-9a-f]{40}", loop.commit_of_tree() or "")
    monkeypatch.setattr(loop, "__file__", str(copy_in_checkout(tmp_path / "b", tracked=False)))
    assert loop.commit_of_tree() is None


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert loop.commit_of_tree() is None
