"""The real `kinema` command, and files to give it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinema.sprites import render, sample_scenes
from kinema.video import write_video

Kinema = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kinema() -> Kinema:
    """Run `kinema` in a process of its own."""
    command = Path(sys.executable).parent / "kinema"

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(command), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture(scope="session")
def moving_video() -> torch.Tensor:
    """Twelve frames of a circling sprite, (12, 3, 64, 80) in [0, 1]."""
    scenes = sample_scenes(1, seed=3, motions=["circle-clockwise"])
    return render(scenes, num_frames=12, height=64, width=80).video[0]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, moving_video: torch.Tensor) -> Path:
    """The moving video as MP4."""
    path = tmp_path_factory.mktemp("clip") / "circle.mp4"
    write_video(path, moving_video, frames_per_second=8)
    return path
