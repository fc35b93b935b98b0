from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.datasets import Clip, ClipList, VideoDataset, folder, ut_interaction
from kinema.errors import InputError
from tests.datasets.conftest import picture_number, write_clip, write_pattern


def make(clips: ClipList, **settings: Any) -> VideoDataset:
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "size": 16, "num_frames": 4}
    return VideoDataset(clips, **({"frame_stride": None, "training": True} | plain | settings))


def numbers(video: Tensor) -> list[int]:
    """Which frames of `write_clip` a clip of items shows."""
    return [picture_number(frame * 255) for frame in video]


@pytest.fixture
def clips(tmp_path: Path) -> ClipList:
    for name in ("jump/a", "jump/b", "wave/c", "wave/d"):
        write_clip(tmp_path / f"{name}.mp4")
    return folder(tmp_path)


def test_an_item_is_a_normalised_clip_and_its_label(clips: ClipList) -> None:
    item = make(clips, mean=(0.5,) * 3, std=(0.25,) * 3)[2]
    assert item["pixel_values"].shape == (4, 3, 16, 16)
    assert item["pixel_values"].dtype == torch.float32
    assert (item["labels"], item["index"], item["errors"]) == (1, 2, [])
    shown = numbers(item["pixel_values"] * 0.25 + 0.5)
    assert all(3 * t <= number < 3 * t + 3 for t, number in enumerate(shown))
    assert make(clips)[-1]["index"] == 3
    with pytest.raises(IndexError):
        make(clips)[4]


def test_evaluation_takes_the_same_frames_every_time(clips: ClipList) -> None:
    dataset = make(clips, training=False)
    first = dataset[0]["pixel_values"]
    dataset.set_epoch(5)
    assert torch.equal(dataset[0]["pixel_values"], first)
    assert numbers(first) == [1, 4, 7, 10]


def test_views_and_crops_come_first(clips: ClipList) -> None:
    dataset = make(clips, training=False, frame_stride=2, num_views=3, num_crops=2)
    values = dataset[0]["pixel_values"]
    assert values.shape == (6, 4, 3, 16, 16)
    assert [numbers(view) for view in values[::2]] == [[0, 2, 4, 6], [2, 4, 6, 8], [5, 7, 9, 11]]
    assert [numbers(view) for view in values[1::2]] == [numbers(view) for view in values[::2]]


def test_a_short_clip_repeats_its_last_frame_and_never_begins_anew(tmp_path: Path) -> None:
    write_clip(tmp_path / "jump/a.mp4", num_frames=3)
    for settings in ({"training": True}, {"training": False}):
        for stride in (None, 1, 4):
            dataset = make(folder(tmp_path), num_frames=6, frame_stride=stride, **settings)
            assert numbers(dataset[0]["pixel_values"]) == [0, 1, 2, 2, 2, 2]


