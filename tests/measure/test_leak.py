from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.measure import (
    appearance_similarity,
    judge,
    leak_shares,
    path_diversity,
    seed_diversity,
)
from kinema.sprites import parse_caption, render, sample_scenes, scenes_of
from tests.measure.tiny_clip import tiny_clip

RED = parse_caption("a red circle on a black background")
BLUE = parse_caption("a blue star on a navy background")


def embeddings(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1 + torch.randn(*shape, generator=generator, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 4), st.integers(1, 4))
def test_similarity_and_diversity_are_cosines_of_mean_embeddings(seed, num, num_frames, other):
    frames, reference = embeddings(seed, num, num_frames, 6), embeddings(seed + 1, other, 6)

    def mean_direction(video: torch.Tensor) -> torch.Tensor:
        mean = sum(frame / frame.norm() for frame in video) / len(video)
        return mean / mean.norm()

    videos, theirs = [mean_direction(video) for video in frames], mean_direction(reference)
    similar = [(video @ theirs).item() for video in videos]
    assert appearance_similarity(frames, reference).tolist() == pytest.approx(similar)
    pairs = [(a @ b).item() for a, b in combinations(videos, 2)]
    assert seed_diversity(frames) == pytest.approx(1 - sum(pairs) / len(pairs))
    each = appearance_similarity(frames, reference.expand(num, -1, -1))
    assert each.tolist() == pytest.approx(similar)
    assert appearance_similarity(reference, reference).item() == pytest.approx(1)


def test_looks_and_not_motion_decide():
    captions = ["a large red circle on a grey background, moving left"] * 2
    captions += ["a large red circle on a grey background, moving up"]
    captions += ["a large yellow cross on a navy background, moving left"]
    clip = tiny_clip()
    frames = clip.frames(render(scenes_of(captions, seed=0)).video)
    alike, moved_otherwise, looks_otherwise = appearance_similarity(frames[1:], frames[0])
    assert looks_otherwise < moved_otherwise < 1
    assert looks_otherwise < alike
    assert seed_diversity(frames[:1].expand(3, -1, -1)) == pytest.approx(0, abs=1e-6)
    assert seed_diversity(frames[:2]) < seed_diversity(frames[2:])


def test_path_diversity_is_the_mean_distance_of_two_tracks():
    tracks = embeddings(0, 4, 7, 2)
    expected = []
    for a, b in combinations(tracks, 2):
        squares = [((p - q) ** 2).sum() for p, q in zip(a, b, strict=True)]
        expected.append(torch.stack(squares).mean().sqrt().item())
    assert path_diversity(tracks) == pytest.approx(sum(expected) / 6)
    assert path_diversity(tracks[:1].expand(3, -1, -1)) == 0
    apart = torch.zeros(2, 5, 2)
    apart[1, :, 0] = 0.3
    assert path_diversity(apart) == pytest.approx(0.3)


def test_diversity_of_one_video_is_refused():
    for measure in (seed_diversity, path_diversity):
        with pytest.raises(InputError, match="diversity of 1 videos; give those of two seeds"):
            measure(torch.zeros(1, 4, 2))
    with pytest.raises(InputError, match=r"give \(B, T, 2\)"):
        path_diversity(torch.zeros(3, 4))


def judged(*captions: str):
    return judge(render(scenes_of(list(captions), seed=0), num_frames=8).video)


def test_what_looks_like_the_reference_against_its_prompt_leaks():
    seen = judged(
        "a large blue star on a navy background",
        "a large red star on a navy background",
        "a large red circle on a navy background",
        "a large green star on a black background",
    )
    shares = leak_shares(seen, [BLUE] * 4, [RED] * 4)
    assert shares == {"colour": 0.5, "shape": 0.25, "background": 0.25, "any": 0.75}


def test_only_words_that_the_prompt_changes_are_counted():
    seen = judged(
        "a large red circle on a black background", "a large red star on a grey background"
    )
    prompts = [replace(RED, shape="star"), RED]
    assert leak_shares(seen, prompts, [RED, RED]) == {"shape": 1.0, "any": 1.0}
    with pytest.raises(InputError, match="nothing to leak"):
        leak_shares(seen, [RED, RED], [RED, RED])


def test_obedient_videos_do_not_leak_and_copies_leak_all():
    scenes = sample_scenes(8, seed=0, colours=["red", "blue"], sizes=["large"], motions=["still"])
    rendering = render(scenes, num_frames=8)
    prompts = rendering.descriptions
    references = [
        replace(d, colour="white", shape="ring" if d.shape != "ring" else "cross") for d in prompts
    ]
    seen = judge(rendering.video)
    assert leak_shares(seen, prompts, references) == {"colour": 0, "shape": 0, "any": 0}
    copies = leak_shares(seen, references, prompts)
    assert copies == {"colour": 1, "shape": 1, "any": 1}


def test_lists_that_do_not_match_the_videos_are_refused():
    seen = judged(str(RED), str(BLUE))
    with pytest.raises(InputError, match="1 prompts for 2 videos"):
        leak_shares(seen, [RED], [RED, BLUE])
    with pytest.raises(InputError, match="3 references for 2 videos"):
        leak_shares(seen, [RED, BLUE], [RED] * 3)


def test_embeddings_of_two_models_are_refused() -> None:
    with pytest.raises(InputError, match="embeddings of 512 and of 768 numbers; embed video and"):
        appearance_similarity(torch.rand(3, 512), torch.rand(3, 768))
