"""Parts of a video: which frames lie between two times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.video import read_video
from kinema.video.packets import PacketTable


def table(rate: float) -> PacketTable:
    """Of a video whose packets have no times."""
    return PacketTable(10_000, None, [], [], Fraction(1), rate)


@given(
    first=st.integers(0, 5000),
    length=st.integers(1, 500),
    rate=st.sampled_from([29.4, 30000 / 1001, 25.0, 10.0]),
)
def test_times_made_of_frame_numbers_come_back_as_them(
    first: int, length: int, rate: float
) -> None:
    found = table(rate).between(10_000, first / rate, (first + length) / rate)
    assert found == range(first, first + length)


def test_a_part_is_cut_to_the_video() -> None:
    video = table(10.0)
    assert video.between(50, None, None) == range(50)
    assert video.between(50, 4.0, None) == range(40, 50)
    assert video.between(50, 4.0, 99.0) == range(40, 50)
    assert video.between(50, None, 0.55) == range(6)


def test_a_part_between_two_frames_is_the_one_that_follows() -> None:
    assert table(10.0).between(50, 1.01, 1.09) == range(11, 12)


@pytest.fixture
def slow_then_fast(tmp_path: Path) -> Path:
    """Ten frames at 10 a second, then fifty at 50: their times are not their numbers."""
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width = stream.height = 16
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number in range(60):
            picture = np.full((16, 16, 3), 4 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = 100 * number if number < 10 else 1000 + 20 * (number - 10)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("start", "end"), [(0.25, 0.6), (0.8, 1.1), (1.0, 1.5), (None, 0.35), (1.5, None)]
)
def test_a_part_of_uneven_rate_is_cut_by_the_frames_own_times(
    slow_then_fast: Path, start: float | None, end: float | None
) -> None:
    whole = read_video(slow_then_fast)
    wanted = (whole.seconds >= (start or 0.0)) & (whole.seconds < (end or 99.0))
    part = read_video(slow_then_fast, start=start, end=end)
    assert part.indices.tolist() == whole.indices[wanted].tolist()
    assert (part.frames == whole.frames[wanted]).all()
    assert (part.seconds == whole.seconds[wanted]).all()
    last = read_video(slow_then_fast, start=start, end=end, indices=lambda n: [n - 1])
    assert last.indices.item() == part.indices[-1]


@pytest.mark.parametrize(("start", "end"), [(2.0, None), (6.0, 7.0), (1.0, 0.5)])
def test_a_part_without_frames_is_refused(
    slow_then_fast: Path, start: float, end: float | None
) -> None:
    with pytest.raises(InputError, match=r"video.mkv has 60 frames at .* a second, and none from"):
        read_video(slow_then_fast, start=start, end=end)
