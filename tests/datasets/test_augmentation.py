import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kinema.datasets import augmentation
from kinema.datasets.clip_dataset import seeded
from kinema.errors import InputError

MEAN, STD = (0.45, 0.4, 0.5), (0.225, 0.25, 0.2)


def make(**settings: Any) -> Any:
    return augmentation(**({"size": 8, "mean": MEAN, "std": STD, "training": True} | settings))


def numbered(height: int, width: int, num_frames: int = 3) -> Tensor:
    """Frames whose pixels tell row, column and frame."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = [torch.stack((rows, columns, torch.full_like(rows, t))) for t in range(num_frames)]
    return torch.stack(frames).to(torch.uint8)


def undone(values: Tensor) -> Tensor:
    """The pixels in [0, 255] behind normalised values."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (values * std + mean) * 255


@settings(deadline=None, max_examples=50)
@given(height=st.integers(8, 40), width=st.integers(8, 40), seed=st.integers(0, 2**40))
def test_all_frames_get_the_same_crop_and_the_same_flip(height: int, width: int, seed: int) -> None:
    (crop,) = undone(make()(numbered(height, width), seeded(seed))).round()
    assert crop.shape == (3, 3, 8, 8)
    assert torch.equal(crop[:, 2, 0, 0], torch.arange(3.0))
    rows, columns = crop[:, 0], crop[:, 1]
    assert torch.equal(rows, rows[:1].expand_as(rows))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    top, left = int(rows[0].min()), int(columns[0].min())
    window = numbered(height, width)[0, :2, top : top + 8, left : left + 8].float()
    assert torch.equal(crop[0, :2], window) or torch.equal(crop[0, :2], window.flip(-1))


def test_half_of_the_clips_are_mirrored_unless_switched_off() -> None:
    frames = numbered(8, 8)

    def share(**settings: Any) -> float:
        prepare = make(**settings)
        drawn = [undone(prepare(frames, seeded(i)))[0, 0, 1, 0, 0].round() for i in range(200)]
        return sum(float(first) == 7 for first in drawn) / 200

    assert share(flip=False) == 0
    # Four standard deviations of a fair coin.
    assert abs(share() - 0.5) < 0.15


def test_every_corner_is_drawn() -> None:
    prepare = make(flip=False)
    found = {
        tuple(undone(prepare(numbered(10, 11), seeded(i)))[0, 0, :2, 0, 0].round().tolist())
        for i in range(200)
    }
    assert found == {(y, x) for y in range(3) for x in range(4)}


@pytest.mark.parametrize(("num_crops", "offsets"), [(1, [6]), (2, [0, 12]), (3, [0, 6, 12])])
def test_crops_of_evaluation_lie_along_the_longer_side(num_crops: int, offsets: list[int]) -> None:
    prepare = make(training=False, num_crops=num_crops)
    wide = undone(prepare(numbered(8, 20), seeded(0))).round()
    assert wide.shape == (num_crops, 3, 3, 8, 8)
    assert wide[:, 0, 1, 0, 0].tolist() == offsets
    assert (wide[:, 0, 0, 0, 0] == 0).all()
    tall = undone(prepare(numbered(20, 8), seeded(0))).round()
    assert tall[:, 0, 0, 0, 0].tolist() == offsets


def test_normalisation_is_by_channel() -> None:
    frames = torch.randint(0, 256, (2, 3, 8, 8), generator=seeded(3), dtype=torch.uint8)
    (values,) = make(training=False)(frames, seeded(0))
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
    expected = (frames.double() / 255 - mean) / std
    assert values.dtype == torch.float32
    assert (values - expected).abs().max() < 1e-6


def test_the_short_side_is_drawn_from_its_range() -> None:
    prepare = make(size=14)
    assert {prepare.draw_short_side(seeded(i)) for i in range(200)} == set(range(16, 21))
    assert make(size=224).short_side == (256, 320)
    assert make(short_side=(9, 9)).draw_short_side(seeded(0)) == 9
    assert make(training=False, short_side=(9, 12)).draw_short_side(seeded(0)) == 8


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    crops = []
    for seed in range(8):
        torch.manual_seed(seed)
        state = torch.random.get_rng_state()
        crops.append(make()(numbered(12, 12), seeded(0)))
        assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(crop, crops[0]) for crop in crops)


def test_accelerators_are_not_seeded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips may be read by the process whose dropout draws there."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    make()(numbered(12, 12), seeded(0))
    assert seeds == []


def test_kornia_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(InputError, match=r"needs kornia; install kinema\[recognition\]"):
        make()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": 8.0}, r"size is 8\.0"),
        ({"mean": (0.5,)}, "expected three numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "std above 0"),
        ({"num_crops": 3}, "num_crops is 3, expected 1 in training"),
        ({"num_crops": 4, "training": False}, "num_crops is 4"),
        ({"short_side": (7, 12)}, r"short_side is \(7, 12\)"),
        ({"short_side": (12, 9)}, r"short_side is \(12, 9\)"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make(**settings)
