"""Evaluation: the class probabilities of each video, over its views and crops, and their scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from kinema.backbones.facts import row_of
from kinema.datasets import ClipDataset
from kinema.errors import InputError
from kinema.files import filling
from kinema.motion_prompt import MotionPromptClassifier
from kinema.recognition.data import find_clips
from kinema.recognition.prediction import Prediction, joined, predict, predict_share
from kinema.recognition.processes import check_device
from kinema.recognition.recipe import Recipe
from kinema.recognition.run import Run, load_model, read_run
from kinema.recognition.scores import Scores, score

EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.jsonl"
CONFUSION = "confusion.png"


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on its test clips, what they were made from, and the clips' names."""

    run: Run
    classes: tuple[str, ...]
    scores: Scores
    prediction: Prediction
    names: tuple[str, ...]
    num_views: int
    num_crops: int
    broken_clips: tuple[str, ...]
    num_missing_clips: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON; predictions are apart."""
        accuracies = dict(zip(self.classes, self.scores.class_accuracy, strict=True))
        return {
            "run": str(self.run.folder),
            "num_clips": len(self.prediction.labels),
            "num_missing_clips": self.num_missing_clips,
            "broken_clips": list(self.broken_clips),
            "num_views": self.num_views,
            "num_crops": self.num_crops,
            **self.scores.as_dict(),
            "class_accuracy": accuracies,
        }


def score_together(
    model: MotionPromptClassifier, clips: ClipDataset, recipe: Recipe, *, accelerator: Any
) -> Scores:
    """Score a model on test clips that are shared out over the processes of a run.

    Args:
        model: is left in eval mode.
        clips: to test on.
        recipe: of the run.
        accelerator: accelerate's, of the run.

    Raises:
        InputError: as `predict`.
    """
    from accelerate.utils import broadcast, gather_object

    # Each process has running statistics of its own; what is kept are the main process's.
    for buffer in model.buffers():
        broadcast(buffer)
    part = predict_share(
        model,
        clips,
        **_reading(recipe),
        process=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    whole = joined(gather_object([part]), clips)
    return score(whole.probabilities, whole.labels)


def check_test_size(model: MotionPromptClassifier, recipe: Recipe) -> None:
    """Pass crops of a size that the model takes: transformers have one, convolutions many.

    Raises:
        InputError: a transformer shall be tested on crops of another size.
    """
    row = row_of(model.backbone)
    if row is not None and row.hub_id is not None and recipe.test_size not in (None, recipe.size):
        raise InputError(
            f"test_size is {recipe.test_size} and size {recipe.size}; a transformer is tested on "
            "crops of the size that it learned on: leave test_size out"
        )


def evaluate(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    num_views: int | None = None,
    num_crops: int | None = None,
    device: str | None = None,
    on_error: str | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a finished run on the test clips of its data set.

    Args:
        folder: of the run.
        data: folder of the videos; by default where they were in training.
        num_views: clips spread over each video; by default the recipe's.
        num_crops: crops spread over each clip, 1 to 3; by default the recipe's.
        device: "cpu", "cuda", or None for a GPU where there is one.
        on_error: "fail" on a video that cannot be read, or "skip" it; by default the recipe's.
        progress: show a bar.

    Raises:
        InputError: there is no finished run, its clips are not to be found, or are of other
            classes than it learned, or an argument is out of range.
    """
    check_device(device)
    run = read_run(folder)
    changed: dict[str, Any] = {"num_views": num_views, "num_crops": num_crops, "on_error": on_error}
    recipe = replace(
        run.recipe, **{key: value for key, value in changed.items() if value is not None}
    )
    test = find_clips(recipe, data if data is not None else run.data, training=False)
    if test.classes != run.classes:
        raise InputError(
            f"{run.folder} learned the classes {_some(run.classes)} and the clips are of "
            f"{_some(test.classes)}; give the data that it was trained on"
        )
    model = load_model(run)
    check_test_size(model, recipe)
    if device != "cpu" and torch.cuda.is_available():
        model.cuda()
    clips = test.dataset(model.prompt)
    prediction = predict(model, clips, **_reading(recipe), progress=progress)
    return Evaluation(
        run=run,
        classes=run.classes,
        scores=score(prediction.probabilities, prediction.labels),
        prediction=prediction,
        names=tuple(test.name_of(index) for index in prediction.indices.tolist()),
        num_views=recipe.num_views,
        num_crops=recipe.num_crops,
        broken_clips=tuple(clips.errors),
        num_missing_clips=test.num_missing,
    )


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Write `evaluation.json`, `predictions.jsonl` and `confusion.png`.

    A line of the predictions names a clip, its class, the likeliest class and the probabilities
    of both.

    Raises:
        InputError: the folder cannot be written to.
    """
    from kinema.recognition.pictures import draw_confusion

    prediction, classes = evaluation.prediction, evaluation.classes
    lines = []
    for name, label, shares in zip(
        evaluation.names,
        prediction.labels.tolist(),
        prediction.probabilities,
        strict=True,
    ):
        likeliest = int(shares.argmax())
        lines.append(
            {
                "clip": name,
                "class": classes[label],
                "predicted": classes[likeliest],
                "probability_of_class": shares[label].item(),
                "probability_of_predicted": shares[likeliest].item(),
            }
        )
    with filling(folder) as temporary:
        content = json.dumps(evaluation.as_dict(), indent=2)
        (temporary / EVALUATION).write_text(content + "\n")
        (temporary / PREDICTIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        draw_confusion(temporary / CONFUSION, evaluation.scores.confusion, classes)


def _reading(recipe: Recipe) -> dict[str, Any]:
    """How a run reads its test clips, as arguments of `predict`."""
    return {
        "batch_size": max(1, recipe.batch_size // recipe.num_test_views),
        "num_workers": recipe.num_workers,
        "precision": recipe.precision,
    }


def _some(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:3])
    return f"{shown} ... ({len(classes)})" if len(classes) > 3 else shown
