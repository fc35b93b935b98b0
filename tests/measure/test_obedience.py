"""The report on what a model obeys: one that does scores 1, one that does not scores chance."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kinema.errors import InputError
from kinema.measure.obedience import captions_to_obey, report, summarise
from kinema.sprites import models, render, scenes_of


class Obedient:
    """Renders what a caption says, in the form of a pipeline's output."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.vae = models.new_autoencoder().eval()
        self.num_calls = 0

    def __call__(self, captions, *, generator, num_frames, **options):
        self.num_calls += 1
        seed = generator[0].initial_seed()
        video = render(scenes_of(self.heard(captions), seed=seed), num_frames=num_frames).video
        return SimpleNamespace(frames=video)

    def heard(self, captions: list[str]) -> list[str]:
        return captions


class Deaf(Obedient):
    """Renders the same thing whatever is said."""

    def heard(self, captions: list[str]) -> list[str]:
        return ["a large red circle on a black background, moving left"] * len(captions)


def test_a_model_that_obeys_is_right_every_time(tmp_path: Path) -> None:
    summary = report(Obedient(), tmp_path, num_prompts=24, num_seeds=2, num_judged=4)
    for name in ("colour", "shape", "background", "appearance", "motion", "size", "one_sprite"):
        assert summary[name]["mean"] == 1, name
    assert summary["shape_changes"]["mean"] == 0
    assert summary["motions_open"] > 0.5
    assert json.loads((tmp_path / "report.json").read_text()) == summary
    assert (tmp_path / "sheet.png").exists()


def test_a_model_that_does_not_listen_is_right_by_chance(tmp_path: Path) -> None:
    summary = report(Deaf(), tmp_path, num_prompts=40, num_seeds=1, num_judged=4)
    assert summary["appearance"]["mean"] < 0.1
    assert summary["motion"]["mean"] < 0.25
    assert summary["motions_open"] == 0


def test_an_interrupted_report_goes_on(tmp_path: Path) -> None:
    whole = report(Obedient(), tmp_path / "whole", num_prompts=16, num_seeds=1, num_judged=2)
    first = tmp_path / "parted"
    first.mkdir()
    lines = (tmp_path / "whole" / "results.jsonl").read_text().splitlines(keepends=True)
    (first / "results.jsonl").write_text("".join(lines[:9]) + lines[9][:20])
    model = Obedient()
    parted = report(model, first, num_prompts=16, num_seeds=1, num_judged=2)
    assert model.num_calls == 1
    assert parted["appearance"] == whole["appearance"]
    with pytest.raises(InputError, match="other settings"):
        report(model, first, num_prompts=16, num_seeds=2)


def test_half_of_the_captions_name_a_motion() -> None:
    captions = captions_to_obey(300)
    named = sum(", " in caption for caption in captions)
    assert 120 < named < 180
    assert captions == captions_to_obey(300)


def test_the_spread_is_over_seeds() -> None:
    right = dict.fromkeys(("size", "colour", "shape", "background", "appearance"), True)
    common = {"motion": None, "seen": {"motion": "still"}, "one_sprite": True, "seconds": 1.0}
    common |= {"colour_changes": 0.0, "shape_changes": 0.0, "colour_drift": 0.0}
    results = [
        {**right, **common, "colour": colour, "seed": seed}
        for seed, colour in ((0, True), (0, True), (1, True), (1, False))
    ]
    summary = summarise(results)
    assert summary["colour"] == {"mean": 0.75, "spread": pytest.approx(0.3536, abs=1e-4)}
    assert "motion" not in summary


def test_a_report_in_bfloat16_says_so_and_runs_in_it(tmp_path: Path) -> None:
    enabled = []

    class Watched(Obedient):
        device = torch.device("cpu")

        def __call__(self, captions, **options):
            enabled.append(torch.is_autocast_enabled("cpu"))
            return super().__call__(captions, **options)

    summary = report(
        Watched(), tmp_path, num_prompts=8, num_seeds=1, num_judged=2, precision="bf16"
    )
    assert enabled == [True]
    assert summary["settings"]["precision"] == "bf16"
    with pytest.raises(InputError, match="'fp8'"):
        report(Watched(), tmp_path, precision="fp8")
