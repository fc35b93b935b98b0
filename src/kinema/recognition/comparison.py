"""Two runs beside each other: class by class, and weight by weight."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.files import filling
from kinema.recognition.data import SPRITES
from kinema.recognition.evaluation import Evaluation
from kinema.recognition.run import Run, check_finished, load_model

COMPARISON = "comparison.json"
CLASSES = "class_difference.png"
WEIGHTS = "weight_similarity.png"


@dataclass(frozen=True)
class Comparison:
    """What the first of two runs has over the second.

    top1_difference, mean_class_difference: of accuracies.
    class_difference: accuracy of each class, None where it has no clip.
    won, lost: clips that only the first, or only the second, got right.
    weight_similarity: cosine of each weight of the backbones, by name.
    """

    runs: tuple[str, str]
    top1_difference: float
    mean_class_difference: float
    class_difference: dict[str, float | None]
    won: int
    lost: int
    weight_similarity: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return vars(self)


def check_comparable(first: Run, second: Run) -> None:
    """Pass two finished runs of the same classes on the same data set, before they are evaluated.

    Raises:
        InputError: one is not finished, or they are of other classes or of sprites rendered
            otherwise.
    """
    check_finished(first)
    check_finished(second)
    if first.classes != second.classes:
        raise InputError(
            f"{first.folder} has {len(first.classes)} classes and {second.folder} "
            f"{len(second.classes)} or others; compare runs on the same data set"
        )
    if _rendered(first) != _rendered(second):
        raise InputError(
            f"{first.folder} and {second.folder} were tested on other clips, since their "
            "dataset_arguments differ; compare runs on the same sprites"
        )


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations of runs on the same clips.

    Raises:
        InputError: they are of other classes or clips.
    """
    check_comparable(first.run, second.run)
    right = [_right(each) for each in (first, second)]
    both = sorted(set(right[0]) & set(right[1]))
    # What one of them lacks can only be what it could not read.
    fits = len(set(right[0]) - set(both)) <= len(second.broken_clips) and (
        len(set(right[1]) - set(both)) <= len(first.broken_clips)
    )
    if not (both and fits) or any(right[0][name][1] != right[1][name][1] for name in both):
        raise InputError(
            f"{first.run.folder} and {second.run.folder} were tested on other clips; compare runs "
            "on the same split"
        )
    ours, theirs = first.scores, second.scores
    models = [dict(load_model(each.run).named_children()) for each in (first, second)]
    return Comparison(
        runs=(str(first.run.folder), str(second.run.folder)),
        top1_difference=ours.top1 - theirs.top1,
        mean_class_difference=ours.mean_class_accuracy - theirs.mean_class_accuracy,
        class_difference={
            name: None if a is None or b is None else a - b
            for name, a, b in zip(
                first.classes, ours.class_accuracy, theirs.class_accuracy, strict=True
            )
        },
        won=sum(right[0][i][0] and not right[1][i][0] for i in both),
        lost=sum(right[1][i][0] and not right[0][i][0] for i in both),
        weight_similarity=weight_similarity(models[0]["backbone"], models[1]["backbone"]),
    )


@torch.no_grad()
def weight_similarity(first: nn.Module, second: nn.Module) -> dict[str, float]:
    """Cosine of the flattened parameters of the same name and shape, in the first module's order.

    Two tensors of zeros are the same and get 1, one of zeros gets 0. How the paper defines its
    per-layer similarity is not known to us; this is the definition in a paper of the same group
    (TrackNetV4, arXiv 2409.14543).
    """
    others: dict[str, Tensor] = dict(second.named_parameters())
    return {
        name: _cosine(value, others[name])
        for name, value in first.named_parameters()
        if name in others and others[name].shape == value.shape
    }


def write_comparison(comparison: Comparison, folder: str | Path) -> None:
    """Write `comparison.json`, `class_difference.png` and `weight_similarity.png`.

    Raises:
        InputError: the folder cannot be written to.
    """
    from kinema.recognition.pictures import draw_differences, draw_similarity

    with filling(folder) as temporary:
        content = json.dumps(comparison.as_dict(), indent=2)
        (temporary / COMPARISON).write_text(content + "\n")
        draw_differences(temporary / CLASSES, comparison.class_difference)
        draw_similarity(temporary / WEIGHTS, comparison.weight_similarity)


def _cosine(first: Tensor, second: Tensor) -> float:
    a, b = first.double().flatten(), second.double().flatten()
    if torch.equal(a, b):
        return 1.0
    return F.cosine_similarity(a, b, dim=0).item()


def _rendered(run: Run) -> dict[str, Any]:
    """What clips were rendered by: they have no names but numbers."""
    recipe = run.recipe
    arguments = recipe.dataset_arguments if recipe.dataset == SPRITES else {}
    # How many there are to train on, and where they are kept, changes none to test on.
    return {name: arguments[name] for name in arguments if name not in ("num_clips", "in_memory")}


def _right(evaluation: Evaluation) -> dict[tuple[str, int], tuple[bool, int]]:
    """For each clip, whether its class was found, and which it is.

    Clips are told apart by name, and those of one name by their order.
    """
    prediction = evaluation.prediction
    found = prediction.probabilities.argmax(dim=1) == prediction.labels
    right: dict[tuple[str, int], tuple[bool, int]] = {}
    seen: Counter[str] = Counter()
    for name, is_right, label in zip(
        evaluation.names, found.tolist(), prediction.labels.tolist(), strict=True
    ):
        right[name, seen[name]] = (is_right, label)
        seen[name] += 1
    return right
