"""The classifier of a recipe: its front end, its first weights, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.backbones import backbone, transformer
from kinema.datasets import Clip, ClipList
from kinema.errors import InputError
from kinema.motion_prompt import AttentionMaps, FrameDifference, MaxExp, MotionPrompt, PlainFrames
from kinema.recognition import (
    Recipe,
    evaluate,
    finetune,
    load_model,
    new_model,
    read_run,
    save_weights,
)
from kinema.recognition.data import Source, find_clips
from kinema.recognition.model import check_batch_norm
from tests.recognition.tiny import CONVOLUTIONAL, TRANSFORMER


@pytest.mark.parametrize("recipe", [TRANSFORMER, CONVOLUTIONAL], ids=lambda r: r.backbone)
@pytest.mark.parametrize(
    ("front_end", "kind"),
    [
        ("frames", PlainFrames),
        ("motion-prompt", MotionPrompt),
        ("difference", FrameDifference),
        ("attention-maps", AttentionMaps),
    ],
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


def test_a_run_on_attention_maps_tells_keeps_and_evaluates_the_sizes(tmp_path: Path) -> None:
    recipe = replace(
        TRANSFORMER, front_end="attention-maps", num_epochs=1, prompt_learning_rate=0.1
    )
    finetune(recipe, tmp_path, device="cpu")
    kept = load_file(tmp_path / "prompt.safetensors")["log_sizes"].exp()
    assert (kept - 0.05).abs().min() > 1e-4
    (line,) = (tmp_path / "epochs.jsonl").read_text().splitlines()
    told = [json.loads(line)[f"prompt_size_{channel}"] for channel in range(3)]
    assert told == pytest.approx(kept.tolist())
    again = [evaluate(tmp_path, device="cpu").prediction.probabilities for _ in range(2)]
    # Nothing is drawn by chance in testing.
    assert torch.equal(*again)


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


def test_a_prompt_that_learned_is_no_start_for_attention_maps(run_folder: Path) -> None:
    recipe = replace(TRANSFORMER, start=str(run_folder), front_end="attention-maps")
    sizes = new_model(recipe, num_classes=3).get_submodule("prompt").state_dict()
    fresh = new_model(replace(recipe, start=""), num_classes=3).get_submodule("prompt").state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in sizes.items())


def test_a_prompt_of_which_a_part_is_missing_is_refused(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path, dirs_exist_ok=True)
    learned = load_file(tmp_path / "prompt.safetensors")
    save_file({"normalisation.m": learned["normalisation.m"]}, tmp_path / "prompt.safetensors")
    with pytest.raises(InputError, match=r"normalisation\.n is missing there"):
        load_model(read_run(tmp_path))


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
        ({"normalisation_arguments": {"m": "x"}}, "normalisation_arguments"),
        ({"backbone_sizes": {"num_classes": 3}}, "num_classes"),
        ({"backbone": "x3d_s", "backbone_sizes": {"width": "wide"}}, "wide"),
        ({"backbone": "x3d_s", "backbone_sizes": {"depths": 3}}, "depths"),
        ({"backbone": "x3d_s", "backbone_sizes": {"dropout": 5.0}}, "dropout"),
        ({"backbone_sizes": {"patch_size": 0}}, "patch_size is 0"),
        ({"backbone": "videomae", "backbone_sizes": {"tubelet_size": 0}}, "tubelet_size is 0"),
        ({"backbone_sizes": {"depth": 1.5}}, "expected int, got float"),
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


@pytest.fixture
def on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a VideoMAE that is smaller than the table's, as if it lay on the hub."""
    small = {"width": 32, "depth": 2, "num_heads": 2, "patch_size": 8}
    made: Any = backbone("videomae", num_classes=7, num_frames=4, size=16, **small)
    made.save_pretrained(tmp_path / "hub")
    read = transformer._read

    def from_hub(library_class: Any, source: str | Path, **settings: Any) -> Any:
        return read(library_class, tmp_path / "hub" if source == "some/one" else source, **settings)

    monkeypatch.setattr(transformer, "_read", from_hub)
    return "some/one"


def test_a_run_from_the_hub_comes_back_in_its_own_size(on_the_hub: str, tmp_path: Path) -> None:
    recipe = replace(TRANSFORMER, backbone="videomae", backbone_sizes={}, start=on_the_hub)
    model = new_model(recipe, num_classes=3)
    assert model.backbone.config.num_hidden_layers == 2
    save_weights(model, tmp_path / "run")
    again = new_model(recipe, num_classes=3, start=str(tmp_path / "run"))
    ours, theirs = model.backbone.state_dict(), again.backbone.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    # And another run starts from it, with other classes.
    other = new_model(replace(recipe, start=str(tmp_path / "run")), num_classes=5)
    differing = {
        name
        for name, value in other.backbone.state_dict().items()
        if not torch.equal(value, ours[name])
    }
    assert differing == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_run_of_a_backbone_that_was_saved_comes_back(
    on_the_hub: str, is_folder: bool, tmp_path: Path
) -> None:
    name = str(tmp_path / "hub") if is_folder else on_the_hub
    recipe = replace(TRANSFORMER, backbone=name, backbone_sizes={})
    model = new_model(recipe, num_classes=3)
    save_weights(model, tmp_path / "run")
    again = new_model(recipe, num_classes=3, start=str(tmp_path / "run")).backbone.state_dict()
    assert all(torch.equal(value, again[n]) for n, value in model.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("vivit", {"patch_size": 8}), ("vivit", {"tubelet_size": [2, 8, 8]}), ("videomae", {})],
)
def test_a_run_comes_back_with_the_sizes_of_its_recipe(
    family: str, sizes: dict[str, Any], tmp_path: Path
) -> None:
    small = {"width": 16, "depth": 1, "num_heads": 2}
    if family == "videomae":
        small |= {"patch_size": 8}
    recipe = replace(TRANSFORMER, backbone=family, backbone_sizes=small | sizes)
    model = new_model(recipe, num_classes=3)
    save_weights(model, tmp_path)
    again = new_model(recipe, num_classes=3, start=str(tmp_path)).backbone.state_dict()
    assert all(torch.equal(value, again[n]) for n, value in model.backbone.state_dict().items())


def test_a_start_of_another_family_or_size_is_refused(on_the_hub: str) -> None:
    with pytest.raises(InputError, match="holds a model of type 'videomae'; expected timesformer"):
        new_model(replace(TRANSFORMER, start=on_the_hub), num_classes=3)
    wrong = replace(TRANSFORMER, backbone="videomae", backbone_sizes={"width": 64})
    with pytest.raises(InputError, match="width is 64"):
        new_model(replace(wrong, start=on_the_hub), num_classes=3)


def test_what_a_classification_never_uses_does_not_learn() -> None:
    """V-JEPA 2's predictor gets no gradient, for which processes that train together would wait."""
    sizes = {
        "width": 32, "depth": 1, "num_heads": 2, "patch_size": 8, "pred_hidden_size": 16,
        "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1,
    }  # fmt: skip
    recipe = replace(TRANSFORMER, backbone="vjepa2", backbone_sizes=sizes)
    model = new_model(recipe, num_classes=3)
    clip = torch.rand(2, recipe.num_clip_frames, 3, 16, 16)
    model(clip, labels=torch.tensor([0, 1])).loss.backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert without == frozen
    assert all(".predictor." in name for name in frozen)
    assert frozen


def test_one_clip_is_no_batch_for_a_batch_norm_that_learns() -> None:
    with pytest.raises(InputError, match="batch_size is 1"):
        check_batch_norm(new_model(CONVOLUTIONAL, num_classes=3), batch_size=1)
    check_batch_norm(new_model(CONVOLUTIONAL, num_classes=3), batch_size=2)
    check_batch_norm(new_model(TRANSFORMER, num_classes=3), batch_size=1)
    frozen = new_model(replace(CONVOLUTIONAL, trains="prompt+head"), num_classes=3)
    check_batch_norm(frozen, batch_size=1)


def test_clips_are_told_by_their_names_labels_and_classes() -> None:
    def digest(*, name: str = "a", label: int = 0, classes: tuple[str, ...] = ("x", "y")) -> str:
        clips = ClipList("d", classes, (Clip(Path("a.mp4"), label, name),))
        return Source(classes, clips, TRANSFORMER, training=True).digest()

    told = [digest(), digest(name="b"), digest(label=1), digest(classes=("x", "z"))]
    assert len(set(told)) == 4
    assert digest() == told[0]
