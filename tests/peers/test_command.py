"""`kinema invert --method` and `kinema generate --motion` with what a peer learned."""

import json
from pathlib import Path

import pytest

from kinema.cli import main
from kinema.peers import Learned
from kinema.video import write_video
from tests.motion_inversion.clip import PROMPT, moving_square


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "right.mp4"
    write_video(path, moving_square(4), frames_per_second=8)
    return path


def _invert(clip: Path, output: Path, *options: object) -> int:
    command = ["invert", clip, "--prompt", PROMPT, "-o", output, *options]
    return main([str(argument) for argument in command])


def test_a_peer_learns_and_generates_by_command(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "right.safetensors"
    options = ("--method", "motiondirector", "--num-steps", 1, "--inversion-steps", 1)
    assert _invert(clip, path, *options) == 0
    assert "Learned(motiondirector from" in capsys.readouterr().out
    assert path.with_suffix(".gif").exists()
    learned = Learned.load(path)
    assert learned.origin.settings["num_steps"] == 1
    assert learned.origin.settings["rank"] == 32
    command = ["generate", "a red circle", "--motion", str(path), "--steps", "1"]
    assert main([*command, "-o", str(tmp_path / "videos")]) == 0
    settings = json.loads((tmp_path / "videos" / "settings.json").read_text())
    assert settings["motions"][0]["method"] == "motiondirector"
    assert settings["num_steps"] == 1
    assert (tmp_path / "videos" / "seed-0.mp4").exists()
    capsys.readouterr()
    for extra, sentence in (
        (["--strength", "0.5"], "--strength is for motions of kinema's own method"),
        (["--window", "0", "0.5"], "--window is for motions of kinema's own method"),
        (["--motion", str(path)], "what motiondirector learned goes with no other motion"),
    ):
        assert main([*command, *extra, "-o", str(tmp_path / "none")]) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_what_a_peer_does_not_know_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "x.safetensors"
    for options, sentence in (
        (("--method", "lora"), "the method is 'lora'; expected one of none, kinema, mot"),
        (("--method", "vmc", "--blocks", "all"), "vmc has no setting blocks; it has sampling_ste"),
        (("--method", "vmc", "--settings", "paper"), "--settings are for kinema's own method"),
        (
            ("--method", "vmc", "--compile"),
            "--attend, --compile and --settings are for kinema's own method",
        ),
        (("--method", "vmc", "--num-steps", 0), "num_steps is 0; expected 1 or more"),
    ):
        assert _invert(clip, path, *options) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
    assert not path.exists()
