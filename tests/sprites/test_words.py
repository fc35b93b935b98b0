import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.sprites import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    Description,
    parse_caption,
)

descriptions = st.builds(
    Description,
    colour=st.sampled_from(tuple(COLOURS)),
    shape=st.sampled_from(SHAPES),
    background=st.sampled_from(BACKGROUNDS),
    size=st.sampled_from((None, *SIZES)),
    motion=st.sampled_from((None, *MOTIONS)),
)


@given(descriptions)
def test_every_caption_says_what_it_was_made_from(description):
    assert parse_caption(str(description)) == description


@given(descriptions)
def test_capitals_spaces_and_a_full_stop_do_not_matter(description):
    assert parse_caption(f"  {str(description).upper()}. ") == description


def test_captions_read_as_people_say_them():
    said = Description("red", "ring", "striped", size="small", motion="down-left")
    assert str(said) == "a small red ring on a striped background, moving down and left"
    assert str(Description("white", "star", "navy")) == "a white star on a navy background"
    assert parse_caption("an red star on an black background").colour == "red"


def test_a_longer_direction_is_not_read_as_a_shorter_one():
    assert parse_caption("a red star on a navy background, moving down").motion == "down"
    assert (
        parse_caption("a red star on a navy background, moving down and right").motion
        == "down-right"
    )


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a car turns on a road",
        "a pink star on a navy background",
        "a red star",
        "a red star on a navy background, flying",
        "a red star on a navy background moving left",
        "a red star on a navy background, moving left and right",
        "a huge red star on a navy background",
        "a red star on a navy background, moving left, growing",
    ],
)
def test_a_caption_outside_the_grammar_is_refused_with_all_its_words(caption):
    with pytest.raises(InputError) as caught:
        parse_caption(caption)
    sentence = str(caught.value)
    assert repr(caption) in sentence
    for word in (*SIZES, *COLOURS, *SHAPES, *BACKGROUNDS, *MOTIONS.values()):
        assert word in sentence


def test_motions_are_said_in_words_of_their_own():
    assert len(set(MOTIONS.values())) == len(MOTIONS)
