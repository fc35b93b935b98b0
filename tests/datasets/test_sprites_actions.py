from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.datasets import NUISANCES, SpritesActions
from kinema.errors import InputError
from kinema.sprites import MOTIONS, Nuisances, render

CLASSES = ("right", "left", "up", "grow", "shrink", "bounce", "spin-clockwise", "still")


def make(num_clips: int = 16, **settings: Any) -> SpritesActions:
    plain = {"num_frames": 6, "size": 16, "mean": (0.45,) * 3, "std": (0.225,) * 3}
    return SpritesActions(num_clips, **({"training": True} | plain | settings))


def test_an_item_is_a_normalised_clip_and_its_label() -> None:
    item = make()[3]
    assert item["pixel_values"].shape == (6, 3, 16, 16)
    assert item["pixel_values"].dtype == torch.float32
    assert (item["labels"], item["index"], item["errors"]) == (3, 3, [])
    pixels = (item["pixel_values"] * 0.225 + 0.45) * 255
    assert (pixels - make().frames(3)).abs().max() < 1e-3


def test_classes_are_equally_frequent_and_the_scene_shows_them() -> None:
    dataset = make(40, classes=CLASSES)
    labels = [dataset[i]["labels"] for i in range(40)]
    assert [labels.count(label) for label in range(8)] == [5] * 8
    for index in range(16):
        (said,) = dataset.scene(index).descriptions()
        assert said.motion == CLASSES[labels[index]]
    assert make().classes == tuple(MOTIONS)


def test_a_clip_depends_on_its_index_alone() -> None:
    few, many = make(4, nuisance="many"), make(40, nuisance="many")
    backwards = {i: many[i]["pixel_values"] for i in reversed(range(4))}
    assert all(torch.equal(few[i]["pixel_values"], backwards[i]) for i in range(4))
    many.set_epoch(3)
    assert torch.equal(many[2]["pixel_values"], backwards[2])


def test_seed_and_subset_make_other_clips() -> None:
    clips = [
        make(seed=seed, training=training)[0]["pixel_values"]
        for seed in (0, 1)
        for training in (True, False)
    ]
    for i, clip in enumerate(clips):
        assert not any(torch.equal(clip, other) for other in clips[:i])


@pytest.mark.parametrize("nuisance", ["none", "some", "many"])
def test_the_first_frame_is_the_same_under_every_motion(nuisance: str) -> None:
    # The strongest form of "appearance says nothing": exchange the motion, keep the rest.
    pairs = [
        make(1, classes=[motion, "still"], nuisance=nuisance)
        for motion in MOTIONS
        if motion != "still"
    ]
    pairs += [make(1, classes=["still", "right"], nuisance=nuisance)]
    first = pairs[-1].frames(0)[0].int()
    for dataset in pairs:
        assert (dataset.frames(0)[0].int() - first).abs().max() <= 1


def nearest_centroid(train: Tensor, train_labels: Tensor, test: Tensor) -> Tensor:
    centroids = torch.stack([train[train_labels == c].mean(0) for c in train_labels.unique()])
    return torch.cdist(test, centroids).argmin(1)


def least_squares(train: Tensor, train_labels: Tensor, test: Tensor) -> Tensor:
    """A linear classifier, by ridge regression to one-hot targets."""
    train, test = (torch.cat((x, torch.ones(len(x), 1)), 1).double() for x in (train, test))
    targets = torch.nn.functional.one_hot(train_labels).double()
    gram = train.T @ train + 10 * torch.eye(train.shape[1])
    return (test @ torch.linalg.solve(gram, train.T @ targets)).argmax(1)


@pytest.fixture(scope="module")
def probed() -> dict[bool, tuple[Tensor, Tensor, Tensor]]:
    """First frames, what changes until the last, and labels, for training and for test."""
    found = {}
    for training in (True, False):
        dataset = make(400, classes=CLASSES, training=training)
        items = [dataset[i] for i in range(400)]
        values = torch.stack([item["pixel_values"] for item in items])
        change = (values[:, -1] - values[:, 0]).mean(1).abs()
        labels = torch.tensor([item["labels"] for item in items])
        found[training] = values[:, 0].flatten(1), change.flatten(1), labels
    return found


@pytest.mark.parametrize("probe", [nearest_centroid, least_squares])
def test_a_probe_on_first_frames_scores_chance_and_on_differences_more(
    probe: Any, probed: dict[bool, tuple[Tensor, Tensor, Tensor]]
) -> None:
    first, change, labels = probed[True]
    test_first, test_change, test_labels = probed[False]
    chance = 1 / len(CLASSES)
    # Four standard deviations of guessing.
    bound = 4 * (chance * (1 - chance) / len(test_labels)) ** 0.5
    by_appearance = (probe(first, labels, test_first) == test_labels).double().mean()
    assert abs(float(by_appearance) - chance) < bound
    by_motion = (probe(change, labels, test_change) == test_labels).double().mean()
    assert float(by_motion) > chance + bound


def test_nuisances_disturb_more_and_more() -> None:
    still = [
        make(1, classes=["still", "right"], nuisance=level)
        .frames(0)
        .float()
        .diff(dim=0)
        .abs()
        .mean()
        for level in ("none", "some", "many")
    ]
    assert still[0] == 0 < still[1] < still[2]
    own = make(1, classes=["still", "right"], nuisance=Nuisances(noise=0.1)).frames(0)
    assert own.float().diff(dim=0).abs().mean() > 5
    assert set(NUISANCES) == {"none", "some", "many"}


def test_sprites_stay_mostly_in_sight() -> None:
    dataset = make(90, classes=tuple(MOTIONS))
    for index in range(90):
        trajectory = render(dataset.scene(index), num_frames=8, height=8, width=8).trajectory
        assert trajectory.abs().max() < 1.35


def test_clips_are_kept_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful, keeping = make(), make(in_memory=True)
    expected = forgetful[1]["pixel_values"]
    assert torch.equal(keeping[1]["pixel_values"], expected)

    def fail(index: int) -> Tensor:
        raise AssertionError(f"clip {index} is rendered again")

    monkeypatch.setattr(keeping, "frames", fail)
    monkeypatch.setattr(forgetful, "frames", fail)
    assert torch.equal(keeping[1]["pixel_values"], expected)
    with pytest.raises(AssertionError, match="rendered again"):
        forgetful[1]
    with pytest.raises(AssertionError, match="rendered again"):
        keeping[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_clips": 0}, "num_clips is 0"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"size": 0}, "size is 0"),
        ({"classes": ["right", "dance"]}, "class is 'dance'"),
        ({"classes": ["right"]}, "expected two or more"),
        ({"classes": ["right", "right"]}, "expected two or more"),
        ({"nuisance": "lots"}, "nuisance is 'lots', expected one of 'none', 'some', 'many'"),
        ({"std": (0.2, 0.2, 0.0)}, "std above 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make(**settings)
