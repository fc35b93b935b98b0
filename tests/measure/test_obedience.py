"""The report on what a model obeys: one that does scores 1, one that does not scores chance."""

import importlib
import json
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from kinema.errors import InputError
from kinema.measure import judge, obedience
from kinema.measure.obedience import captions_to_obey, report, summarise
from kinema.sprites import models, parse_caption, render, scenes_of
from kinema.video import contact_sheet


class Obedient:
    """Renders what a caption says, in the form of a pipeline's output."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.vae = models.new_autoencoder().eval()
        self.num_calls = 0
        self.interrupted_in: int | None = None

    @property
    def components(self):
        return {"vae": self.vae}

    def __call__(self, captions, *, generator, num_frames, **options):
        if self.num_calls == self.interrupted_in:
            raise KeyboardInterrupt
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
    # Eight videos were left, and eight are made again for the sheet.
    assert model.num_calls == 2
    assert parted["appearance"] == whole["appearance"]
    with pytest.raises(InputError, match="other settings"):
        report(model, first, num_prompts=16, num_seeds=2)


def interrupted(folder: Path, *, in_call: int, num_prompts: int) -> None:
    """Begin a report that is interrupted in a batch."""
    model = Obedient()
    model.interrupted_in = in_call
    with pytest.raises(KeyboardInterrupt):
        report(model, folder, num_prompts=num_prompts, num_seeds=1)


def test_a_report_interrupted_before_its_first_result_goes_on(tmp_path: Path) -> None:
    interrupted(tmp_path, in_call=0, num_prompts=2)
    for _ in range(2):
        summary = report(Obedient(), tmp_path, num_prompts=2, num_seeds=1, num_judged=2)
        assert summary["num_videos"] == 2


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The rows that the sheet gets, by their captions."""
    rows: dict[str, torch.Tensor] = {}

    def note(given, **options):
        rows.clear()
        rows.update(given)
        return contact_sheet(given, **options)

    monkeypatch.setattr(obedience, "contact_sheet", note)
    return rows


def obeys(rows: dict[str, torch.Tensor]) -> None:
    for k, (label, video) in enumerate(rows.items()):
        number, _, caption = label.partition(": ")
        assert int(number) == k
        assert judge(video[None]).agreement([parse_caption(caption)])["appearance"].all(), label


def test_the_sheet_has_the_first_seed_of_each_caption_under_its_own_words(
    captioned: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    # The batch of eight crosses from the first seed to the second.
    report(Obedient(), tmp_path, num_prompts=3, num_seeds=3, num_judged=2)
    assert len(captioned) == 3
    obeys(captioned)


def test_the_sheet_of_a_report_that_goes_on_is_whole(
    captioned: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    interrupted(tmp_path, in_call=1, num_prompts=9)
    assert not captioned
    report(Obedient(), tmp_path, num_prompts=9, num_seeds=1, num_judged=2)
    assert len(captioned) == 9
    obeys(captioned)
    # A finished one is left as it is.
    model = Obedient()
    report(model, tmp_path, num_prompts=9, num_seeds=1, num_judged=2)
    assert model.num_calls == 0


def test_results_of_other_weights_are_refused(tmp_path: Path) -> None:
    report(Obedient(), tmp_path, num_prompts=2, num_seeds=1, num_judged=2)
    other = Obedient()
    with torch.no_grad():
        next(other.vae.parameters()).add_(1e-3)
    with pytest.raises(InputError, match="results of other settings"):
        report(other, tmp_path, num_prompts=2, num_seeds=1, num_judged=2)
    assert other.num_calls == 0


@pytest.mark.parametrize("unit", [("linux", 1024), ("darwin", 1)])
def test_memory_is_in_bytes_on_every_system(
    unit: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, factor = unit
    usage = SimpleNamespace(ru_maxrss=7)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(sys, "platform", platform)
    assert obedience._peak_bytes() == 7 * factor


def test_the_report_needs_no_module_that_windows_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    importlib.reload(obedience)
    memory = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=11))
    monkeypatch.setattr(psutil, "Process", lambda: memory)
    monkeypatch.setattr(sys, "platform", "win32")
    assert obedience._peak_bytes() == 11


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
        def __call__(self, captions, **options):
            enabled.append(torch.is_autocast_enabled("cpu"))
            return super().__call__(captions, **options)

    summary = report(
        Watched(), tmp_path, num_prompts=8, num_seeds=1, num_judged=2, precision="bf16"
    )
    assert summary["machine"]["device"] == "cpu"
    assert enabled == [True]
    assert summary["settings"]["precision"] == "bf16"
    with pytest.raises(InputError, match="'fp8'"):
        report(Watched(), tmp_path, precision="fp8")
