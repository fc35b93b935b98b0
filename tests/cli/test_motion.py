"""`kinema invert` and `kinema generate`, run as a person runs them, on the embedded models."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from kinema.motion_inversion import Motion
from kinema.sprites import render, sample_scenes
from kinema.video import probe, write_video
from tests.cli.test_bad_input import assert_one_sentence, mounted_disk

Run = Callable[..., subprocess.CompletedProcess[str]]

PROMPT = "a red star on a grey background"
QUICK = ("--num-steps", 2, "--batch-size", 1, "--inversion-steps", 2)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen frames of a sprite that moves right."""
    path = tmp_path_factory.mktemp("reference") / "right.mp4"
    scenes = sample_scenes(1, seed=5, motions=["right"])
    write_video(path, render(scenes, num_frames=16).video[0], frames_per_second=8)
    return path


@pytest.fixture(scope="module")
def learned(kinema: Run, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion of the embedded model, learned for two steps by the command."""
    path = tmp_path_factory.mktemp("motion") / "right.safetensors"
    result = kinema("invert", reference, "--prompt", PROMPT, "-o", path, *QUICK)
    assert result.returncode == 0, result.stderr
    assert "wrote" in result.stdout
    return path


def test_a_motion_is_one_file_and_a_gif(learned: Path) -> None:
    assert sorted(path.name for path in learned.parent.iterdir()) == [
        "right.gif",
        "right.safetensors",
    ]
    motion = Motion.load(learned)
    assert motion.origin.prompt == PROMPT
    assert motion.origin.settings["num_steps"] == 2
    assert motion.num_frames == 16
    assert probe(learned.with_suffix(".gif")).num_frames == 16


def test_the_same_command_again_makes_the_same_pixels(
    kinema: Run, learned: Path, tmp_path: Path
) -> None:
    command = ("generate", "a blue ring on a black background", "--motion", learned)
    command += ("--steps", 2, "--seeds", 2, "--noise", "blend")
    for name in ("one", "two"):
        result = kinema(*command, "-o", tmp_path / name)
        assert result.returncode == 0, result.stderr
    one, two = (json.loads((tmp_path / n / "settings.json").read_text()) for n in ("one", "two"))
    assert one == two
    assert len(set(one["sha256_of_pixels"].values())) == 2
    assert one["motions"][0]["origin"]["prompt"] == PROMPT
    assert probe(tmp_path / "one" / "seed-1.mp4").num_frames == 16
    with Image.open(tmp_path / "one" / "sheet.png") as sheet:
        # A row for the clip that the motion came from, and one for each seed.
        assert sheet.height > 3 * 128


def test_a_motion_is_learned_and_shown_in_the_size_asked_for(
    kinema: Run, reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    result = kinema(
        "invert", reference, "--prompt", PROMPT, "--size", "32x64", "--attend", "-o", path, *QUICK
    )
    assert result.returncode == 0, result.stderr
    assert probe(path.with_suffix(".gif")).height == 32
    for name, options, height in (("its", (), 32), ("other", ("--size", "64x64"), 64)):
        out = tmp_path / name
        result = kinema("generate", PROMPT, "--motion", path, "--steps", 1, *options, "-o", out)
        assert result.returncode == 0, result.stderr
        made = probe(out / "seed-0.mp4")
        assert (made.height, made.width) == (height, 64)


def test_strength_and_weights_reach_the_pixels(kinema: Run, learned: Path, tmp_path: Path) -> None:
    def pixels(name: str, *options: object) -> dict[str, str]:
        result = kinema("generate", PROMPT, "--steps", 2, "-o", tmp_path / name, *options)
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / name / "settings.json").read_text())["sha256_of_pixels"]

    strong = Motion.load(learned)
    (100 * strong).save(tmp_path / "strong.safetensors")
    motion = ("--motion", tmp_path / "strong.safetensors")
    plain, moved = pixels("plain"), pixels("moved", *motion)
    assert moved != plain
    assert pixels("off", *motion, "--strength", 0) == plain
    weighed = pixels("weighed", *motion, 0.5)
    assert weighed == pixels("weaker", *motion, "--strength", 0.5)
    assert weighed not in (plain, moved)


def _read(terminal: int) -> str:
    """What a process wrote to a terminal since; nothing once it has ended."""
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize("attend", [False, True])
def test_ctrl_c_keeps_a_checkpoint_from_which_the_same_command_goes_on(
    attend: bool, kinema: Run, reference: Path, tmp_path: Path
) -> None:
    command = ["invert", reference, "--prompt", PROMPT, "--batch-size", 1, "--inversion-steps", 0]
    command += ["--num-steps", 6, "--attend"] if attend else ["--num-steps", 6]
    whole = kinema(*command, "-o", tmp_path / "whole.safetensors")
    assert whole.returncode == 0, whole.stderr
    parted = tmp_path / "parted.safetensors"
    executable = Path(sys.executable).parent / "kinema"
    # Bars are shown on a terminal only, and on one that has a size.
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    process = subprocess.Popen([str(executable), *map(str, command), "-o", str(parted)], stderr=end)
    os.close(end)
    # The bar appears with the first step.
    seen = ""
    while "invert:" not in seen and (more := _read(terminal)):
        seen += more
    process.send_signal(signal.SIGINT)
    rest = ""
    while more := _read(terminal):
        rest += more
    os.close(terminal)
    assert process.wait(timeout=120) == 2, rest
    assert "the same command goes on" in rest
    assert "Traceback" not in rest
    assert not parted.exists()
    assert (tmp_path / "parted.checkpoint.safetensors").exists()
    result = kinema(*command, "-o", parted)
    assert result.returncode == 0, result.stderr
    assert "going on from" in result.stdout
    assert not (tmp_path / "parted.checkpoint.safetensors").exists()
    assert parted.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_clips_and_prompts_that_no_motion_can_be_learned_from(
    kinema: Run, reference: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 64)).save(picture)
    still = tmp_path / "still.mp4"
    write_video(still, torch.zeros(1, 3, 64, 64), frames_per_second=8)
    output = tmp_path / "motion.safetensors"
    for video, prompt, words in (
        (picture, PROMPT, ("picture.png", "image")),
        (still, PROMPT, ("still.mp4", "1 frame")),
        (tmp_path / "nowhere.mp4", PROMPT, ("nowhere.mp4",)),
        (reference, "  ", ("prompt",)),
    ):
        result = kinema("invert", video, "--prompt", prompt, "-o", output, *QUICK)
        assert_one_sentence(result, *words)
    result = kinema("invert", reference, "--prompt", PROMPT, "-o", tmp_path / "motion.pt")
    assert_one_sentence(result, "motion.pt", ".safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png", "still.mp4"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frames", 1), ("num_frames is 1", "2 or more")),
        (("--settings", "papre"), ("'papre'", "paper")),
        (("--value", "thick"), ("'thick'", "full")),
        (("--learning-rate", "-1"), ("learning_rate is -1", "above 0")),
        (("--model", "nowhere/nothing"), ("nowhere/nothing", "sprites")),
        (("--model", "sprites", "--adapter", "x"), ("adapter x",)),
        (("--device", "cuda"), ("GPU",)),
        (("--device", "toaster"), ("toaster",)),
    ],
)
def test_options_that_cannot_be_used_to_invert(
    options: tuple[object, ...],
    words: tuple[str, ...],
    kinema: Run,
    reference: Path,
    tmp_path: Path,
) -> None:
    if options == ("--device", "cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    output = tmp_path / "motion.safetensors"
    result = kinema("invert", reference, "--prompt", PROMPT, "-o", output, *options)
    assert_one_sentence(result, *words)
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_kind_lists_those_that_do(
    kinema: Run, reference: Path, tmp_path: Path
) -> None:
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8,),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(tmp_path / "images")
    output = tmp_path / "motion.safetensors"
    result = kinema(
        "invert", reference, "--prompt", PROMPT, "-o", output, "--model", tmp_path / "images"
    )
    assert_one_sentence(result, "UNet3DConditionModel", "UNetMotionModel")
    assert not output.exists()


def test_motions_that_cannot_be_used(kinema: Run, learned: Path, tmp_path: Path) -> None:
    cut, foreign, broken = (tmp_path / f"{n}.safetensors" for n in ("cut", "foreign", "broken"))
    cut.write_bytes(learned.read_bytes()[:-1000])
    save_file({"weight": torch.zeros(3)}, foreign)
    from safetensors import safe_open

    with safe_open(learned, "pt") as file:
        header = file.metadata()
    tensors = load_file(learned)
    name = next(name for name in tensors if name.startswith("value"))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    save_file(tensors, broken, header)
    output = tmp_path / "out"
    for motion, words in (
        ((cut,), ("cut.safetensors",)),
        ((foreign,), ("foreign.safetensors",)),
        ((broken,), ("broken.safetensors", "NaN")),
        ((tmp_path / "none.safetensors",), ("none.safetensors",)),
        ((learned, "much"), ("'much'", "number")),
        ((learned, 1, 2), ("--motion",)),
    ):
        result = kinema("generate", PROMPT, "--motion", *motion, "--steps", 1, "-o", output)
        assert_one_sentence(result, *words)
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "sprites-animatediff"), ("UNet3DConditionModel", "UNetMotionModel")),
        (("--value", "thick"), ("'thick'", "debiased")),
        (("--strength", "nan"), ("strength is nan",)),
        (("--window", 0.5, 0.2), ("window",)),
        (("--branch", "third"), ("'third'",)),
        (("--noise", "pink"), ("'pink'",)),
        (("--frames", 1), ("num_frames is 1", "2 or more")),
        (("--steps", 0), ("num_steps is 0",)),
        (("--seeds", 0), ("--seeds is 0",)),
    ],
)
def test_options_that_cannot_be_used_to_generate(
    options: tuple[object, ...], words: tuple[str, ...], kinema: Run, learned: Path, tmp_path: Path
) -> None:
    command = ("generate", PROMPT, "--motion", learned, "--steps", 1, "-o", tmp_path / "out")
    assert_one_sentence(kinema(*command, *options), *words)
    assert not list(tmp_path.iterdir())


def test_more_frames_than_a_model_has_positions_for(
    kinema: Run, reference: Path, tmp_path: Path
) -> None:
    result = kinema(
        *("generate", PROMPT, "--model", "sprites-animatediff", "--frames", 33, "--steps", 1),
        *("-o", tmp_path / "out"),
    )
    assert_one_sentence(result, "33", "32")


def test_no_room_on_disk(kinema: Run, reference: Path, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "size=64k") as disk:
        output = disk / "motion.safetensors"
        result = kinema("invert", reference, "--prompt", PROMPT, "-o", output, *QUICK)
        assert_one_sentence(result, "space")
        assert not list(disk.iterdir())
