"""Official annotation files of the data folder, and small videos made here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinema.video import write_video

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

MakeClip = Callable[..., Path]


def _folder(path: Path) -> Path:
    if path.is_dir():
        return path
    if os.environ.get("KINEMA_REQUIRE_DATA") == "1":
        pytest.fail(f"KINEMA_REQUIRE_DATA=1, but {path} is missing")
    pytest.skip(f"{path.name} is missing from the data folder")


@pytest.fixture(scope="session")
def annotations() -> Path:
    """The folder of official annotation files."""
    return _folder(DATA / "annotations")


@pytest.fixture(scope="session")
def released_clips() -> Path:
    """Some HMDB-51, UCF101 and Kinetics clips as released, all in one folder."""
    return _folder(DATA / "torchvision_tests")


@pytest.fixture(scope="session")
def interactions() -> Path:
    """UT-Interaction, segmented."""
    return _folder(DATA / "ut_interaction")


def picture_number(frame: torch.Tensor) -> int:
    """Which frame of a clip of `write_clip` this is, from `(3, H, W)` in [0, 255]."""
    return round(float(frame.float().mean()) / 8)


def write_clip(path: Path, *, num_frames: int = 12, height: int = 32, width: int = 48) -> Path:
    """A video whose frame n is grey of 8 n, at 10 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = (8 * torch.arange(num_frames)).to(torch.uint8)
    video = levels[:, None, None, None].expand(num_frames, 3, height, width).contiguous()
    write_video(path, video, frames_per_second=10, quality=1)
    return path


def write_pattern(path: Path, *, num_frames: int = 8, height: int = 32, width: int = 48) -> Path:
    """A video of one still picture without any symmetry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack((columns * 5, rows * 7, (rows + columns) * 3)).clamp(max=255)
    video = picture.to(torch.uint8).expand(num_frames, 3, height, width).contiguous()
    write_video(path, video, frames_per_second=10, quality=1)
    return path


def touch(*paths: Path) -> None:
    """Make empty files, where only their presence matters."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
