"""`kinema finetune` and `kinema evaluate`, run as a person runs them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinema.recognition import finetune
from tests.cli.test_bad_input import assert_one_sentence
from tests.recognition.tiny import CONVOLUTIONAL, TRANSFORMER, write_clips, write_recipe

Run = Callable[..., subprocess.CompletedProcess[str]]

VIDEOS = replace(TRANSFORMER, dataset="folder", dataset_arguments={}, num_epochs=1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"), num_train=2, num_test=1)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on sprites."""
    folder = tmp_path_factory.mktemp("done") / "run"
    finetune(replace(TRANSFORMER, num_epochs=1), folder, device="cpu")
    return folder


def test_finetune_then_evaluate_then_compare(kinema: Run, clips: Path, tmp_path: Path) -> None:
    recipe = write_recipe(replace(VIDEOS, batch_size=2), tmp_path / "recipe.toml")
    common = ("--data", clips, "--device", "cpu")
    for name, front_end in (("prompt", "motion-prompt"), ("plain", "frames")):
        setting = ("--set", f"front_end={front_end}", "--set", "epochs_between_tests=1")
        result = kinema("finetune", recipe, *setting, *common, "-o", tmp_path / name)
        assert result.returncode == 0, result.stderr
        assert "3 steps on 6 clips" in result.stdout
        assert ("prompt a" in result.stdout) == (name == "prompt")
        assert (tmp_path / name / "backbone.safetensors").exists()
        assert (tmp_path / name / "prompt.safetensors").exists() == (name == "prompt")
    result = kinema(
        *("evaluate", tmp_path / "prompt", "--device", "cpu", "--views", 2, "--crops", 3),
        *("--compare", tmp_path / "plain", "-o", tmp_path / "out"),
    )
    assert result.returncode == 0, result.stderr
    assert "3 clips in 2 views of 3 crops: top-1" in result.stdout
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        *("class_difference.png", "comparison.json", "confusion.png", "evaluation.json"),
        *("predictions.jsonl", "weight_similarity.png"),
    ]
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written["runs"] == [str(tmp_path / "prompt"), str(tmp_path / "plain")]


