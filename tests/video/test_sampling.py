import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.video import dense_views, strided_indices, uniform_indices

lengths = st.integers(1, 5000)
counts = st.integers(1, 128)
strides = st.integers(1, 16)


@given(lengths, counts)
def test_uniform_indices_ascend_inside_the_video(length, count):
    indices = uniform_indices(length, count)
    assert len(indices) == count
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < length


@given(lengths, counts)
def test_uniform_indices_repeat_only_where_the_video_is_too_short(length, count):
    indices = uniform_indices(length, count)
    assert len(set(indices)) == min(length, count)


@given(lengths, counts)
def test_uniform_gaps_differ_by_one_frame_at_most(length, count):
    if count <= length:
        indices = uniform_indices(length, count)
        gaps = {b - a for a, b in itertools.pairwise(indices)}
        assert not gaps or max(gaps) - min(gaps) <= 1


@given(counts)
def test_a_video_of_the_asked_length_is_taken_whole(count):
    assert uniform_indices(count, count) == list(range(count))


def test_a_short_video_repeats_its_last_frame_and_never_wraps():
    assert uniform_indices(3, 6) == [0, 1, 2, 2, 2, 2]
    assert strided_indices(5, 4, stride=2, start=1) == [1, 3, 4, 4]


@given(lengths, counts, strides)
def test_strided_indices_keep_their_stride_until_the_last_frame(length, count, stride):
    indices = strided_indices(length, count, stride=stride)
    assert len(indices) == count
    for a, b in itertools.pairwise(indices):
        assert b - a == stride or b == length - 1


@given(lengths, counts, strides)
def test_without_a_start_the_strided_clip_lies_in_the_middle(length, count, stride):
    indices = strided_indices(length, count, stride=stride)
    if (count - 1) * stride < length:
        assert abs(indices[0] - (length - 1 - indices[-1])) <= 1


@given(lengths, counts, strides, st.integers(2, 10))
def test_dense_views_reach_from_the_first_frame_to_the_last(length, count, stride, num_views):
    views = dense_views(length, count, stride=stride, num_views=num_views)
    assert len(views) == num_views
    assert views[0][0] == 0
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(views))
    if (count - 1) * stride < length:
        assert views[-1][-1] == length - 1


def test_one_dense_view_is_the_middle_one():
    assert dense_views(100, 8, stride=4, num_views=1) == [strided_indices(100, 8, stride=4)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: uniform_indices(0, 8),
        lambda: uniform_indices(8, 0),
        lambda: strided_indices(8, 4, stride=0),
        lambda: strided_indices(8, 4, stride=1, start=8),
        lambda: strided_indices(8, 4, stride=1, start=-1),
        lambda: dense_views(8, 4, stride=1, num_views=0),
    ],
)
def test_numbers_out_of_range_are_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()
