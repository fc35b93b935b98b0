"""Clips and runs that several tests look at."""

from pathlib import Path

import pytest

from kinema.recognition import finetune
from tests.recognition.tiny import TRANSFORMER, write_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered clips to train and to test on."""
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small transformer on sprites."""
    folder = tmp_path_factory.mktemp("run")
    finetune(TRANSFORMER, folder, device="cpu")
    return folder
