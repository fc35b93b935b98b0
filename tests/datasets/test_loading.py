import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.datasets import ClipDataset, Item, SpritesActions, VideoDataset, collate, folder, loader
from kinema.datasets.clip_dataset import BrokenClipError
from kinema.errors import InputError
from tests.datasets.conftest import write_clip


class Numbers(ClipDataset):
    """Items that tell their index, epoch and the threads of their process."""

    def __init__(self, length: int) -> None:
        super().__init__(seed=0)
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Item:
        values = torch.tensor([index, self.epoch, torch.get_num_threads()])
        return {"pixel_values": values, "labels": 0, "index": index, "errors": []}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("jump/a", "jump/b", "wave/c", "wave/d", "wave/e"):
        write_clip(tmp_path / f"{name}.mp4")
    return tmp_path


def videos(root: Path, **settings: Any) -> VideoDataset:
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "size": 16, "num_frames": 4}
    return VideoDataset(folder(root), **({"frame_stride": 1, "training": True} | plain | settings))


def order(batches: Any) -> list[int]:
    return torch.cat([batch["index"] for batch in batches]).tolist()


def pictures(batches: Any) -> dict[int, Tensor]:
    return {
        int(i): values
        for batch in batches
        for i, values in zip(batch["index"], batch["pixel_values"], strict=True)
    }


def test_a_batch_has_values_labels_and_indices(root: Path) -> None:
    batch = next(iter(loader(videos(root), batch_size=3, num_workers=0, shuffle=False)))
    assert batch["pixel_values"].shape == (3, 4, 3, 16, 16)
    assert batch["labels"].tolist() == [0, 0, 1]
    assert batch["labels"].dtype == torch.int64
    assert batch["index"].tolist() == [0, 1, 2]
    assert batch["errors"] == []


def test_the_order_follows_from_seed_and_epoch() -> None:
    dataset = Numbers(50)
    shuffled = loader(dataset, batch_size=7, num_workers=0, shuffle=True, seed=1)
    first, again = order(shuffled), order(shuffled)
    assert first == again != list(range(50))
    assert sorted(first) == list(range(50))
    dataset.set_epoch(1)
    assert order(shuffled) != first
    other = loader(Numbers(50), batch_size=7, num_workers=0, shuffle=True, seed=2)
    assert order(other) != first
    assert order(loader(dataset, batch_size=7, num_workers=0, shuffle=False)) == list(range(50))


@pytest.mark.parametrize(("start_method", "num_workers"), [("fork", 2), ("spawn", 1)])
def test_worker_processes_change_nothing(root: Path, start_method: str, num_workers: int) -> None:
    alone, shared = videos(root, seed=5), videos(root, seed=5)
    here = loader(alone, batch_size=2, num_workers=0, shuffle=True)
    there = loader(
        shared, batch_size=2, num_workers=num_workers, shuffle=True, start_method=start_method
    )
    # The workers outlive the epoch, and must learn of the next.
    for epoch in (0, 1):
        alone.set_epoch(epoch)
        shared.set_epoch(epoch)
        expected, found = list(here), list(there)
        assert order(found) == order(expected)
        for index, values in pictures(found).items():
            assert torch.equal(values, pictures(expected)[index])


def test_every_core_gets_a_worker() -> None:
    batches = loader(Numbers(4), batch_size=2, shuffle=False)
    assert batches.num_workers == len(os.sched_getaffinity(0))