def test_only_the_part_of_the_file_is_shown(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", num_frames=30)
    clip = Clip(path, 0, "part", start=1.0, end=1.4)
    clips = ClipList("d", ("jump",), (clip,))
    for training in (True, False):
        values = make(clips, num_frames=5, training=training)[0]["pixel_values"]
        assert numbers(values) == [10, 11, 12, 13, 13]


def test_items_follow_from_seed_epoch_and_index(clips: ClipList) -> None:
    dataset, twin = make(clips, frame_stride=1, seed=3), make(clips, frame_stride=1, seed=3)
    first = [dataset[i]["pixel_values"] for i in range(4)]
    dataset.set_epoch(1)
    second = [dataset[i]["pixel_values"] for i in range(4)]
    # A run that is resumed begins at its epoch, and asks in another order.
    twin.set_epoch(1)
    assert all(torch.equal(twin[i]["pixel_values"], second[i]) for i in reversed(range(4)))
    twin.set_epoch(0)
    assert all(torch.equal(twin[i]["pixel_values"], first[i]) for i in range(4))
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = make(clips, frame_stride=1, seed=4)
    assert any(not torch.equal(other[i]["pixel_values"], first[i]) for i in range(4))


def test_all_frames_of_a_clip_are_cropped_and_mirrored_alike(tmp_path: Path) -> None:
    write_pattern(tmp_path / "jump/a.mp4")
    dataset = make(folder(tmp_path))
    seen = []
    for epoch in range(12):
        dataset.set_epoch(epoch)
        values = dataset[0]["pixel_values"]
        # What is left between frames of a still video is the codec's.
        assert (values - values[:1]).abs().max() < 0.03
        seen.append(values[0])
    # Between epochs the crops differ.
    assert max(float((a - seen[0]).abs().mean()) for a in seen) > 0.1


def test_two_clips_of_an_epoch_are_drawn_apart(clips: ClipList) -> None:
    twins = ClipList("d", ("jump",), (clips.clips[0],) * 2)
    dataset = make(twins)
    drawn = []
    for epoch in range(6):
        dataset.set_epoch(epoch)
        drawn.append([numbers(dataset[i]["pixel_values"]) for i in (0, 1)])
    assert any(first != second for first, second in drawn)


def test_the_global_generator_is_left_alone(clips: ClipList) -> None:
    state = torch.random.get_rng_state()
    make(clips)[0]
    assert torch.equal(torch.random.get_rng_state(), state)


def damage(path: Path) -> None:
    path.write_bytes(b"not a video")


def test_a_broken_video_fails_with_file_and_cause(clips: ClipList) -> None:
    damage(clips.clips[1].path)
    dataset = make(clips)
    with pytest.raises(InputError, match=r"jump/b.mp4 is not a video that FFmpeg can read"):
        dataset[1]
    assert dataset[0]["errors"] == []


def test_a_broken_video_is_replaced_by_its_class_in_training(clips: ClipList) -> None:
    damage(clips.clips[1].path)
    dataset = make(clips, on_error="skip")
    item = dataset[1]
    assert (item["index"], item["labels"]) == (0, 0)
    (sentence,) = item["errors"]
    assert "jump/b.mp4 is not a video" in sentence
    dataset[1]
    assert dataset.errors == [sentence]
    again = make(clips, on_error="skip")[1]
    assert torch.equal(again["pixel_values"], item["pixel_values"])
    damage(clips.clips[0].path)
    with pytest.raises(InputError, match="every clip of the class 'jump'"):
        dataset[1]


def test_a_broken_video_is_left_out_in_evaluation(clips: ClipList) -> None:
    damage(clips.clips[1].path)
    dataset = make(clips, on_error="skip", training=False)
    item = dataset[1]
    assert item["pixel_values"] is None
    assert (item["index"], item["labels"]) == (1, 0)
    assert len(dataset.errors) == 1


def test_a_replacement_does_not_change_the_other_clips(clips: ClipList) -> None:
    whole = make(clips, on_error="skip")
    expected = [whole[i]["pixel_values"] for i in (0, 2, 3)]
    damage(clips.clips[1].path)
    damaged = make(clips, on_error="skip")
    damaged[1]
    for i, values in zip((0, 2, 3), expected, strict=True):
        assert torch.equal(damaged[i]["pixel_values"], values)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_frames": 0}, "num_frames is 0"),
        ({"frame_stride": 0.5}, r"frame_stride is 0\.5"),
        ({"frame_stride": float("nan")}, "frame_stride is nan"),
        ({"num_views": 2}, "num_views is 2, expected 1 in training"),
        ({"num_views": 0, "training": False}, "num_views is 0"),
        ({"on_error": "retry"}, "on_error is 'retry'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_refused(clips: ClipList, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make(clips, **settings)


def test_a_list_without_clips_is_refused() -> None:
    with pytest.raises(InputError, match="HMDB-51 has no clips"):
        make(ClipList("HMDB-51", ("jump",), ()))


def test_real_clips_give_items(interactions: Path) -> None:
    clips = ut_interaction(interactions, across="set1", subset="train")
    dataset = make(clips, size=64, num_frames=9, frame_stride=4)
    for index in (0, 31, 59):
        item = dataset[index]
        assert item["pixel_values"].shape == (9, 3, 64, 64)
        # Something moves in every clip.
        assert item["pixel_values"].diff(dim=0).abs().max() > 0.1
