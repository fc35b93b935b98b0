from hypothesis import given
from hypothesis import strategies as st

from kinema.datasets.clip_dataset import seeded
from kinema.datasets.frames import jittered, views
from kinema.video import dense_views, strided_indices, uniform_indices

COUNTS = st.integers(1, 400)
STRIDES = st.one_of(st.none(), st.floats(1, 40), st.integers(1, 40))


@given(num_frames_in_clip=COUNTS, num_frames=COUNTS, stride=STRIDES, seed=st.integers(0, 9))
def test_indices_ascend_inside_the_clip_and_only_the_last_repeats(
    num_frames_in_clip: int, num_frames: int, stride: float | None, seed: int
) -> None:
    drawn = jittered(num_frames_in_clip, num_frames, stride=stride, generator=seeded(seed))
    laid = views(num_frames_in_clip, num_frames, stride=stride, num_views=3)
    for indices in (drawn, *laid):
        assert len(indices) == num_frames
        assert indices == sorted(indices)
        assert indices[0] >= 0
        assert indices[-1] < num_frames_in_clip
        before_the_last = [i for i in indices if i != num_frames_in_clip - 1]
        assert len(set(before_the_last)) == len(before_the_last)


@given(num_frames_in_clip=COUNTS, num_frames=COUNTS, stride=STRIDES, seed=st.integers(0, 9))
def test_a_clip_with_too_few_frames_gives_each_once_and_then_its_last(
    num_frames_in_clip: int, num_frames: int, stride: float | None, seed: int
) -> None:
    if num_frames_in_clip <= num_frames:
        expected = [min(i, num_frames_in_clip - 1) for i in range(num_frames)]
        drawn = jittered(num_frames_in_clip, num_frames, stride=stride, generator=seeded(seed))
        laid = views(num_frames_in_clip, num_frames, stride=stride, num_views=1)
        assert laid == [expected] or num_frames == 1
        assert drawn == expected or num_frames == 1


@given(num_frames=st.integers(1, 16), stride=st.integers(1, 8), room=st.integers(0, 99))
def test_whole_strides_are_those_of_the_video_package(
    num_frames: int, stride: int, room: int
) -> None:
    num_frames_in_clip = (num_frames - 1) * stride + 1 + room
    for num_views in (1, 2, 5):
        assert views(num_frames_in_clip, num_frames, stride=stride, num_views=num_views) == (
            dense_views(num_frames_in_clip, num_frames, stride=stride, num_views=num_views)
        )
    drawn = jittered(num_frames_in_clip, num_frames, stride=stride, generator=seeded(1))
    assert drawn == strided_indices(num_frames_in_clip, num_frames, stride=stride, start=drawn[0])


@given(num_frames_in_clip=COUNTS, num_frames=COUNTS)
def test_one_view_without_stride_is_uniform(num_frames_in_clip: int, num_frames: int) -> None:
    (only,) = views(num_frames_in_clip, num_frames, stride=None, num_views=1)
    assert only == uniform_indices(num_frames_in_clip, num_frames)


def test_a_broken_stride_keeps_the_pace() -> None:
    (only,) = views(100, 5, stride=2.5, num_views=1)
    assert [i - only[0] for i in only] == [0, 2, 5, 7, 10]


def test_a_stride_too_large_shrinks_to_the_whole_clip() -> None:
    for num_frames in (9, 14, 17, 50):
        for num_frames_in_clip in range(num_frames, 400):
            (only,) = views(num_frames_in_clip, num_frames, stride=99, num_views=1)
            assert (only[0], only[-1]) == (0, num_frames_in_clip - 1)
            assert len(set(only)) == num_frames


def test_views_without_stride_interleave() -> None:
    assert views(12, 3, stride=None, num_views=2) == [[1, 5, 9], [3, 7, 11]]


def test_every_start_and_every_frame_of_a_part_is_drawn() -> None:
    starts = {jittered(20, 4, stride=3, generator=seeded(i))[0] for i in range(300)}
    assert starts == set(range(11))
    drawn = [jittered(20, 4, stride=None, generator=seeded(i)) for i in range(300)]
    for nth in range(4):
        assert {indices[nth] for indices in drawn} == set(range(5 * nth, 5 * nth + 5))