def test_workers_have_one_thread_and_see_the_epoch() -> None:
    dataset = Numbers(4)
    batches = loader(dataset, batch_size=2, num_workers=2, shuffle=False)
    for epoch in (3, 4):
        dataset.set_epoch(epoch)
        for batch in batches:
            assert (batch["pixel_values"][:, 1:] == torch.tensor([epoch, 1])).all()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_video_fails_in_one_sentence(root: Path, num_workers: int) -> None:
    (root / "wave/d.mp4").write_bytes(b"not a video")
    batches = loader(videos(root), batch_size=2, num_workers=num_workers, shuffle=False)
    with pytest.raises(InputError) as caught:
        list(batches)
    sentence = str(caught.value)
    assert sentence.startswith(str(root / "wave/d.mp4"))
    assert "\n" not in sentence


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_videos_are_replaced_in_training_and_counted(root: Path, num_workers: int) -> None:
    for name in ("jump/a", "wave/d"):
        (root / f"{name}.mp4").write_bytes(b"not a video")
    dataset = videos(root, on_error="skip")
    batches = loader(dataset, batch_size=2, num_workers=num_workers, shuffle=True)
    for _ in range(2):
        found = list(batches)
        assert sum(len(batch["labels"]) for batch in found) == 5
        assert sum((batch["labels"] == 0).sum() for batch in found) == 2
        assert not {0, 3} & set(order(found))
    assert sorted(Path(error.split(" ")[0]).stem for error in dataset.errors) == ["a", "d"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_videos_are_left_out_in_evaluation_and_counted(root: Path, num_workers: int) -> None:
    for name in ("jump/a", "jump/b", "wave/d"):
        (root / f"{name}.mp4").write_bytes(b"not a video")
    dataset = videos(root, on_error="skip", training=False)
    found = list(loader(dataset, batch_size=2, num_workers=num_workers, shuffle=False))
    assert order(found) == [2, 4]
    assert [len(batch["labels"]) for batch in found] == [0, 1, 1]
    assert len(dataset.errors) == 3


def test_collate_keeps_the_sentences_of_what_it_drops() -> None:
    whole = {"pixel_values": torch.ones(2, 3), "labels": 4, "index": 7, "errors": ["x"]}
    broken = {"pixel_values": None, "labels": 5, "index": 8, "errors": ["y", "z"]}
    batch = collate([broken, whole])
    assert batch["pixel_values"].shape == (1, 2, 3)
    assert (batch["labels"].tolist(), batch["index"].tolist()) == ([4], [7])
    assert batch["errors"] == ["y", "z", "x"]
    assert len(collate([broken])["labels"]) == 0


def test_an_error_that_crossed_processes_is_its_sentence_again() -> None:
    plain = BrokenClipError("a.mp4 is damaged: no frame of it can be decoded")
    wrapped = (
        "Caught BrokenClipError in DataLoader worker process 1.\nOriginal Traceback\n"
        "kinema.errors.InputError: first\n"
        f"kinema.datasets.clip_dataset.BrokenClipError: {plain}\n"
    )
    assert str(BrokenClipError(wrapped)) == str(plain)


def test_the_global_generators_are_left_alone() -> None:
    state = torch.random.get_rng_state()
    for num_workers in (0, 1):
        list(loader(Numbers(4), batch_size=2, num_workers=num_workers, shuffle=True))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_program_ends_in_the_middle_of_an_epoch(start_method: str, tmp_path: Path) -> None:
    """Its workers do not heed the signal by which multiprocessing would end them."""
    (tmp_path / "program.py").write_text(
        "from kinema.datasets import SpritesActions, loader\n"
        "if __name__ == '__main__':\n"
        "    grey = {'mean': (0.5,) * 3, 'std': (0.5,) * 3}\n"
        "    sprites = SpritesActions(60, num_frames=4, size=16, training=True, **grey)\n"
        "    settings = {'batch_size': 2, 'num_workers': 2, 'shuffle': True}\n"
        f"    batches = iter(loader(sprites, start_method={start_method!r}, **settings))\n"
        "    print(len(next(batches)['labels']))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "2\n"
    assert "Traceback" not in done.stderr


def test_sprites_load_as_videos_do() -> None:
    sprites = SpritesActions(
        6, num_frames=4, size=16, mean=(0.5,) * 3, std=(0.5,) * 3, training=True
    )
    found = pictures(loader(sprites, batch_size=4, num_workers=1, shuffle=True))
    assert all(torch.equal(found[i], sprites[i]["pixel_values"]) for i in range(6))


@pytest.mark.parametrize(
    ("length", "settings", "said"),
    [
        (4, {"batch_size": 0}, "batch_size is 0"),
        (4, {"num_workers": -1}, "num_workers is -1"),
        (4, {"batch_size": 5, "drop_last": True}, "4 clips, not one batch of 5"),
        (4, {"batch_size": 1, "batch_norm": True}, "batch_size is 1, and batch normalisation"),
        (5, {"batch_norm": True}, "leave one clip for the last"),
        (4, {"seed": -1}, "seed is -1"),
        (4, {"seed": 2**70}, "seed is 1180591620717411303424"),
    ],
)
def test_bad_settings_are_refused(length: int, settings: dict[str, Any], said: str) -> None:
    arguments = {"batch_size": 2, "num_workers": 0, "shuffle": True} | settings
    with pytest.raises(InputError, match=said):
        loader(Numbers(length), **arguments)


def test_a_last_batch_of_one_clip_can_be_dropped() -> None:
    batches = loader(
        Numbers(5), batch_size=2, num_workers=0, shuffle=True, batch_norm=True, drop_last=True
    )
    assert [len(batch["labels"]) for batch in batches] == [2, 2]
