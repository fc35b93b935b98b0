"""The classifier of a recipe: its front end, its first weights, and what it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import InputError
from kinema.motion_prompt import FrameDifference, MaxExp, MotionPrompt, PlainFrames
from kinema.recognition import Recipe, finetune, new_model, save_weights
from kinema.recognition.data import find_clips
from kinema.recognition.model import check_batch_norm
from tests.recognition.tiny import CONVOLUTIONAL, TRANSFORMER


@pytest.mark.parametrize("recipe", [TRANSFORMER, CONVOLUTIONAL], ids=lambda r: r.backbone)
@pytest.mark.parametrize(
    ("front_end", "kind"),
    [("frames", PlainFrames), ("motion-prompt", MotionPrompt), ("difference", FrameDifference)],
)
def test_a_recipe_makes_its_front_end(recipe: Recipe, front_end: str, kind: type) -> None:
    recipe = replace(recipe, front_end=front_end, penalty=2.5)
    model = new_model(recipe, num_classes=3)
    assert isinstance(model.prompt, kind)
    assert model.prompt.penalty == (2.5 if front_end == "motion-prompt" else 0)
    clip = find_clips(recipe, None, training=True).dataset(model.prompt)[0]["pixel_values"]
    assert len(clip) == recipe.num_frames + 1
    batch = torch.stack([clip, clip])
    if model.prompt.layout == "BCTHW":
        batch = batch.transpose(1, 2)
    assert model(batch).logits.shape == (2, 3)


def test_a_recipe_makes_its_normalisation() -> None:
    recipe = replace(TRANSFORMER, normalisation="maxexp", normalisation_arguments={"exponent": 4})
    model = new_model(recipe, num_classes=3)
    assert isinstance(model.prompt, MotionPrompt)
    assert isinstance(model.prompt.normalisation, MaxExp)


def test_pathways_are_given_to_slowfast() -> None:
    sizes = {"width": 8, "depths": [1, 1, 1, 1]}
    recipe = replace(
        TRANSFORMER, backbone="slowfast_r50", backbone_sizes=sizes, pathways="fast", num_frames=8
    )
    assert new_model(recipe, num_classes=3).pathways == "fast"


def test_a_run_goes_on_from_another_with_another_front_end(tmp_path: Path) -> None:
    plain = replace(TRANSFORMER, front_end="frames", num_epochs=1)
    finetune(plain, tmp_path, device="cpu")
    learned = load_file(tmp_path / "backbone.safetensors")
    model = new_model(replace(TRANSFORMER, start=str(tmp_path)), num_classes=3)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, learned[name])
    assert model.prompt.normalisation.m.item() == pytest.approx(0.1)  # type: ignore[union-attr]


def test_a_run_goes_on_from_another_with_its_prompt(run_folder: Path) -> None:
    model = new_model(replace(TRANSFORMER, start=str(run_folder)), num_classes=3)
    learned = load_file(run_folder / "prompt.safetensors")
    assert model.prompt.normalisation.m.item() == learned["normalisation.m"].item()  # type: ignore[union-attr]
    assert learned["normalisation.m"].item() != pytest.approx(0.1, abs=1e-5)


def test_a_file_of_weights_is_a_start_for_other_classes(tmp_path: Path) -> None:
    first = new_model(CONVOLUTIONAL, num_classes=5)
    save_weights(first, tmp_path)
    start = str(tmp_path / "backbone.safetensors")
    second = new_model(replace(CONVOLUTIONAL, start=start), num_classes=3)
    ours, theirs = first.backbone.state_dict(), second.backbone.state_dict()
    differing = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert differing == {"blocks.5.proj.weight", "blocks.5.proj.bias"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"front_end": "juggling"}, "choose from frames, motion-prompt, difference"),
        ({"backbone": "resnet"}, "'resnet'"),
        ({"backbone_sizes": {"breadth": 3}}, "breadth"),
        ({"normalisation": "tanh"}, "choose from learnable"),
        ({"normalisation_arguments": {"slope": 3}}, "slope"),
        ({"pathways": "slow"}, "pathways"),
        ({"trains": "everything"}, "'everything'"),
        ({"trains": "prompt", "front_end": "frames"}, "nothing to learn"),
        ({"start": "nowhere/at-all.safetensors"}, "nowhere/at-all.safetensors"),
        ({"start": "nobody/nothing"}, "nobody/nothing"),
        ({"backbone": "slowfast_r50", "backbone_sizes": {}, "num_frames": 3}, "num_frames is 3"),
    ],
)
def test_a_recipe_that_cannot_be_built(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        new_model(replace(TRANSFORMER, **changes), num_classes=3)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_another_architecture_name_the_first_that_differs(tmp_path: Path) -> None:
    save_weights(new_model(CONVOLUTIONAL, num_classes=3), tmp_path)
    start = str(tmp_path / "backbone.safetensors")
    with pytest.raises(InputError, match=r"timesformer\.embeddings\S+ is missing there"):
        new_model(replace(TRANSFORMER, start=start), num_classes=3)
    save_file({"x": torch.zeros(1)}, tmp_path / "backbone.safetensors")
    with pytest.raises(InputError, match="does not fit this model"):
        new_model(replace(CONVOLUTIONAL, start=str(tmp_path)), num_classes=3)


def test_one_clip_is_no_batch_for_a_batch_norm_that_learns() -> None:
    with pytest.raises(InputError, match="batch_size is 1"):
        check_batch_norm(new_model(CONVOLUTIONAL, num_classes=3), batch_size=1)
    check_batch_norm(new_model(CONVOLUTIONAL, num_classes=3), batch_size=2)
    check_batch_norm(new_model(TRANSFORMER, num_classes=3), batch_size=1)
    frozen = new_model(replace(CONVOLUTIONAL, trains="prompt+head"), num_classes=3)
    check_batch_norm(frozen, batch_size=1)
