"""A plan is checked as it is made, and clips get names of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kinema.compare import Plan, clip_references, open_prompts, travelling_references
from kinema.errors import InputError
from kinema.motion_inversion import PRESETS, VALUE_MODES
from kinema.peers import Inversion, method_named


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_steps": 0}, "num_steps is 0; give 1 or more"),
        ({"guidance": float("nan")}, "guidance is nan; give a finite number"),
        ({"num_steps": 2.5}, "num_steps is 2.5; expected a whole number"),
        ({"seeds": (0, 0.5)}, "seed is 0.5; expected a whole number"),
        ({"seeds": ("x",)}, "seed is 'x'; expected a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Plan(travelling_references(1), open_prompts(1), **changes)


def test_dmt_is_learned_for_the_steps_that_it_will_be_sampled_in() -> None:
    plan = Plan(travelling_references(1), open_prompts(1), methods=("kinema", "dmt"), num_steps=10)
    settings = plan.settings_of("dmt")
    assert (settings.sampling_steps, settings.guided_steps) == (10, 4)
    # A fifth of the steered steps, each five times as far.
    assert settings.learning_rates == pytest.approx((0.035, 0.02))
    assert (
        Plan(plan.references, plan.prompts, methods=("dmt",)).settings_of("dmt")
        == method_named("dmt").defaults
    )


def test_methods_in_another_order_share_what_was_learned() -> None:
    forms = {name: Inversion(name, PRESETS["default"], {"value": name}) for name in VALUE_MODES}
    orders = (tuple(forms), tuple(reversed(forms)))
    plans = [
        Plan(travelling_references(1), open_prompts(1), methods=order, variants=forms)
        for order in orders
    ]
    assert plans[0].as_dict() == plans[1].as_dict()
    assert len({plan.learned_as(name) for plan in plans for name in forms}) == 1


def test_a_clip_is_known_in_any_precision() -> None:
    (reference,) = travelling_references(1)
    identity = reference.identity()
    assert replace(reference, video=reference.video.clone().requires_grad_()).identity() == identity
    assert replace(reference, video=reference.video.bfloat16()).identity() != identity


def test_the_folder_that_one_is_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = tmp_path / "car"
    frames.mkdir()
    (tmp_path / "link").symlink_to(frames)
    monkeypatch.chdir(frames)
    assert clip_references([(".", "a car")])[0].name == "car"
    assert clip_references([("..", "a car")])[0].name == tmp_path.name
    assert clip_references([("../link", "a car")])[0].name == "link"


@pytest.mark.parametrize("count", [12, 60])
def test_prompts_are_all_different(count: int) -> None:
    assert len(set(open_prompts(count))) == count
    assert len(Plan(travelling_references(1), open_prompts(count)).prompts) == count


def test_clips_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [tmp_path / folder / "x.mp4" for folder in "abc"] + [tmp_path / "a" / "x-2.mp4"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    references = clip_references([(file, "a star") for file in files])
    assert [reference.name for reference in references] == ["x", "x-2", "x-3", "x-2-2"]
    assert [reference.video for reference in references] == files
    # Other words make another reference of the same clip.
    assert len(clip_references([(files[0], "a star"), (files[0], "a ring")])) == 2
    with pytest.raises(InputError, match="given twice with the same words"):
        clip_references([(files[0], "a star"), (files[0], "a star")])
