"""The embedded pipeline with its weights."""

from typing import Any

import pytest

from kinema.sprites import text_to_video


@pytest.fixture(scope="session")
def embedded() -> Any:
    """The text-to-video pipeline that comes with Kinema."""
    pipe = text_to_video()
    pipe.set_progress_bar_config(disable=True)
    return pipe
