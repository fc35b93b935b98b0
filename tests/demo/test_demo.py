"""The demonstration in small: everything it does, with few clips and steps."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kinema.demo import Comparison, Row, Settings, generate, learn, reuse, run_demo
from kinema.demo.perceive import CLASSES, Learned, draw_clips
from kinema.errors import InputError
from kinema.measure import judge
from kinema.motion_inversion import InversionSettings, Motion
from kinema.sprites import Nuisances, parse_caption
from kinema.video import write_video

SMALL = Settings(num_training_clips=40, num_test_clips=100, num_steps=6, batch_size=8)


def test_the_page_shows_files_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "NUM_STEPS", 1)
    monkeypatch.setattr(reuse, "NUM_STEPS", 2)
    monkeypatch.setattr(reuse, "SETTINGS", InversionSettings(num_steps=1, inversion_steps=0))
    video = tmp_path / "mine.mp4"
    write_video(video, torch.rand(9, 3, 48, 64), frames_per_second=8)
    made, page = run_demo(
        tmp_path / "demo", video=video, seeds=[0, 1], settings=SMALL, progress=False
    )
    text = page.read_text()
    shown = re.findall(r'src="([^"]+)"', text)
    assert {"classes.png", "normalisation.png", "yours/overlay.mp4"} <= set(shown)
    assert sum(name.startswith("generated-") for name in shown) == 4
    assert all(caption in text for caption in (*generate.CAPTIONS, *reuse.PROMPTS))
    assert {"reference/overlay.mp4", "without-2.mp4", "with-2.mp4"} <= set(shown)
    assert Motion.load(tmp_path / "demo" / reuse.MOTION).origin.prompt == reuse.REFERENCE_CAPTION
    assert all((page.parent / name).stat().st_size > 500 for name in shown)
    for row in made.comparison.rows():
        assert f"{100 * row.accuracy:.1f} %" in text
    assert "mine.mp4" in text


def test_a_seed_gives_the_same_training_again() -> None:
    first, second, other = (
        learn(use_prompt=True, seed=seed, settings=SMALL, progress=False) for seed in (0, 0, 1)
    )
    assert first.diagnostics == second.diagnostics
    assert first.accuracy == second.accuracy
    assert first.diagnostics != other.diagnostics


def test_training_moves_m_and_n() -> None:
    learned = learn(use_prompt=True, seed=0, settings=SMALL, progress=False)
    assert learned.prompt is not None
    m, n = (learned.prompt.normalisation.get_parameter(name).item() for name in "mn")
    assert m != pytest.approx(0.1, abs=1e-4)
    assert n != pytest.approx(0.0, abs=1e-4)


def test_training_learns_more_than_chance() -> None:
    settings = Settings(
        num_training_clips=200, num_test_clips=200, num_steps=80, nuisances=Nuisances(noise=0.03)
    )
    learned = learn(use_prompt=True, seed=0, settings=settings, progress=False)
    assert learned.accuracy > 3 / len(CLASSES)


def test_appearance_tells_nothing_about_the_class() -> None:
    clips, labels = draw_clips(600, seed=5, settings=SMALL)
    # The mean colour of a clip knows background and sprite; the nearest neighbour in it should be
    # of the same class as often as chance has it.
    colour = clips.mean(dim=(1, 3, 4))
    distance = torch.cdist(colour, colour).fill_diagonal_(torch.inf)
    agreement = (labels[distance.argmin(dim=1)] == labels).float().mean().item()
    assert agreement < 0.16


def test_rows_give_mean_and_spread_over_seeds() -> None:
    runs = [Learned(accuracy, None, None) for accuracy in (0.5, 0.7)]
    assert Row("some", runs).accuracy == pytest.approx(0.6)
    assert Row("some", runs).spread == pytest.approx(0.1414, abs=1e-4)
    assert Row("some", runs[:1]).spread == 0
    assert [row.model for row in Comparison(runs, runs).rows()] == [
        "without motion prompt",
        "with motion prompt",
    ]


def test_a_demo_without_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed"):
        run_demo(tmp_path / "demo", seeds=[], settings=SMALL)
    assert not (tmp_path / "demo").exists()


def test_the_mean_with_the_motion_is_of_the_videos_with_it() -> None:
    def transfer(cosine: float) -> reuse.Transfer:
        return reuse.Transfer("some.mp4", cosine, {}, appearance=True)

    rows = [("a", transfer(0.0), transfer(0.5)), ("b", transfer(0.1), transfer(0.9))]
    made = reuse.Reuse(SimpleNamespace(), rows, num_numbers=1, file_bytes=1, seconds=1.0)
    assert made.mean_cosine(with_motion=True) == pytest.approx(0.7)
    assert made.mean_cosine(with_motion=False) == pytest.approx(0.05)


def test_the_reference_moves_as_its_caption_does_not_say() -> None:
    verdict = judge(at_model_size(reuse._reference())[None])
    said = parse_caption(reuse.REFERENCE_CAPTION)
    assert said.motion is None
    assert verdict.agreement([said])["appearance"].all()
    assert verdict.words(0)["motion"] == reuse.REFERENCE_MOTION


def at_model_size(video: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(video, size=64, mode="area")
