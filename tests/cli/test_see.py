"""`kinema see`, run as a person runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinema.motion_prompt import LearnableSigmoid, MotionPrompt
from kinema.video import probe, read_video, write_video

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_video_gives_overlay_sheet_and_report(kinema: Run, clip: Path, tmp_path: Path) -> None:
    result = kinema("see", clip, "-o", tmp_path / "out", "--size", "0", "--m", "0.6", "--n", "0.1")
    assert result.returncode == 0, result.stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "overlay.mp4",
        "see.json",
        "sheet.png",
    ]
    overlay = probe(tmp_path / "out" / "overlay.mp4")
    assert (overlay.num_frames, overlay.height, overlay.width) == (11, 64, 160)

    report = json.loads((tmp_path / "out" / "see.json").read_text())
    video = read_video(clip).video
    layer = MotionPrompt(
        mean=(0,) * 3, std=(1,) * 3, layout="TCHW", normalisation=LearnableSigmoid(0.6, 0.1)
    )
    attention = layer(video).attention
    expected = layer.diagnostics(attention).as_dict()
    assert {name: report[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert (report["m"], report["n"]) == pytest.approx((0.6, 0.1))
    assert report["frames_seen"] == list(range(12))
    assert 0 < report["share_moving"] < 0.5


def test_what_is_of_tensors_is_refused_for_a_video(kinema: Run, clip: Path, tmp_path: Path) -> None:
    result = kinema("see", clip, "--mean", "0.5", "0.5", "0.5", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "--mean is of a clip in a .safetensors file" in result.stderr
    assert not (tmp_path / "out").exists()


def test_frames_and_stride_choose_from_the_middle(kinema: Run, clip: Path, tmp_path: Path) -> None:
    result = kinema("see", clip, "-o", tmp_path / "out", "--frames", "4", "--stride", "2")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "see.json").read_text())
    assert report["frames_seen"] == [2, 4, 6, 8]
    assert probe(tmp_path / "out" / "overlay.mp4").frames_per_second == pytest.approx(4)


@pytest.mark.parametrize("name", ["gamma", "maxexp", "sigme", "asinhe"])
def test_other_power_normalisations_rest_at_zero(
    name: str, kinema: Run, clip: Path, tmp_path: Path
) -> None:
    result = kinema("see", clip, "-o", tmp_path / "out", "--normalisation", name)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "see.json").read_text())
    assert report["attention_at_rest"] == 0
    assert report["slope"] is None


def test_a_signed_normalisation_is_shown(kinema: Run, clip: Path, tmp_path: Path) -> None:
    result = kinema("see", clip, "-o", tmp_path / "out", "--normalisation", "sigme", "--signed")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000


def test_a_tensor_clip_is_seen_as_its_video(
    kinema: Run, moving_video: torch.Tensor, tmp_path: Path
) -> None:
    normalised = (moving_video - 0.45) / 0.225
    batch = normalised.permute(1, 0, 2, 3)[None].contiguous()
    save_file({"clip": batch}, tmp_path / "c.safetensors")
    statistics = ("--mean", *[0.45] * 3, "--std", *[0.225] * 3)
    result = kinema(
        *("see", tmp_path / "c.safetensors", "-o", tmp_path / "out"),
        *("--layout", "BCTHW", "--size", "0", *statistics),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "see.json").read_text())
    attention = MotionPrompt(mean=(0,) * 3, std=(1,) * 3, layout="TCHW")(moving_video).attention
    assert report["attention_mean"] == pytest.approx(attention.mean().item(), rel=1e-4)


def test_a_folder_is_seen_whole_and_its_broken_videos_are_named(
    kinema: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name in ("a.mp4", "deeper/b.mp4"):
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    good = kinema("see", tmp_path / "in", "-o", tmp_path / "good")
    assert good.returncode == 0, good.stderr
    assert "saw 2 of 2 videos" in good.stdout
    assert (tmp_path / "good" / "deeper" / "b.mp4" / "see.json").exists()

    (tmp_path / "in" / "broken.mp4").write_text("not a video")
    mixed = kinema("see", tmp_path / "in", "-o", tmp_path / "mixed")
    assert mixed.returncode == 2
    assert "saw 2 of 3 videos" in mixed.stdout
    assert "broken.mp4" in mixed.stderr
    assert "Traceback" not in mixed.stderr
    assert sorted(file.name for file in (tmp_path / "mixed").iterdir()) == ["a.mp4", "deeper"]


def test_what_was_written_into_a_folder_is_not_seen_with_it(
    kinema: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    # Looks like a clip, as an overlay does.
    (tmp_path / "in-it").mkdir()
    (tmp_path / "in-it" / "overlay.mp4").write_bytes(clip.read_bytes())
    result = kinema("see", ".", "-o", "in-it", cwd=tmp_path)
    assert "saw 1 of 1 videos" in result.stdout, result.stderr


def test_what_is_seen_in_a_folder_goes_by_its_whole_name(
    kinema: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "clips.v1").mkdir()
    (tmp_path / "clips.v1" / "a.mp4").write_bytes(clip.read_bytes())
    assert kinema("see", "clips.v1", cwd=tmp_path).returncode == 0
    assert kinema("see", "clips.v1/a.mp4", cwd=tmp_path).returncode == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a-see", "clips.v1", "clips.v1-see"]


def test_a_video_wider_than_can_be_written_is_one_sentence(kinema: Run, tmp_path: Path) -> None:
    frames = torch.rand(3, 3, 2, 9000)
    write_video(tmp_path / "wide.gif", frames, frames_per_second=4)
    result = kinema("see", tmp_path / "wide.gif", "--size", 0, "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "18000 pixels wide" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_seeing_again_replaces_the_older_results(kinema: Run, clip: Path, tmp_path: Path) -> None:
    for frames in ("4", "6"):
        assert kinema("see", clip, "-o", tmp_path, "--frames", frames).returncode == 0
    assert len(json.loads((tmp_path / "see.json").read_text())["frames_seen"]) == 6
    assert len(list(tmp_path.iterdir())) == 3


def test_the_version_is_printed(kinema: Run) -> None:
    assert kinema("--version").stdout.startswith("kinema 0.")
