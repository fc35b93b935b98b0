"""`kinema sprites`, run as a person runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kinema.video import probe
from tests.cli.test_bad_input import assert_one_sentence
from tests.sprites.weights import write_untrained_weights

Run = Callable[..., subprocess.CompletedProcess[str]]

RECIPE = """
stage = "autoencoder"
seed = 1
num_steps = 2
batch_size = 4
learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained_weights(tmp_path_factory.mktemp("weights"))


def test_training_by_command_leaves_weights_and_losses(kinema: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    command = ("sprites", "train", "autoencoder", "--recipe", "recipe.toml", "--runs", "runs")
    result = kinema(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs" / "autoencoder" / "export" / "vae" / "config.json").exists()
    assert len((tmp_path / "runs" / "autoencoder" / "losses.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("model", ["text-to-video", "animatediff"])
def test_sampling_by_command_writes_a_video(
    model: str, kinema: Run, weights: Path, tmp_path: Path
) -> None:
    result = kinema(
        *("sprites", "sample", "a blue star on a grey background", "-o", tmp_path / "x.mp4"),
        *("--weights", weights, "--model", model, "--steps", 1),
    )
    assert result.returncode == 0, result.stderr
    video = probe(tmp_path / "x.mp4")
    assert (video.num_frames, video.width, video.height) == (16, 64, 64)


def test_reporting_by_command_counts_videos(kinema: Run, weights: Path, tmp_path: Path) -> None:
    result = kinema(
        *("sprites", "report", "-o", tmp_path, "--weights", weights, "--steps", 1),
        *("--prompts", 2, "--seeds", 1, "--judged", 2),
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "report.json").read_text())["num_videos"] == 2
    assert "appearance" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "juggling"), ("juggling", "autoencoder")),
        (("train", "text-to-image", "--runs", "none"), ("train autoencoder",)),
        (("train", "autoencoder", "--recipe", "none.toml"), ("none.toml",)),
        (("ship", "--runs", "none", "-o", "out"), ("no finished autoencoder",)),
        (("sample", "a dog in a park", "-o", "x.mp4"), ("a dog in a park", "COLOUR SHAPE")),
        (
            ("sample", "a red star on a black background", "-o", "x.mp4", "--steps", "0"),
            ("--steps is 0",),
        ),
        (
            ("sample", "a red star on a black background", "-o", "x.png", "--weights", "none"),
            ("x.png", ".mp4"),  # before weights are looked for, and long before a video is made
        ),
        (("report", "-o", "out", "--prompts", "0"), ("--prompts is 0",)),
        (("report", "-o", "out", "--guidance", "nan"), ("--guidance is nan", "finite")),
        (("report", "-o", "out", "--device", "tpu"), ("'tpu'", "cpu or cuda")),
        (("report", "-o", "out", "--weights", "none"), ("no weights",)),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], words: tuple[str, ...], kinema: Run, tmp_path: Path
) -> None:
    assert_one_sentence(kinema("sprites", *arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []
