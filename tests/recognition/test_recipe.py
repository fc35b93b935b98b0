"""Recipes: what is shipped can be used, and what cannot is refused in one sentence."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kinema.errors import InputError
from kinema.recognition import FRONT_ENDS, NORMALISATIONS, read_recipe, recipe_names
from kinema.recognition.data import DATASETS
from kinema.recognition.recipe import recipe_of
from tests.recognition.tiny import TRANSFORMER

SMALLEST = """
dataset = "folder"
backbone = "x3d_s"
num_frames = 4
frame_stride = 1
size = 32
num_epochs = 1
batch_size = 2
learning_rate = 0.1
"""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"backbone_sizes": {"dropout": float("nan")}}, "finite"),
        ({"normalisation_arguments": {"x": date(2020, 1, 1)}}, "date"),
        ({"learning_rate": float("inf")}, "finite"),
    ],
)
def test_what_cannot_be_written_down_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(TRANSFORMER, **changes)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_names_what_there_is(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.dataset in DATASETS
    assert recipe.front_end in FRONT_ENDS
    assert recipe.normalisation in NORMALISATIONS


def test_the_published_recipe_is_the_published_one() -> None:
    recipe = read_recipe("timesformer-mpii")
    assert (recipe.optimiser, recipe.learning_rate, recipe.momentum) == ("sgd", 0.005, 0.9)
    assert (recipe.step_epochs, recipe.step_rates) == ((11, 14), (0.1, 0.01))
    assert recipe.batch_size * recipe.accumulation == 64
    assert (recipe.num_clip_frames, recipe.frame_stride, recipe.num_epochs) == (9, 35.875, 25)
    assert (recipe.num_views, recipe.num_crops, recipe.size) == (1, 3, 224)
    assert recipe.weight_decay == 1e-4


def test_a_setting_takes_the_place_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST)
    recipe = read_recipe(
        path,
        settings=[
            "num_epochs=7",
            "front_end=frames",
            "backbone_sizes.depths=[1, 1, 2, 1]",
            "dataset_arguments.split=2",
            "ema_decay=0.9",
            "flip=false",
        ],
    )
    assert recipe.num_epochs == 7
    assert recipe.front_end == "frames"
    assert recipe.backbone_sizes == {"depths": [1, 1, 2, 1]}
    assert recipe.dataset_arguments == {"split": 2}
    assert recipe.ema_decay == 0.9
    assert recipe.flip is False


def test_a_recipe_comes_back_from_its_own_values() -> None:
    recipe = replace(
        TRANSFORMER, schedule="steps", step_epochs=(1, 2), step_rates=(0.5, 0.1), ema_decay=0.5
    )
    assert recipe_of(recipe.as_dict(), name="x") == recipe


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("num_epochs=many", "num_epochs is 'many'; give a whole number"),
        ("num_epochs=1.5", "whole number"),
        ("num_epochs=true", "whole number"),
        ("num_epochs=0", "give 1 or more"),
        ("learning_rate=-1", "give 0 or more"),
        ("learning_rate=nan", "give 0 or more"),
        ("optimiser=adam", "choose from sgd, adamw"),
        ("schedule=linear", "choose from cosine, steps"),
        ("precision=fp8", "choose from fp32, bf16"),
        ("on_error=ignore", "choose from fail, skip"),
        ("momentum=1", "less than 1"),
        ("ema_decay=1.5", "less than 1"),
        ("gradient_clip=0", "more than 0"),
        ("num_warmup_epochs=1", "less than num_epochs"),
        ("num_crops=4", "num_crops is 4"),
        ("short_side=[256]", "two lengths"),
        ("flip=1", "true or false"),
        ("step_epochs=[3, 2]", "rising epochs"),
        ("step_epochs=3", "list of numbers"),
        ("backbone_sizes=3", "give a table"),
        ("backbone=3", "give a word"),
        ("learning_rate=fast", "give a number"),
        ("juggling=3", "unknown settings juggling"),
        ("num_epochs", "is not key=value"),
        ("num_epochs.x=3", "no table"),
    ],
)
def test_a_setting_that_cannot_be(setting: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST)
    with pytest.raises(InputError) as error:
        read_recipe(path, settings=[setting])
    assert words in str(error.value)


def test_rates_of_steps_without_steps(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST)
    with pytest.raises(InputError, match=r"step_epochs is \[2, 3\] and schedule 'cosine'"):
        read_recipe(path, settings=["step_epochs=[2, 3]", "step_rates=[0.5, 0.1]"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no recipe"),
        ("dataset = ", "is not TOML"),
        (SMALLEST.replace("size = 32", ""), "lacks size"),
    ],
)
def test_a_file_that_is_no_recipe(text: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_recipe(path)


def test_a_name_that_is_not_shipped_lists_those_that_are() -> None:
    with pytest.raises(InputError, match="timesformer-mpii"):
        read_recipe("timesformer-kinetics")
