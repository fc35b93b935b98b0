"""Scorers say which they are, and see what they score against before anything is learned."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.compare import Plan, Reference, SpriteScorer, TrackScorer, compare, open_prompts
from kinema.errors import InputError
from kinema.measure import LucasKanade, Tracks
from kinema.sprites import render, scenes_of
from tests.measure.tiny_clip import tiny_clip

FOG = Reference("fog", torch.full((8, 3, 64, 64), 0.5), "fog")


def moving_star(name: str = "left") -> Reference:
    scenes = scenes_of(["a large red star on a textured background, moving left"], seed=1)
    return Reference(name, render(scenes).video[0], "a star")


def plan_of(*references: Reference, **changes: Any) -> Plan:
    settings: dict[str, Any] = {"prompts": open_prompts(1), "methods": ("none",), "num_steps": 1}
    return Plan(references, **settings | changes)


@pytest.fixture(scope="module")
def scored_with_clip(embedded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that a CLIP had its say in."""
    folder = tmp_path_factory.mktemp("scored")
    scorer = TrackScorer(clip=tiny_clip())
    compare(embedded, plan_of(moving_star()), scorer, folder, progress=False)
    return folder


def test_scorers_of_other_settings_are_others() -> None:
    clip, other = tiny_clip(), tiny_clip()
    with torch.no_grad():
        other.model.visual_projection.weight.mul_(2)
    scorers = [
        SpriteScorer(),
        TrackScorer(),
        TrackScorer(tracker=LucasKanade(grid_size=8)),
        TrackScorer(clip=clip),
        TrackScorer(clip=other),
    ]
    identities = [json.dumps(scorer.identity()) for scorer in scorers]
    assert len(set(identities)) == len(scorers)
    assert json.dumps(TrackScorer(clip=tiny_clip()).identity()) == identities[3]


def test_a_comparison_by_another_scorer_is_refused(scored_with_clip: Path, embedded: Any) -> None:
    with_less_points = TrackScorer(tracker=LucasKanade(grid_size=8), clip=tiny_clip())
    for scorer in (TrackScorer(), with_less_points):
        with pytest.raises(InputError, match="with other scorer; give another folder"):
            compare(embedded, plan_of(moving_star()), scorer, scored_with_clip, progress=False)


def test_the_page_and_the_summary_name_tracker_and_clip(scored_with_clip: Path) -> None:
    page = " ".join((scored_with_clip / "index.html").read_text().split())
    digest = tiny_clip().identity()["weights"]
    assert "scored by TrackScorer (tracker LucasKanade (grid size 55" in page
    assert f"clip (weights {digest})" in page
    summary = json.loads((scored_with_clip / "comparison.json").read_text())
    assert summary["scorer"]["clip"]["weights"] == digest


def test_a_clip_that_cannot_be_tracked_is_refused_before_anything_is_learned(
    embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []
    monkeypatch.setattr("kinema.compare.run._learned", lambda *given: learned.append("x"))
    # The last of them is in the way, and it is found before the first is learned from.
    with pytest.raises(InputError, match="no tracks found in fog"):
        compare(embedded, plan_of(moving_star(), FOG), TrackScorer(), tmp_path / "out")
    assert not learned
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_nothing_was_done_takes_another_plan(
    embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("kinema.compare.run._learned", interrupted)
        compare(embedded, plan_of(moving_star()), TrackScorer(), tmp_path, progress=False)
    plan = plan_of(moving_star(), num_steps=2)
    summary = compare(embedded, plan, TrackScorer(), tmp_path, progress=False)
    assert summary["num_steps"] == 2
    assert json.loads((tmp_path / "plan.json").read_text())["num_steps"] == 2


def interrupted(*given: object) -> None:
    raise KeyboardInterrupt


def test_results_of_something_else_are_refused(embedded: Any, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"num_prompts": 3}\n')
    with pytest.raises(InputError, match="results without the plan of a comparison"):
        compare(embedded, plan_of(moving_star()), TrackScorer(), tmp_path)


def test_a_scorer_that_is_used_again_looks_at_the_new_clips() -> None:
    scorer = TrackScorer()
    star = moving_star()
    back = Reference("left", star.video.flip(0), "a star")
    for reference in (star, back):
        scorer.prepare(reference, reference.video)
    scores = scorer.score(back.video, reference=back, prompt="x")
    assert scores["motion_fidelity"] == pytest.approx(1, abs=1e-6)


class ByBrightness:
    """Tracks of a grid that all move as the video's mean colour says, and never rest."""

    def identity(self) -> dict[str, Any]:
        return {"name": "ByBrightness"}

    def __call__(self, video: torch.Tensor, *, clip: str = "the video") -> Tracks:
        way = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * (2 * video.mean() - 1)
        return Tracks(torch.arange(len(video))[None, :, None] * 0.05 * way[:, None], None)


def test_fidelity_as_published_stands_beside_ours_where_it_is_asked_for() -> None:
    white, black = torch.ones(8, 3, 16, 16), torch.zeros(8, 3, 16, 16)
    reference = Reference("white", white, "white")
    scorer = TrackScorer(tracker=ByBrightness(), as_published=True)
    scorer.prepare(reference, white)
    same, back = (scorer.score(v, reference=reference, prompt="x") for v in (white, black))
    assert same["motion_fidelity"] == pytest.approx(1)
    assert back["motion_fidelity"] < 0
    # A track's own partner has 1 taken off: the best of the others is at 45 degrees, for two
    # of the three; a video against itself does not score 1.
    assert same["dmt_motion_fidelity"] == pytest.approx(0.5**0.5)
    assert back["dmt_motion_fidelity"] == pytest.approx((0 + 0 - 0.5**0.5) / 3)
    # A track that rests makes it NaN, which is no figure.
    rests = scorer.score(torch.full_like(white, 0.5), reference=reference, prompt="x")
    assert rests["dmt_motion_fidelity"] is None
    assert "dmt_motion_fidelity" not in TrackScorer().identity()
    assert scorer.identity() != TrackScorer(tracker=ByBrightness()).identity()


def test_looks_of_seeds_differ_by_clip_alone() -> None:
    star = moving_star().video
    assert TrackScorer().diversity(torch.stack([star, star])) is None
    scorer = TrackScorer(clip=tiny_clip())
    assert scorer.diversity(torch.stack([star, star])) == pytest.approx(0, abs=1e-6)
    assert scorer.diversity(torch.stack([star, 1 - star])) > 1e-4


def test_a_reference_that_was_not_prepared_is_named() -> None:
    star = moving_star()
    with pytest.raises(InputError, match="nothing is known of the reference left; prepare"):
        TrackScorer().score(star.video, reference=star, prompt="x")
