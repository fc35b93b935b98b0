"""Comparison of two runs: differences by class, and the likeness of their weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from kinema.errors import InputError
from kinema.recognition import (
    Prediction,
    compare,
    evaluate,
    finetune,
    score,
    weight_similarity,
    write_comparison,
)
from kinema.recognition.evaluation import Evaluation
from tests.recognition.tiny import TRANSFORMER


def test_the_same_weights_have_similarity_one_and_opposite_ones_minus_one() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    second.load_state_dict(first.state_dict())
    assert weight_similarity(first, second) == {"weight": 1.0, "bias": 1.0}
    with torch.no_grad():
        second.weight.mul_(-2)
        second.bias.copy_(first.bias.flip(0) * torch.tensor([1.0, -1.0]))
    found = weight_similarity(first, second)
    assert found["weight"] == pytest.approx(-1)
    assert found["bias"] == pytest.approx(0, abs=1e-6)


def test_the_cosine_against_its_definition() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv3d(2, 3, 2), nn.Conv3d(2, 3, 2)
    a, b = (m.weight.double().flatten() for m in (first, second))
    expected = (a @ b / (a.norm() * b.norm())).item()
    assert weight_similarity(first, second)["weight"] == pytest.approx(expected, rel=1e-9)


def test_zeros_are_like_zeros_only_and_other_shapes_are_left_out() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(4, 2)
    nn.init.zeros_(first.bias)
    assert weight_similarity(first, second) == {"bias": 0.0}
    nn.init.zeros_(second.bias)
    assert weight_similarity(first, second) == {"bias": 1.0}


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on plain frames."""
    folder = tmp_path_factory.mktemp("other")
    finetune(replace(TRANSFORMER, front_end="frames", seed=1), folder, device="cpu")
    return folder


def with_guesses(evaluation: Evaluation, guesses: list[int]) -> Evaluation:
    labels = evaluation.prediction.labels
    probabilities = torch.eye(3)[guesses]
    prediction = Prediction(probabilities, labels, evaluation.prediction.indices)
    return replace(evaluation, prediction=prediction, scores=score(probabilities, labels))


def test_two_runs_class_by_class(run_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    ours, theirs = evaluate(run_folder, device="cpu"), evaluate(other_folder, device="cpu")
    labels = ours.prediction.labels.tolist()
    assert labels == [0, 1, 2] * 4
    # Of class 0 the first gets all, the second none; of class 1 half and half, on other clips.
    first = with_guesses(ours, [0, 1, 2, 0, 1, 2, 0, 2, 2, 0, 2, 2])
    second = with_guesses(theirs, [1, 2, 2, 1, 2, 2, 1, 1, 2, 1, 1, 2])
    comparison = compare(first, second)
    assert comparison.class_difference == {"up": 1.0, "right": 0.0, "still": 0.0}
    assert comparison.top1_difference == pytest.approx(4 / 12)
    assert comparison.mean_class_difference == pytest.approx(1 / 3)
    assert (comparison.won, comparison.lost) == (6, 2)
    similarity = comparison.weight_similarity
    assert len(similarity) > 20
    assert all(-1 <= value <= 1 for value in similarity.values())
    assert min(similarity.values()) < 0.9

    write_comparison(comparison, tmp_path)
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written["weight_similarity"] == similarity
    assert written["runs"] == [str(run_folder), str(other_folder)]
    for name in ("class_difference.png", "weight_similarity.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100


def test_clips_of_one_name_are_counted_each(run_folder: Path) -> None:
    """As the activities of one sequence of MPII Cooking 2, and lines of a table, may be named."""
    named = replace(evaluate(run_folder, device="cpu"), names=("a",) * 12)
    all_right = with_guesses(named, [0, 1, 2] * 4)
    none_right = with_guesses(named, [1, 2, 0] * 4)
    assert compare(all_right, none_right).won == 12


def test_a_run_is_like_itself(run_folder: Path) -> None:
    evaluation = evaluate(run_folder, device="cpu")
    comparison = compare(evaluation, evaluation)
    assert set(comparison.weight_similarity.values()) == {1.0}
    assert (comparison.won, comparison.lost, comparison.top1_difference) == (0, 0, 0.0)


def test_runs_of_other_classes_or_clips_are_not_compared(run_folder: Path) -> None:
    evaluation = evaluate(run_folder, device="cpu")
    with pytest.raises(InputError, match="same data set"):
        compare(evaluation, replace(evaluation, run=replace(evaluation.run, classes=("a", "b"))))
    sprites = evaluation.run.recipe
    cluttered = {**sprites.dataset_arguments, "nuisance": "many"}
    among_others = replace(evaluation.run, recipe=replace(sprites, dataset_arguments=cluttered))
    with pytest.raises(InputError, match="same sprites"):
        compare(evaluation, replace(evaluation, run=among_others))
    more = {**sprites.dataset_arguments, "num_clips": 48}
    longer = replace(evaluation.run, recipe=replace(sprites, dataset_arguments=more))
    assert compare(evaluation, replace(evaluation, run=longer)).won == 0
    prediction = evaluation.prediction
    others = replace(prediction, labels=prediction.labels.flip(0))
    with pytest.raises(InputError, match="same split"):
        compare(evaluation, replace(evaluation, prediction=others))
    # Labels in the same order, as HMDB-51's splits have them, of clips that are others.
    elsewhere = tuple(f"other-{name}" for name in evaluation.names[1:]) + evaluation.names[:1]
    with pytest.raises(InputError, match="same split"):
        compare(evaluation, replace(evaluation, names=elsewhere))


def test_a_clip_that_one_of_them_could_not_read_is_left_out(run_folder: Path) -> None:
    evaluation = evaluate(run_folder, device="cpu")
    prediction = evaluation.prediction
    fewer = replace(
        evaluation,
        names=evaluation.names[1:],
        prediction=replace(
            prediction,
            probabilities=prediction.probabilities[1:],
            labels=prediction.labels[1:],
            indices=prediction.indices[1:],
        ),
        broken_clips=("the first is cut off",),
    )
    for pair in ((evaluation, fewer), (fewer, evaluation)):
        assert (compare(*pair).won, compare(*pair).lost) == (0, 0)
    with pytest.raises(InputError, match="same split"):
        compare(evaluation, replace(fewer, broken_clips=()))
