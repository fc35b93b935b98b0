"""The tokenizer of the embedded models."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from kinema.sprites.tokenizer import MAX_TOKENS, build_tokenizer, grammar_words
from kinema.sprites.words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, Description

TOKENIZER = build_tokenizer()
DESCRIPTIONS = st.builds(
    Description,
    colour=st.sampled_from(list(COLOURS)),
    shape=st.sampled_from(SHAPES),
    background=st.sampled_from(BACKGROUNDS),
    size=st.sampled_from([None, *SIZES]),
    motion=st.sampled_from([None, *MOTIONS]),
)


def test_every_word_of_the_grammar_is_one_token() -> None:
    assert all(len(TOKENIZER.tokenize(word)) == 1 for word in grammar_words())


@given(DESCRIPTIONS)
def test_a_caption_survives_encoding(description: Description) -> None:
    tokens = TOKENIZER(str(description)).input_ids
    assert len(tokens) <= MAX_TOKENS
    decoded = TOKENIZER.decode(tokens, skip_special_tokens=True).strip()
    assert decoded.replace(" ,", ",") == str(description)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_other_words_are_spelt_out(text: str) -> None:
    tokens = TOKENIZER(text, truncation=True).input_ids
    assert len(tokens) <= MAX_TOKENS
    assert tokens[0] == TOKENIZER.bos_token_id


def test_building_it_again_gives_the_same_vocabulary() -> None:
    assert build_tokenizer().get_vocab() == TOKENIZER.get_vocab()


def test_it_is_kept_and_loaded_unchanged(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    caption = "a small red ring on a striped background, moving down and left"
    assert loaded(caption).input_ids == TOKENIZER(caption).input_ids
    assert loaded.model_max_length == MAX_TOKENS
