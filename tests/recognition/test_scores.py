"""Scores against values worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinema.recognition import score, top_k_accuracy

# Six classes. Clip 0 is right; clip 1 has its class second; clip 2 has it last; clip 3 is right.
PROBABILITIES = torch.tensor(
    [
        [0.50, 0.10, 0.10, 0.10, 0.10, 0.10],
        [0.40, 0.35, 0.10, 0.05, 0.06, 0.04],
        [0.30, 0.25, 0.20, 0.15, 0.09, 0.01],
        [0.00, 0.90, 0.02, 0.03, 0.04, 0.01],
    ]
)
LABELS = torch.tensor([0, 1, 5, 1])


def test_scores_of_four_clips() -> None:
    scores = score(PROBABILITIES, LABELS)
    assert scores.top1 == 0.5
    assert scores.top5 == 0.75
    assert scores.class_accuracy == [1.0, 0.5, None, None, None, 0.0]
    assert scores.mean_class_accuracy == 0.5
    expected = torch.zeros(6, 6, dtype=torch.int64)
    expected[0, 0], expected[1, 0], expected[1, 1], expected[5, 0] = 1, 1, 1, 1
    assert torch.equal(scores.confusion, expected)


def test_mean_class_accuracy_counts_classes_not_clips() -> None:
    probabilities = torch.eye(2)[[0, 0, 0, 0]]
    scores = score(probabilities, torch.tensor([0, 0, 0, 1]))
    assert scores.top1 == 0.75
    assert scores.mean_class_accuracy == 0.5


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.75), (5, 0.75), (6, 1.0), (9, 1.0)])
def test_top_k(k: int, expected: float) -> None:
    assert top_k_accuracy(PROBABILITIES, LABELS, k=k) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_agree_with_counting(pairs: list[tuple[int, int]]) -> None:
    labels = torch.tensor([label for label, _ in pairs])
    scores = score(torch.eye(4)[[guess for _, guess in pairs]], labels)
    assert scores.confusion.sum() == len(pairs)
    assert scores.top1 == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    accuracies = []
    for label in {a for a, _ in pairs}:
        mine = [b for a, b in pairs if a == label]
        accuracies.append(mine.count(label) / len(mine))
    assert scores.mean_class_accuracy == pytest.approx(sum(accuracies) / len(accuracies))
