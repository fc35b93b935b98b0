"""Options that cannot be used are refused in one sentence before anything is loaded or written."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kinema.cli import compare, main
from kinema.measure import ClipEmbedder

PROMPT = "a red star on a grey background"
LONG = "9" * 23


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["generate", PROMPT, "--seed", LONG], ("--seed is 999", "from 0 to")),
        (["generate", PROMPT, "--seed", str(2**64 - 1), "--seeds", "2"], ("--seed is 1844",)),
        (["generate", PROMPT, "--frames", "0"], ("--frames is 0",)),
        (["generate", PROMPT, "--size", "wide"], ("--size is 'wide'", "such as 320x576")),
        (["invert", "x.mp4", "--prompt", PROMPT, "--size", "0x64"], ("--size is '0x64'",)),
        (
            ["invert", "x.mp4", "--prompt", PROMPT, "--method", "vmc", "--size", "64"],
            ("--size is '64'",),
        ),
        (["generate", PROMPT, "--value", "bogus"], ("--value is for motions", "--motion")),
        (["generate", PROMPT, "--window", "0", "0.5"], ("--window is for motions",)),
        (["generate", PROMPT, "--value-strength", "2"], ("--value-strength is for motions",)),
        (["generate", PROMPT, "--noise-share", "0.9"], ("--noise-share is for motions",)),
        (
            ["generate", PROMPT, "--motion", "x", "--noise-share", "0.9"],
            ("--noise-share is of --noise blend",),
        ),
        (["generate", PROMPT, "--noise", "blend"], ("--noise is for motions",)),
        (
            ["generate", PROMPT, "--value", "none", "--value-strength", "3", "--motion", "x"],
            ("--value none leaves",),
        ),
        (["compare", "--sprites", "1", "--prompts", "9", "--prompt", PROMPT], ("--prompts is 9",)),
        (["compare", "--sprites", "1", "--frames", "8"], ("truth of sprites", "by tracks")),
        (["compare", "--sprites", "1", "--size", "wide"], ("--size is 'wide'",)),
        (["generate", PROMPT, "--steps", "2000"], ("--steps is 2000", "1000 or fewer")),
        (["invert", "x.mp4", "--prompt", PROMPT, "--frames", "0"], ("--frames is 0",)),
        (["invert", "x.mp4", "--prompt", PROMPT, "--seed", LONG], ("--seed is 999",)),
        (["compare", "--sprites", "1", "--clip-model", "x"], ("--clip-model x", "--sprites")),
        (["compare", "--sprites", "1", "--steps", "0"], ("num_steps is 0",)),
        (["compare", "--sprites", "1", "--steps", "1001"], ("--steps is 1001", "1000 or fewer")),
        (["sprites", "sample", PROMPT, "--seed", LONG], ("--seed is 999",)),
        (["sprites", "sample", PROMPT, "--steps", "5000"], ("--steps is 5000",)),
        (["sprites", "report", "--steps", "5000"], ("--steps is 5000",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_be_used(
    command: list[str], words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = "mp4" if "sample" in command else "safetensors"
    assert main([*command, "-o", str(tmp_path / f"out.{suffix}")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert not list(tmp_path.iterdir())


def test_a_preview_is_not_written_over_the_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "car.gif"
    clip.write_bytes(b"a clip of somebody's")
    command = ["invert", str(clip), "--prompt", PROMPT, "-o", str(clip.with_suffix(".safetensors"))]
    for method in ([], ["--method", "vmc"]):
        assert main([*command, *method]) == 2
        assert "written over the clip" in capsys.readouterr().err
    assert clip.read_bytes() == b"a clip of somebody's"
    # Without a preview nothing is in its way, and that it is no video is found out next.
    assert main([*command, "--no-preview"]) == 2
    assert "written over" not in capsys.readouterr().err


def test_a_preview_of_another_motion_is_not_left_beside_one_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "car.gif").touch()
    output = str(tmp_path / "car.safetensors")
    command = ["invert", "x.mp4", "--prompt", PROMPT, "-o", output, "--no-preview"]
    assert main(command) == 2
    assert "car.gif shows another motion" in capsys.readouterr().err


def test_what_a_published_motion_is_used_with_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is a motion as any, and without these options used in Kinema's own way."""
    learned = SimpleNamespace(save=lambda path, **_: path.touch())
    monkeypatch.setattr("kinema.cli.invert.pipeline_of", lambda arguments: None)
    monkeypatch.setattr("kinema.peers.Inversion.learn", lambda *_, **__: learned)
    command = ["invert", "x.mp4", "--prompt", PROMPT, "--method", "motion-inversion"]
    output = str(tmp_path / "car.safetensors")
    assert main([*command, "--no-preview", "-o", output]) == 0
    (said,) = re.findall("generate` with it takes (.*)", capsys.readouterr().out)
    options = "--steps 30 --guidance 12.0 --noise blend --noise-share 0.5 --value debiased"
    assert said == options
    # They are options that `generate` has: what it stumbles over is the empty file.
    generate = ["generate", PROMPT, "--motion", output, *said.split()]
    assert main([*generate, "-o", str(tmp_path / "out")]) == 2
    assert "car.safetensors" in capsys.readouterr().err


def test_an_output_that_is_a_folder_is_known_before_learning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "car.safetensors").mkdir()
    command = ["invert", "x.mp4", "--prompt", PROMPT, "-o", str(tmp_path / "car.safetensors")]
    assert main(command) == 2
    assert "car.safetensors is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["tpu", "mps"])
def test_a_device_that_sprites_do_not_train_on(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sprites", "train", "autoencoder", "--device", device, "--runs", str(tmp_path)]
    assert main(command) == 2
    assert f"device '{device}' is not known; give cpu or cuda" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_clip_scores_on_the_device_of_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[Any] = []
    clip = ClipEmbedder(SimpleNamespace(to=moved.append), processor=None)
    monkeypatch.setattr(ClipEmbedder, "load", lambda source: clip)
    config = SimpleNamespace(num_train_timesteps=1000)
    device = torch.device("meta")
    pipe = SimpleNamespace(device=device, scheduler=SimpleNamespace(config=config))
    monkeypatch.setattr(compare, "pipeline_of", lambda arguments: pipe)
    monkeypatch.setattr("kinema.compare.compare", lambda *given, **options: {"rows": []})
    monkeypatch.setattr(compare, "table", lambda rows: "")
    (tmp_path / "x.mp4").touch()
    command = ["compare", "--reference", str(tmp_path / "x.mp4"), "x", "--prompt", "y"]
    assert main([*command, "--clip-model", "some", "-o", str(tmp_path / "out")]) == 0
    assert moved == [device]


def test_a_reader_that_has_seen_enough_is_no_error(clip: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [Path(sys.executable).parent / "kinema", "see", clip, "-o", tmp_path / "out"]
    result = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300, check=False
    )
    os.close(writing)
    assert result.returncode == 141
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr
