"""A comparison on the embedded model: resumable, scored against the truth, one table, one page."""

import dataclasses
import json
import re
import shutil
import sys
import time
from itertools import combinations, pairwise
from math import dist
from pathlib import Path
from statistics import stdev
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from kinema.cli import main
from kinema.cli.compare import table
from kinema.compare import (
    Plan,
    Reference,
    SpriteScorer,
    TrackScorer,
    clip_reference,
    clip_references,
    compare,
    measured,
    open_prompts,
    rows_of,
    sprites_references,
    travelling_references,
)
from kinema.compare.page import write_page
from kinema.errors import InputError
from kinema.measure import LucasKanade, judge, path_diversity
from kinema.peers import Inversion, VmcSettings
from kinema.sprites import parse_caption, render, scenes_of
from kinema.video import read_video, write_video
from tests.peers.quick import QUICK

SETTINGS = {
    "kinema": dataclasses.replace(QUICK["kinema"], inversion_steps=0),
    "vmc": VmcSettings(num_steps=1, inversion_steps=1, gradient_checkpointing=False),
}


def plan_of(**changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "references": travelling_references(1),
        "prompts": open_prompts(2),
        "seeds": (0, 1),
        "methods": ("none", "kinema", "vmc"),
        "settings": SETTINGS,
        "num_steps": 1,
        "guidance": 3.0,
    }
    return Plan(**settings | changes)


class Interrupted(SpriteScorer):
    """A scorer that gives up at one video."""

    def __init__(self, after: int) -> None:
        super().__init__()
        object.__setattr__(self, "left", [after])

    def score(self, video, **of):
        self.left[0] -= 1
        if self.left[0] < 0:
            raise KeyboardInterrupt
        return super().score(video, **of)


# A comparison knows its scorer by name.
Interrupted.__name__ = SpriteScorer.__name__


def results(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in ("seconds", "peak_bytes")}
        for line in lines
    ]


@pytest.fixture(scope="module")
def finished(embedded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    compare(embedded, plan_of(), SpriteScorer(), folder, model="sprites", progress=False)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A finished comparison that may be spoilt."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_only_sampling_is_done_in_another_precision(embedded: Any, tmp_path: Path) -> None:
    seen: list[tuple[bool, torch.dtype]] = []
    linear = embedded.unet.time_embedding.linear_2
    hook = linear.register_forward_hook(
        lambda module, given, output: seen.append((torch.is_grad_enabled(), output.dtype))
    )
    plan = plan_of(methods=("kinema",), prompts=open_prompts(1), seeds=(0,), precision="bf16")
    try:
        compare(embedded, plan, SpriteScorer(), tmp_path / "bf16", progress=False)
    finally:
        hook.remove()
    assert {dtype for learning, dtype in seen if learning} == {torch.float32}
    assert seen[-1] == (False, torch.bfloat16)


def test_a_comparison_has_a_row_a_method_and_a_line_a_video(finished: Path) -> None:
    summary = json.loads((finished / "comparison.json").read_text())
    assert [row["method"] for row in summary["rows"]] == ["none", "kinema", "vmc"]
    lines = results(finished)
    assert len(lines) == 3 * 1 * 2 * 2
    assert len({tuple(line[k] for k in ("method", "prompt", "seed")) for line in lines}) == 12
    none, ours, vmc = summary["rows"]
    assert none["parameters"] == 0
    assert ours["parameters"] < vmc["parameters"]
    for row in summary["rows"]:
        assert row["pipeline"] == "sprites"
        assert -1 <= row["displacement_cosine"]["mean"] <= 1
        assert 0 <= row["appearance"]["mean"] <= 1
        assert row["seconds"]["mean"] > 0
        assert row["file_bytes"] > 0
    assert ours["peak_bytes"] > 0


def test_every_seed_starts_from_noise_of_its_own(finished: Path) -> None:
    # VMC starts from the clip's inverted noise alone, whatever the seed.
    for method in ("none", "kinema"):
        first, second = (
            [line for line in results(finished) if (line["method"], line["seed"]) == (method, seed)]
            for seed in (0, 1)
        )
        for one, other in zip(first, second, strict=True):
            assert one["prompt"] == other["prompt"]
            assert (finished / one["file"]).read_bytes() != (finished / other["file"]).read_bytes()


def test_its_figures_are_means_over_seeds_of_the_lines(finished: Path) -> None:
    summary = json.loads((finished / "comparison.json").read_text())
    lines = [line for line in results(finished) if line["method"] == "kinema"]
    by_seed = [
        np.mean([line["displacement_cosine"] for line in lines if line["seed"] == seed])
        for seed in (0, 1)
    ]
    found = summary["rows"][1]["displacement_cosine"]
    assert found["mean"] == pytest.approx(np.mean(by_seed))
    assert found["spread"] == pytest.approx(stdev(by_seed))


def test_seeds_differ_as_far_as_their_videos_say(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "diversity.jsonl").read_text().splitlines()]
    assert len(lines) == 3 * 2
    found: dict[str, list[float]] = {}
    for line in lines:
        files = [
            finished / each["file"]
            for each in results(finished)
            if (each["method"], each["prompt"]) == (line["method"], line["prompt"])
        ]
        videos = torch.stack([read_video(file).video for file in files])
        assert line["diversity"] == pytest.approx(path_diversity(judge(videos).trajectory))
        found.setdefault(line["method"], []).append(line["diversity"])
    for row in json.loads((finished / "comparison.json").read_text())["rows"]:
        assert row["diversity"]["mean"] == pytest.approx(np.mean(found[row["method"]]))
    # VMC starts from the clip's own noise, whatever the seed.
    assert max(found["vmc"]) < 0.01 < max(found["kinema"])


def test_its_page_shows_every_video(finished: Path) -> None:
    page = (finished / "index.html").read_text()
    sources = re.findall(r'<video src="([^"]+)"', page)
    assert len(set(sources)) == len(sources) == 1 + 3 * 2 * 2
    assert all((finished / source).stat().st_size > 0 for source in sources)
    assert page.count("<circle") == 3
    assert all(prompt in page for prompt in plan_of().prompts)


def test_an_interrupted_comparison_comes_to_the_same_results(
    finished: Path, embedded: Any, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        compare(embedded, plan_of(), Interrupted(7), tmp_path, model="sprites", progress=False)
    assert len(results(tmp_path)) == 7
    # As if it had been killed in the middle of a line.
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"method": "km')
    before = (tmp_path / "learned.jsonl").read_text()
    compare(embedded, plan_of(), SpriteScorer(), tmp_path, model="sprites", progress=False)
    assert results(tmp_path) == results(finished)
    assert (tmp_path / "learned.jsonl").read_text().startswith(before)


def test_a_comparison_in_batches_comes_to_the_same_results(
    finished: Path, embedded: Any, tmp_path: Path
) -> None:
    plan = plan_of(methods=("none", "kinema"))
    compare(
        embedded,
        plan,
        SpriteScorer(),
        tmp_path / "b",
        model="sprites",
        batch_size=3,
        progress=False,
    )
    expected = [each for each in results(finished) if each["method"] != "vmc"]
    for found, alone in zip(results(tmp_path / "b"), expected, strict=True):
        assert found == pytest.approx(alone, abs=1e-2)
    with pytest.raises(InputError, match="batch_size is 0"):
        compare(embedded, plan, SpriteScorer(), tmp_path / "c", batch_size=0)


def test_clips_and_videos_have_the_length_and_size_of_the_plan(
    embedded: Any, tmp_path: Path
) -> None:
    few = {"prompts": open_prompts(1), "seeds": (0,)}
    plan = plan_of(**few, num_frames=8, size=(32, 64))
    with pytest.raises(InputError, match="known of whole references"):
        compare(embedded, plan, SpriteScorer(), tmp_path, model="sprites")
    compare(embedded, plan, TrackScorer(), tmp_path, model="sprites", progress=False)
    made = sorted((tmp_path / "videos").iterdir())
    assert len(made) == 3
    for path in (*made, *(tmp_path / "references").iterdir()):
        assert read_video(path).video.shape == (8, 3, 32, 64), path
    # Plans of before say nothing of them, and mean the pipeline's own.
    assert {"num_frames", "size"} & plan_of().as_dict().keys() == set()
    with pytest.raises(InputError, match="with other num_frames, size; give another folder"):
        compare(embedded, plan_of(**few), TrackScorer(), tmp_path, model="sprites")


def test_a_finished_comparison_is_shown_again_without_what_its_methods_need(
    finished: Path, embedded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kinema.peers.methods.Peer.check", lambda *_: pytest.fail("asked"))
    compare(embedded, plan_of(), SpriteScorer(), finished, model="sprites", progress=False)


def test_what_another_comparison_left_of_seeds_is_refused(
    finished: Path, embedded: Any, tmp_path: Path
) -> None:
    (tmp_path / "diversity.jsonl").write_bytes((finished / "diversity.jsonl").read_bytes())
    with pytest.raises(InputError, match="results without the plan of a comparison"):
        compare(embedded, plan_of(), SpriteScorer(), tmp_path, model="sprites")


@pytest.mark.parametrize(
    ("appearance", "said"),
    [(None, "that takes a CLIP model"), ({"mean": 0.3, "spread": 0.1}, "could be followed")],
)
def test_a_page_without_points_says_why(
    appearance: Any, said: str, finished: Path, tmp_path: Path
) -> None:
    summary = json.loads((finished / "comparison.json").read_text())
    for row in summary["rows"]:
        row["appearance"], row["displacement_cosine"] = appearance, None
    page = write_page(tmp_path, plan_of(), summary, results(finished), SpriteScorer()).read_text()
    assert said in page
    assert "<circle" not in page


@pytest.mark.parametrize(
    ("least", "most"), [(0.2, 0.9), (0.0, 0.8), (-1.0, 1.0), (0.98, 1.0), (0.5, 0.5), (0.0, 1e-4)]
)
def test_numbers_of_an_axis_are_apart(
    least: float, most: float, finished: Path, tmp_path: Path
) -> None:
    summary = json.loads((finished / "comparison.json").read_text())
    for row, value in zip(summary["rows"], (least, most, least), strict=True):
        row["appearance"] = row["displacement_cosine"] = {"mean": value, "spread": 0.0}
    page = write_page(tmp_path, plan_of(), summary, results(finished), SpriteScorer()).read_text()
    places = [float(x) for x in re.findall(r'<line x1="([\d.]+)" x2="\1" y1="320"', page)]
    assert 3 <= len(places) <= 8
    assert min(b - a for a, b in pairwise(places)) > 35


@pytest.mark.parametrize("folder", ["references", "videos"])
def test_a_clip_in_the_output_is_not_written_over(
    embedded: Any, tmp_path: Path, folder: str
) -> None:
    clip, other = tmp_path / folder / "car.mp4", tmp_path / "elsewhere" / "car.mp4"
    for path in (clip, other):
        path.parent.mkdir()
        write_video(path, torch.rand(8, 3, 64, 64), frames_per_second=8)
    before = clip.read_bytes()
    # The other would be shown where the first one is, which is shown elsewhere.
    plan = plan_of(references=clip_references([(other, "a bus"), (clip, "a car")]))
    with pytest.raises(InputError, match=r"write over the clip .*; give another output"):
        compare(embedded, plan, TrackScorer(), tmp_path)
    assert clip.read_bytes() == before


def test_a_video_of_nan_says_whose_it_is(
    embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(methods=("none",), prompts=open_prompts(1), seeds=(4,))
    broken = torch.full((16, 3, 64, 64), torch.nan)
    monkeypatch.setattr("kinema.peers.methods.Peer.generate", lambda *_, **__: broken)
    with pytest.raises(InputError, match=r"none made a video of NaN .* seed 4, by 00-right; leave"):
        compare(embedded, plan, SpriteScorer(), tmp_path, progress=False)


def test_a_finished_comparison_is_not_run_again(finished: Path, embedded: Any) -> None:
    before = (finished / "results.jsonl").read_text()
    compare(embedded, plan_of(), SpriteScorer(), finished, model="sprites", progress=False)
    assert (finished / "results.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seeds": (0,)}, "seeds"),
        ({"guidance": 4.0}, "guidance"),
        ({"settings": {}}, "settings of kinema, settings of vmc"),
        ({"references": travelling_references(2)}, "references"),
    ],
)
def test_a_folder_of_another_plan_is_refused(
    finished: Path, embedded: Any, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=f"with other {named}; give another folder"):
        compare(embedded, plan_of(**changes), SpriteScorer(), finished, model="sprites")


def test_methods_come_and_go_in_a_folder(finished: Path, embedded: Any, copied: Path) -> None:
    few = compare(
        embedded,
        plan_of(methods=("kinema",)),
        SpriteScorer(),
        copied,
        model="sprites",
        progress=False,
    )
    assert [row["method"] for row in few["rows"]] == ["kinema"]
    # The others are not forgotten: neither their videos nor their settings.
    with pytest.raises(InputError, match="with other settings of vmc; give another folder"):
        other = {**SETTINGS, "vmc": VmcSettings(num_steps=2, inversion_steps=1)}
        compare(embedded, plan_of(settings=other), SpriteScorer(), copied, model="sprites")
    again = compare(embedded, plan_of(), SpriteScorer(), copied, model="sprites", progress=False)
    assert again["rows"] == json.loads((finished / "comparison.json").read_text())["rows"]
    assert results(copied) == results(finished)


def test_samplers_and_batches_are_not_mixed(finished: Path, embedded: Any) -> None:
    with pytest.raises(InputError, match="with other batch_size; give another folder"):
        compare(embedded, plan_of(), SpriteScorer(), finished, model="sprites", batch_size=2)
    scheduler = embedded.scheduler
    try:
        for other in (
            DPMSolverMultistepScheduler.from_config(scheduler.config),
            type(scheduler).from_config(scheduler.config, beta_end=0.0123),
        ):
            embedded.scheduler = other
            with pytest.raises(InputError, match="with other scheduler; give another folder"):
                compare(embedded, plan_of(), SpriteScorer(), finished, model="sprites")
    finally:
        embedded.scheduler = scheduler


def test_a_method_that_cannot_be_used_is_refused_before_anything_is_learned(
    embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft.tuners.tuners_utils", None)
    methods = ("none", "kinema", "motiondirector")
    with pytest.raises(InputError, match="MotionDirector needs peft"):
        compare(embedded, plan_of(methods=methods), SpriteScorer(), tmp_path / "out")
    plan = plan_of(settings={**SETTINGS, "vmc": QUICK["dmt"]})
    with pytest.raises(InputError, match="settings of vmc are a DmtSettings"):
        compare(embedded, plan, SpriteScorer(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_learning_cost_is_found_again_where_it_is_lost(
    finished: Path, embedded: Any, copied: Path
) -> None:
    (copied / "learned.jsonl").unlink()
    found = compare(embedded, plan_of(), SpriteScorer(), copied, model="sprites", progress=False)
    before = json.loads((finished / "comparison.json").read_text())["rows"]
    for row, old in zip(found["rows"], before, strict=True):
        assert (row["parameters"], row["file_bytes"]) == (old["parameters"], old["file_bytes"])
    assert results(copied) == results(finished)


def test_there_is_no_row_of_nothing() -> None:
    with pytest.raises(InputError, match="there is no video of none in the folder"):
        rows_of(plan_of(methods=("none",)), [], [], pipeline="p")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("plan.json", "[]", "results without the plan of a comparison"),
        ("plan.json", "{}", "results without the plan of a comparison"),
    ],
)
def test_a_damaged_folder_is_a_sentence(
    name: str, content: str, sentence: str, embedded: Any, copied: Path
) -> None:
    (copied / name).write_text(content)
    with pytest.raises(InputError, match=sentence):
        compare(embedded, plan_of(), SpriteScorer(), copied, model="sprites", progress=False)


def test_a_folder_of_other_weights_is_refused(finished: Path, embedded: Any) -> None:
    bias = embedded.unet.conv_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias += 1e-3
    try:
        with pytest.raises(InputError, match="with other weights; give another folder"):
            compare(embedded, plan_of(), SpriteScorer(), finished, model="sprites")
    finally:
        bias.data.copy_(before)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": ("none", "lora")}, "the method is 'lora'"),
        ({"settings": {"lora": None}}, "the method is 'lora'"),
        ({"prompts": ()}, "there are no prompts"),
        ({"prompts": ("a star", " ")}, "the prompt is ' '; give words for what is to be seen"),
        (
            {"references": [dataclasses.replace(travelling_references(1)[0], prompt="")]},
            "the prompt of 00-right is ''; give words",
        ),
        ({"seeds": (2**64,)}, "seed is 18446744073709551616; expected 0 to"),
        ({"seeds": (1, 1)}, "1 is twice among the seeds"),
        ({"precision": "fp8"}, "precision 'fp8' is not one of fp32, bf16"),
        ({"references": travelling_references(1) * 2}, "'00-right' is twice among the references"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        plan_of(**changes)


def test_the_truth_scores_full_marks_and_its_reverse_the_opposite() -> None:
    reference = sprites_references(["a large red star on a black background, moving left"], seed=3)
    caption = "a large green ring on a navy background"
    there, back = (
        render(scenes_of([f"{caption}, moving {way}"], seed=3)).video[0]
        for way in ("left", "right")
    )
    of = {"reference": reference[0], "prompt": caption}
    right, wrong = (SpriteScorer().score(video, **of) for video in (there, back))
    assert right["displacement_cosine"] == pytest.approx(1, abs=0.01)
    assert wrong["displacement_cosine"] == pytest.approx(-1, abs=0.01)
    assert right["path_length_ratio"] == pytest.approx(1, abs=0.2)
    assert right["appearance"] == wrong["appearance"] == 1
    assert right["leak"] == 0
    copied = SpriteScorer().score(reference[0].video, **of)
    assert copied["appearance"] == 0
    assert copied["leak"] == 1
    own = SpriteScorer().score(reference[0].video, **of | {"prompt": reference[0].prompt})
    assert own["leak"] is None


def test_any_clip_is_scored_by_its_tracks() -> None:
    clip = render(scenes_of(["a large red star on a textured background, moving left"], seed=1))
    video = clip.video[0]
    reference = Reference("left", video, "a star")
    scorer = TrackScorer()
    scorer.prepare(reference, video)
    same, back, plain = (
        scorer.score(each, reference=reference, prompt="a star")
        for each in (video, video.flip(0), torch.full_like(video, 0.5))
    )
    assert same["motion_fidelity"] == pytest.approx(1, abs=1e-6)
    assert back["motion_fidelity"] < 0
    assert plain["motion_fidelity"] is None


def test_a_clip_without_anything_to_track_is_named() -> None:
    grey = torch.full((8, 3, 64, 64), 0.5)
    with pytest.raises(InputError, match="fog"):
        TrackScorer().prepare(Reference("fog", grey, "fog"), grey)


def test_sprites_need_a_known_truth_and_prompts_of_their_grammar(tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", torch.rand(8, 3, 64, 64), frames_per_second=8)
    with pytest.raises(InputError, match="the truth of x is not known"):
        SpriteScorer().check(plan_of(references=[clip_reference(tmp_path / "x.mp4", "noise")]))
    with pytest.raises(InputError, match="is not of the form"):
        SpriteScorer().check(plan_of(prompts=["a dog"]))
    with pytest.raises(InputError, match="names no motion"):
        sprites_references(["a red star on a black background"], seed=0)
    with pytest.raises(InputError, match="there is no clip"):
        clip_reference(tmp_path / "y.mp4", "nothing")


def test_references_travel_and_prompts_leave_motion_open() -> None:
    references = travelling_references()
    assert len({reference.description.motion for reference in references}) == 12
    for reference in references:
        assert reference.trajectory.diff(dim=0).norm(dim=1).mean() > 0.02
        assert parse_caption(reference.prompt).motion is None
    assert all(parse_caption(prompt).motion is None for prompt in open_prompts(20))


def test_variants_that_differ_in_sampling_share_what_is_learned(
    embedded: Any, tmp_path: Path
) -> None:
    debiased, raw = (
        Inversion(name, SETTINGS["kinema"], {"value": name}) for name in ("debiased", "raw")
    )
    other = Inversion("other", dataclasses.replace(SETTINGS["kinema"], learning_rate=0.01))
    plan = plan_of(
        prompts=open_prompts(1),
        seeds=(0,),
        methods=("debiased", "raw", "other"),
        variants={"debiased": debiased, "raw": raw, "other": other},
    )
    assert [plan.learned_as(name) for name in plan.methods] == ["debiased", "debiased", "other"]
    summary = compare(embedded, plan, SpriteScorer(), tmp_path, progress=False)
    assert len(list((tmp_path / "learned").iterdir())) == 2
    assert len(results(tmp_path)) == 3
    first, second, _ = summary["rows"]
    assert first["learning_seconds"] == second["learning_seconds"]
    assert summary["methods"]["raw"]["sampling"] == {"value": "raw"}
    with pytest.raises(InputError, match="with other settings of raw"):
        changed = Inversion("raw", SETTINGS["kinema"], {"value": "centred"})
        variants = {"debiased": debiased, "raw": changed, "other": other}
        compare(embedded, dataclasses.replace(plan, variants=variants), SpriteScorer(), tmp_path)


def test_missing_scores_do_not_count() -> None:
    plan = plan_of(methods=("none",))
    videos = [
        {"method": "none", "seed": seed, "score": score, "peak_bytes": 1, "seconds": seconds}
        for seed, score, seconds in ((0, 1.0, 1.0), (0, None, 2.0), (1, 0.0, 3.0), (1, 0.5, 99.0))
    ]
    learned = [
        {
            "method": "none",
            "reference": "a",
            "seed": 0,
            "learning_seconds": seconds,
            "learning_peak_bytes": 5,
            "parameters": 0,
            "file_bytes": 3,
        }
        for seconds in (7.0, 1.0)
    ]
    (row,) = rows_of(plan, videos, learned, pipeline="p")
    assert row["score"] == {
        "mean": 0.625,
        "spread": pytest.approx(stdev([1.0, 0.25])),
        "num_videos": 3,
    }
    assert "0.625 ± 0.530 (3)" in table([row])
    assert row["peak_bytes"] == 5
    # A pause in one of the videos; the second learning of a clip is the one that counts.
    assert row["seconds"] == {"median": 2.5, "mean": 26.25, "spread": pytest.approx(12.625)}
    assert row["learning_seconds"] == {"median": 1.0, "mean": 1.0, "spread": 0.0}
    assert row["diversity"] is None
    assert table([row]).splitlines()[0].split()[-3:] == ["peak_MB", "parameters", "file_MB"]


def test_memory_that_the_process_has_kept_is_seen_again() -> None:
    """As of the second of two methods, which works in what the first one has freed."""
    taken = []
    for _ in range(3):
        with measured(torch.device("cpu")) as cost:
            blocks = [torch.ones(1024 * 256) for _ in range(200)]
            time.sleep(0.1)
        taken.append(cost.peak_bytes / sum(block.nbytes for block in blocks))
        del blocks
    # Pages that other blocks lie on cannot be given back; what is kept whole would leave 0.
    assert all(0.5 < share < 1.5 for share in taken), taken


def test_a_cost_is_time_and_memory() -> None:
    with measured(torch.device("cpu")) as cost:
        block = torch.ones(32 * 1024 * 1024)
        time.sleep(0.1)
    assert block.sum() > 0
    assert 0.1 <= cost.seconds < 5
    assert cost.peak_bytes > 0.8 * block.nbytes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--sprites", "2", "--methods", "none,lora"], "the method is 'lora'"),
        (["--sprites", "13"], "13 sprites references; give 1 to 12"),
        (["--sprites", "2", "--seeds", "0"], "--seeds is 0"),
        (["--sprites", "2", "--model", "some/model"], "--sprites with --model some/model"),
        ([], "give clips by --reference, or --sprites N"),
        (["--sprites", "1", "--prompt", "a dog"], "is not of the form"),
        (["--reference", "no.mp4", "x", "--prompt", "y"], "there is no clip no.mp4"),
        (["--sprites", "1", "--prompts", "0"], "0 prompts"),
        (["--sprites", "1", "--precision", "half"], "precision 'half' is not one of"),
        (["--sprites", "1", "--batch-size", "0"], "batch_size is 0"),
        (["--sprites", "1", "--cotracker"], "--cotracker with --sprites, whose truth is known"),
        (
            ["--reference", __file__, "x", "--prompt", "y", "--cotracker", "no.pth"],
            "no.pth does not exist; give CoTracker 3's scaled_offline.pth",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["compare", *options, "-o", str(output)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not output.exists()


def test_methods_that_are_close_are_told_apart_in_the_picture(
    finished: Path, tmp_path: Path
) -> None:
    summary = json.loads((finished / "comparison.json").read_text())
    for row, appearance, motion in zip(
        summary["rows"], (1.0, 0.997, 0.99), (0.981, 0.965, -0.75), strict=True
    ):
        row["appearance"] = {"mean": appearance, "spread": 0.001}
        row["displacement_cosine"] = {"mean": motion, "spread": 0.01}
    page = write_page(tmp_path, plan_of(), summary, results(finished), SpriteScorer()).read_text()
    places = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', page)
    ]
    assert all(0 < x < 320 and 0 < y < 320 for x, y in places)
    assert all(dist(one, other) > 20 for one, other in combinations(places, 2))
    labels = re.findall(r'text-anchor="(middle|end)">(-?[\d.]+)<', page)
    for anchor, (least, most) in (("middle", (0.98, 1.01)), ("end", (-1, 1.2))):
        numbers = [float(number) for kind, number in labels if kind == anchor]
        assert 3 <= len(numbers) <= 8
        assert all(least < number < most for number in numbers)
        assert numbers == sorted(set(numbers))


def test_clips_are_compared_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "50% left #2.mp4"
    scenes = scenes_of(["a large red star on a textured background, moving left"], seed=1)
    write_video(clip, render(scenes).video[0], frames_per_second=8)
    command = ["compare", "--reference", str(clip), "a star", "--prompt", "a ring"]
    command += ["--methods", "none", "--steps", "1", "-o", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "motion_fidelity" in printed
    page = (tmp_path / "out" / "index.html").read_text()
    sources = re.findall(r'<video src="([^"]+)"', page)
    assert len(sources) == 2
    # A browser would end an address at a # and take 50%20 for a blank.
    assert all("#" not in source for source in sources)
    assert all((tmp_path / "out" / unquote(source)).exists() for source in sources)


def test_cotracker_by_command_scores_as_published_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def loaded(*, checkpoint: str | None, device: str) -> LucasKanade:
        asked.append(checkpoint)
        return LucasKanade(grid_size=8)

    monkeypatch.setattr("kinema.measure.CoTracker", loaded)
    clip = tmp_path / "left.mp4"
    scenes = scenes_of(["a large red star on a textured background, moving left"], seed=1)
    write_video(clip, render(scenes).video[0], frames_per_second=8)
    command = ["compare", "--reference", str(clip), "a star", "--prompt", "a ring"]
    command += ["--methods", "none", "--steps", "1", "-o", str(tmp_path / "out")]
    assert main([*command, "--cotracker", "scaled_offline.pth"]) == 0
    assert asked == ["scaled_offline.pth"]
    assert "dmt_motion_fidelity" in capsys.readouterr().out
