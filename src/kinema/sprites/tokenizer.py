"""The tokenizer of the embedded text-to-video models: CLIP's, with a vocabulary of our captions."""

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from kinema.sprites.words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

MAX_TOKENS = 20
_END_OF_WORD = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def grammar_words() -> list[str]:
    """Return every word and sign that a caption may hold, sorted."""
    phrases = [*SIZES, *COLOURS, *SHAPES, *BACKGROUNDS, *MOTIONS.values(), "a an on background ,"]
    return sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(phrases))))


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Return byte-pair merges that make each of `words` one token.

    The `tokenizers` trainer breaks ties by hash order, so two runs of it give two vocabularies and
    no two trainings would agree; here ties are broken by the alphabet.
    """
    spelt = [[*word[:-1], word[-1] + _END_OF_WORD] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(pieces) > 1 for pieces in spelt):
        counts = Counter(pair for pieces in spelt for pair in pairwise(pieces))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for pieces in spelt:
            position = 0
            while position < len(pieces) - 1:
                if (pieces[position], pieces[position + 1]) == best:
                    pieces[position : position + 2] = ["".join(best)]
                position += 1
    return merges


def build_tokenizer() -> "CLIPTokenizer":
    """Return a `CLIPTokenizer` in which each word of the grammar is one token.

    A word that is not in the grammar is spelt out in shorter pieces and never fails.
    """
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    merges = learn_merges(grammar_words())
    tokens = [
        *_SPECIAL,
        *letters,
        *(letter + _END_OF_WORD for letter in letters),
        *("".join(pair) for pair in merges),
    ]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(dict.fromkeys(tokens))},
        merges=merges,
        model_max_length=MAX_TOKENS,
        bos_token=_SPECIAL[0],
        unk_token=_SPECIAL[1],
        eos_token=_SPECIAL[1],
        pad_token=_SPECIAL[1],
    )
