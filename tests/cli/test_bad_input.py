"""Bad input to the real command: one sentence, exit 2, no traceback, nothing left behind."""

import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kinema.video import write_video

Run = Callable[..., subprocess.CompletedProcess[str]]


def assert_one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command said one line beside progress bars, with these words, and exited with 2."""
    assert result.returncode == 2, result
    lines = [
        line
        for line in result.stderr.splitlines()
        if line.strip() and not re.search(r"\d%\|", line)
    ]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("kinema: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in result.stdout + result.stderr


@contextmanager
def mounted_disk(path: Path, options: str) -> Iterator[Path]:
    """Mount a disk in memory at `path`; skip the test where that is not allowed."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk needs root")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def missing_file(folder: Path, clip: Path) -> Path:
    return folder / "nowhere.mp4"


def folder_without_videos(folder: Path, clip: Path) -> Path:
    path = folder / "notes"
    path.mkdir()
    (path / "readme.txt").write_text("no video here")
    return path


def empty_file(folder: Path, clip: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def text_named_mp4(folder: Path, clip: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("these are words, not frames\n" * 200)
    return path


def truncated_mp4(folder: Path, clip: Path) -> Path:
    path = folder / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:-1500])
    return path


def audio_only(folder: Path, clip: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        samples = np.zeros((1, 16000), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def one_frame(folder: Path, clip: Path) -> Path:
    path = folder / "still.mp4"
    write_video(path, torch.rand(1, 3, 32, 32), frames_per_second=8)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing_file, ("nowhere.mp4",)),
        (folder_without_videos, ("notes", "no video")),
        (empty_file, ("empty.mp4", "empty")),
        (text_named_mp4, ("text.mp4",)),
        (truncated_mp4, ("cut.mp4",)),
        (audio_only, ("sound.mp4",)),
        (one_frame, ("still.mp4", "1 frame", "needs 2")),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_video_that_cannot_be_seen(
    make: Callable[[Path, Path], Path],
    words: tuple[str, ...],
    kinema: Run,
    clip: Path,
    tmp_path: Path,
) -> None:
    source = make(tmp_path, clip)
    result = kinema("see", source, "-o", tmp_path / "out")
    assert_one_sentence(result, *words)
    assert not (tmp_path / "out").exists()


NAN = torch.rand(5, 3, 16, 16)
NAN[2, 1, 0, 0] = torch.nan


@pytest.mark.parametrize(
    ("tensor", "options", "words"),
    [
        (NAN, (), ("NaN", "frame 2")),
        (torch.rand(3, 16, 16), (), ("rank 3", "rank 4")),
        (torch.rand(5, 4, 16, 16), (), ("4 channels",)),
        (torch.rand(5, 3, 16, 16), ("--layout", "TXHW"), ("'TXHW'", "BTCHW")),
        (torch.rand(5, 3, 16, 16), ("--mean", "0.5", "0.5"), ("mean", "3")),
        (torch.rand(5, 3, 16, 16), ("--std", "1", "1", "1", "1"), ("std", "3")),
        (torch.rand(5, 3, 16, 16), ("--std", "1", "0", "1"), ("std", "above 0")),
        (torch.rand(1, 3, 16, 16), (), ("1 frame",)),
    ],
    ids=["nan", "rank", "channels", "layout", "mean", "std-length", "std-zero", "one-frame"],
)
def test_a_tensor_that_cannot_be_prompted(
    tensor: torch.Tensor,
    options: tuple[str, ...],
    words: tuple[str, ...],
    kinema: Run,
    tmp_path: Path,
) -> None:
    save_file({"clip": tensor}, tmp_path / "clip.safetensors")
    result = kinema("see", tmp_path / "clip.safetensors", "-o", tmp_path / "out", *options)
    assert_one_sentence(result, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frames", "1"), ("1 frames",)),
        (("--stride", "0"), ("stride is 0",)),
        (("--size", "-3"), ("size is -3",)),
        (("--m", "nan"), ("m is nan", "finite")),
        (("--signed",), ("--normalisation",)),
        (("--normalisation", "gamma", "--parameter", "7"), ("exponent is 7",)),
        (("--normalisation", "gamma", "--m", "0.1"), ("--m and --n", "learnable", "gamma")),
        (("--normalisation", "axmin"), ("--parameter",)),
    ],
    ids=lambda value: "" if not value[0].startswith("--") else " ".join(value),
)
def test_an_option_out_of_range(
    options: tuple[str, ...], words: tuple[str, ...], kinema: Run, clip: Path, tmp_path: Path
) -> None:
    result = kinema("see", clip, "-o", tmp_path / "out", *options)
    assert_one_sentence(result, *words)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file(kinema: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    result = kinema("see", clip, "-o", tmp_path / "out")
    assert_one_sentence(result, "out", "not a folder")
    assert (tmp_path / "out").read_text() == "in the way"


def test_an_output_folder_that_is_not_writable(kinema: Run, clip: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.geteuid() != 0:
        assert_one_sentence(kinema("see", clip, "-o", locked), "locked")
        assert_one_sentence(kinema("see", clip, "-o", locked / "out"), "locked")
        return
    # Root may write in any folder, but not on a disk that is mounted to be read only.
    with mounted_disk(locked, "ro"):
        assert_one_sentence(kinema("see", clip, "-o", locked), "locked")
        assert_one_sentence(kinema("see", clip, "-o", locked / "out"), "locked")
        assert list(locked.iterdir()) == []


def test_a_disk_that_is_full_while_encoding(kinema: Run, clip: Path, tmp_path: Path) -> None:
    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    result = kinema("see", clip, "-o", tmp_path / "out", preexec_fn=allow_small_files_only)
    assert_one_sentence(result, "File too large")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_while_encoding_over_older_results(
    kinema: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlay.mp4").write_text("older")

    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    result = kinema("see", clip, "-o", tmp_path / "out", preexec_fn=allow_small_files_only)
    assert result.returncode == 2
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["overlay.mp4"]
    assert (tmp_path / "out" / "overlay.mp4").read_text() == "older"


def test_a_small_disk_that_fills_while_encoding(kinema: Run, clip: Path, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "size=8k") as disk:
        assert_one_sentence(kinema("see", clip, "-o", disk / "out"), "No space left")
        assert list(disk.iterdir()) == []


def test_a_demo_of_a_video_that_cannot_be_seen_trains_nothing(kinema: Run, tmp_path: Path) -> None:
    result = kinema("demo", tmp_path / "nowhere.mp4", "-o", tmp_path / "out")
    assert_one_sentence(result, "nowhere.mp4")
    assert not (tmp_path / "out").exists()


def test_an_unknown_command(kinema: Run) -> None:
    result = kinema("juggle")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "see" in result.stderr
