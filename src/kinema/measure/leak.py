"""The leak: does a motion bring along what its reference looked like?

Two signs of it: generated videos look like the reference where their prompt asks for something
else, and all seeds look alike.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import InputError
from kinema.measure.judgement import WORDS, Judgement
from kinema.measure.transfer import path_error
from kinema.sprites import Description

APPEARANCE = ("colour", "shape", "background")
"""The words of a sprite's appearance that a prompt may change."""


def appearance_similarity(frames: Tensor, reference: Tensor) -> Tensor:
    """Return how much videos look like the reference, in [-1, 1].

    `<v, r>` with v and r the mean of each video's frame embeddings, scaled to unit length: 1 for
    the reference itself. Frames are not paired, so motion hardly enters. What is high depends on
    the embedding and on how far the prompt is from the reference: compare methods on the same
    prompts, beside no motion at all.

    A cosine of image embeddings is how DINO and CLIP-I scores measure likeness (N. Ruiz et al.,
    DreamBooth, CVPR 2023); there a high one is wanted.

    Args:
        frames: embeddings of the frames of any number of videos, (..., T, D).
        reference: of one video of any length, (T', D), or of one for each, (..., T', D).

    Returns:
        (...), one for each video.

    Raises:
        InputError: the embeddings are of different lengths, as two models give them.
    """
    if frames.shape[-1] != reference.shape[-1]:
        raise InputError(
            f"embeddings of {frames.shape[-1]} and of {reference.shape[-1]} numbers; embed video "
            "and reference by the same model"
        )
    return (video_embedding(frames) * video_embedding(reference)).sum(dim=-1)


def video_embedding(frames: Tensor) -> Tensor:
    """Return unit vectors (..., D): the mean over frames of embeddings (..., T, D)."""
    return F.normalize(F.normalize(frames, dim=-1).mean(dim=-2), dim=-1)


def seed_diversity(frames: Tensor) -> float:
    """Return how far videos of one prompt and different seeds differ in looks, in [0, 2].

    `1 - mean_{i < j} <v_i, v_j>` over all pairs of video embeddings v: 0 if all look alike; above 1
    only if they look opposite, which CLIP's pictures never do.

    Args:
        frames: embeddings of S videos, (S, T, D).

    Raises:
        InputError: there are fewer than two videos.
    """
    _check_pairs(len(frames))
    videos = video_embedding(frames)
    return float(1 - torch.stack([a @ b for a, b in combinations(videos, 2)]).mean())


def path_diversity(trajectory: Tensor) -> float:
    """Return how far sprites of one prompt and different seeds are apart, 0 or more.

    `mean_{i < j} sqrt(mean_t |p_{i,t} - p_{j,t}|^2)` over all pairs of tracks, in half frame
    widths. Under one motion the paths are alike and what is left is where they lie: 0 means that
    the place was copied too.

    Args:
        trajectory: of S videos, (S, T, 2), as `judge` or `render` gives it.

    Raises:
        InputError: there are fewer than two tracks, or they are not (S, T, 2) with T at least 2.
    """
    _check_pairs(len(trajectory))
    first, second = zip(*combinations(range(len(trajectory)), 2), strict=True)
    apart = path_error(trajectory[list(first)], trajectory[list(second)], aligned=False)
    return float(apart.mean())


def _check_pairs(num_videos: int) -> None:
    if num_videos < 2:
        raise InputError(f"diversity of {num_videos} videos; give those of two seeds or more")


def leak_shares(
    judgement: Judgement,
    prompts: Sequence[Description],
    references: Sequence[Description],
) -> dict[str, float]:
    """Return the share of sprites videos that look like the reference where they should not.

    Of the videos whose prompt asks for another colour than the reference's, the share that is
    judged to have the reference's; likewise for shape and background. "any" is the share with at
    least one such word, of the videos with at least one word asked otherwise.

    0 is no leak, 1 all leak. A model that draws some other colour at random leaks in a fifth of
    the videos, so the shares of generation without a motion belong beside these.

    Args:
        judgement: of B videos.
        prompts: what each should look like.
        references: what the reference of each looks like.

    Returns:
        Shares in [0, 1] under "colour", "shape", "background" and "any"; without a word that no
        prompt asks to be other than the reference's.

    Raises:
        InputError: there is not one prompt and one reference for each video, or every prompt asks
            for the reference's looks.
    """
    for name, described in (("prompts", prompts), ("references", references)):
        if len(described) != len(judgement):
            raise InputError(
                f"{len(described)} {name} for {len(judgement)} videos; give one for each"
            )
    shares: dict[str, float] = {}
    asked_any = torch.zeros(len(judgement), dtype=torch.bool)
    leaks_any = torch.zeros(len(judgement), dtype=torch.bool)
    for name in APPEARANCE:
        wanted, theirs = (
            torch.tensor([WORDS[name].index(getattr(words, name)) for words in described])
            for described in (prompts, references)
        )
        asked = wanted != theirs
        leaks = asked & (getattr(judgement, name).cpu() == theirs)
        if asked.any():
            shares[name] = float(leaks.sum() / asked.sum())
        asked_any, leaks_any = asked_any | asked, leaks_any | leaks
    if not shares:
        raise InputError(
            "every prompt asks for the colour, shape and background of its reference, so there is "
            "nothing to leak; give prompts that differ"
        )
    return shares | {"any": float(leaks_any.sum() / asked_any.sum())}