def nowhere(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    recipe = write_recipe(VIDEOS, folder / "r.toml")
    return ["finetune", recipe, "--data", folder / "nowhere"], ("nowhere", "not a folder")


def no_root(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["finetune", "x3d-hmdb51"], ("hmdb51", "--data")


def no_split_file(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["finetune", "x3d-hmdb51", "--data", folder], ("split", "test_train_splits.rar")


def empty_class(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    write_clips(folder, num_train=1, num_test=1)
    (folder / "train" / "up" / "0.mp4").unlink()
    recipe = write_recipe(VIDEOS, folder / "r.toml")
    return ["finetune", recipe, "--data", folder], ("'up'", "no clips")


def other_weights(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    save_file({"blocks.0.weight": torch.zeros(2)}, folder / "other.safetensors")
    start = f"start={folder / 'other.safetensors'}"
    recipe = write_recipe(TRANSFORMER, folder / "r.toml")
    return ["finetune", recipe, "--set", start], ("timesformer.embeddings", "is missing there")


def too_few_frames(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    recipe = write_recipe(replace(TRANSFORMER, backbone_sizes={}), folder / "r.toml")
    settings = ("--set", "backbone=slowfast_r50", "--set", "num_frames=3")
    return ["finetune", recipe, *settings], ("num_frames is 3", "multiple of")


def one_clip_for_batch_norm(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    recipe = write_recipe(replace(CONVOLUTIONAL, batch_size=1), folder / "r.toml")
    return ["finetune", recipe], ("batch_size is 1", "batch norm")


def no_gpu(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    return ["finetune", "sprites-x3d", "--device", "cuda"], ("no GPU", "use cpu")


def unknown_recipe(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["finetune", "sprites"], ("no recipe sprites", "sprites-x3d")


def unknown_dataset_argument(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    setting = ("--set", "dataset_arguments.colour=red")
    return ["finetune", "sprites-x3d", *setting], ("colour", "sprites_actions")


def taken_dataset_argument(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    setting = ("--set", "dataset_arguments.seed=3")
    return ["finetune", "sprites-x3d", *setting], ("seed", "sprites_actions")


def words_for_a_number(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    setting = ("--set", "dataset_arguments.num_clips=many")
    return ["finetune", "sprites-x3d", *setting], ("num_clips is many", "whole number")


def a_word_for_classes(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["finetune", "sprites-x3d", "--set", "dataset_arguments.classes=5"], ("classes is 5",)


def half_a_clip(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    setting = ("--set", "dataset_arguments.num_clips=24.5")
    return ["finetune", "sprites-x3d", *setting], ("num_clips is 24.5", "whole number")


def views_of_what_is_rendered(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["finetune", "sprites-x3d", "--set", "num_views=5"], ("num_views is 5", "rendered")


def batch_above_all(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    recipe = write_recipe(replace(TRANSFORMER, accumulation=9), folder / "r.toml")
    return ["finetune", recipe], ("36 clips", "there are 24")


def evaluating_no_run(folder: Path) -> tuple[list[object], tuple[str, ...]]:
    return ["evaluate", folder], ("holds no run",)


@pytest.mark.parametrize(
    "make",
    [
        nowhere,
        no_root,
        no_split_file,
        empty_class,
        other_weights,
        too_few_frames,
        one_clip_for_batch_norm,
        no_gpu,
        unknown_recipe,
        unknown_dataset_argument,
        taken_dataset_argument,
        words_for_a_number,
        a_word_for_classes,
        half_a_clip,
        views_of_what_is_rendered,
        batch_above_all,
        evaluating_no_run,
    ],
    ids=lambda make: make.__name__,
)
def test_what_cannot_be(
    make: Callable[[Path], tuple[list[object], tuple[str, ...]]], kinema: Run, tmp_path: Path
) -> None:
    arguments, words = make(tmp_path)
    assert_one_sentence(kinema(*arguments, "-o", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_a_run_does_not_go_on_with_another_recipe(kinema: Run, done: Path, tmp_path: Path) -> None:
    recipe = write_recipe(replace(TRANSFORMER, num_epochs=1, weight_decay=0.5), tmp_path / "r.toml")
    before = (done / "run.json").read_text()
    result = kinema("finetune", recipe, "-o", done, "--resume", "--device", "cpu")
    assert_one_sentence(result, "another recipe", "weight_decay 0.0001, now 0.5")
    assert (done / "run.json").read_text() == before


def test_a_run_is_not_overwritten(kinema: Run, done: Path) -> None:
    result = kinema("finetune", "sprites-x3d", "-o", done, "--device", "cpu")
    assert_one_sentence(result, "holds a run", "--resume")


def test_a_damaged_checkpoint(kinema: Run, done: Path, tmp_path: Path) -> None:
    recipe = write_recipe(replace(TRANSFORMER, num_epochs=1), tmp_path / "r.toml")
    content = (done / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(content[: len(content) // 2])
    result = kinema("finetune", recipe, "-o", tmp_path, "--resume", "--device", "cpu")
    assert_one_sentence(result, "checkpoint.safetensors", "remove it")


def test_what_cannot_be_compared_is_known_before_it_is_scored(
    kinema: Run, done: Path, tmp_path: Path
) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(done, unfinished)
    (unfinished / "backbone.safetensors").unlink()
    result = kinema("evaluate", done, "--compare", unfinished, "-o", tmp_path / "out")
    assert_one_sentence(result, "no finished run", "--resume")
    (tmp_path / "taken").write_text("a file")
    result = kinema("evaluate", done, "-o", tmp_path / "taken")
    assert_one_sentence(result, "taken is not a folder")
    assert not (tmp_path / "out").exists()


def test_a_comparison_with_no_run(kinema: Run, done: Path, tmp_path: Path) -> None:
    result = kinema("evaluate", done, "--compare", tmp_path / "none", "-o", tmp_path / "out")
    assert_one_sentence(result, "none", "another run")
