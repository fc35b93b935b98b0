"""Scores of a classifier: top-k accuracy, accuracy of each class, confusion matrix."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """How right a classifier is on N clips of K classes.

    top1, top5: share of clips whose class is the likeliest, or among the five likeliest.
    mean_class_accuracy: mean of the accuracies of the classes that have clips.
    class_accuracy: of each class, None where it has no clip.
    confusion: (K, K) int64, counts; true classes are rows, predicted ones columns.
    """

    top1: float
    top5: float
    mean_class_accuracy: float
    class_accuracy: list[float | None]
    confusion: Tensor

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return vars(self) | {"confusion": self.confusion.tolist()}


def score(probabilities: Tensor, labels: Tensor) -> Scores:
    """Score the probabilities (N, K) of N >= 1 clips with labels (N,)."""
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(dim=1)
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    confusion.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)
    counts, right = confusion.sum(dim=1), confusion.diagonal()
    has_clips = counts > 0
    accuracy = right.double() / counts.clamp(min=1)
    return Scores(
        top1=int(right.sum()) / len(labels),
        top5=top_k_accuracy(probabilities, labels, k=5),
        mean_class_accuracy=accuracy[has_clips].mean().item(),
        class_accuracy=[
            value if any_clips else None
            for value, any_clips in zip(accuracy.tolist(), has_clips.tolist(), strict=True)
        ],
        confusion=confusion,
    )


def top_k_accuracy(probabilities: Tensor, labels: Tensor, *, k: int) -> float:
    """Share of clips whose label is among the k likeliest of (N, K); 1 where k is K or more."""
    likeliest = probabilities.topk(min(k, probabilities.shape[1]), dim=1).indices
    return (likeliest == labels[:, None]).any(dim=1).double().mean().item()
