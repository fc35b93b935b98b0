"""What runs of a study see, drawn before they begin: frames of all clips, and who is shown when.

A run in `kinema.recognition.finetune` reads and augments each clip as it comes. Here all frames of
a data set lie in one array, and a plan says for each step which clips it shows, which of their
frames, and which box of them: the order, frames, sizes and corners that `finetune` draws from the
same seeds, and mirroring by draws of its own. So a GPU can be left alone with both.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinema.datasets import ClipDataset, ClipList
from kinema.datasets.frames import jittered, views
from kinema.files import replacing
from kinema.motion_prompt import PlainFrames
from kinema.recognition import Recipe
from kinema.recognition.data import find_clips
from kinema.recognition.order import Order
from kinema.video import read_video

_OF_A_PLAN = (
    "dataset", "dataset_arguments", "num_frames", "frame_stride", "size", "short_side", "flip",
    "batch_size", "num_epochs", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """What one run sees.

    frames: file of (F, 3, H, W) uint8, all frames there are.
    train: arrays "labels" (S, B) of S steps, "frames" (S, B, T + 1), indices into `frames`, and
        "boxes" (S, B, 2, 3), affine maps from the crop to the frame, or none where frames are
        shown as they are.
    test: the same of the N test clips, without S.
    classes: names.
    """

    frames: Path
    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    classes: tuple[str, ...]


def plan_key(recipe: Recipe, data: Path | None) -> str:
    """Return a name that runs share which see the same."""
    settings = {name: getattr(recipe, name) for name in _OF_A_PLAN} | {"data": str(data)}
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def draw(recipe: Recipe, data: Path | None, folder: Path) -> Drawn:
    """Draw all that a run will see, or read it where `folder` has it."""
    name = plan_key(recipe, data)
    folder.mkdir(parents=True, exist_ok=True)
    if data is None:
        frames, train, test = _draw_sprites(recipe, folder / f"frames-{name}.npy")
        classes = find_clips(recipe, None, training=True).classes
    else:
        plan = folder / f"plan-{name}.npz"
        frames = folder / "frames.npy"
        to_train, to_test = (find_clips(recipe, data, training=each) for each in (True, False))
        classes = to_train.classes
        if not plan.exists():
            lie = json.loads((folder / "frames.json").read_text())
            assert to_train.clips is not None
            assert to_test.clips is not None
            parts = {
                "train": _training(recipe, to_train.clips, lie, data),
                "test": _testing(recipe, to_test.clips, lie, data),
            }
            arrays = {f"{part}-{k}": v for part, each in parts.items() for k, v in each.items()}
            with replacing(plan) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
        with np.load(plan) as arrays:
            train, test = (
                {key.partition("-")[2]: arrays[key] for key in arrays if key.startswith(part)}
                for part in ("train", "test")
            )
    return Drawn(frames, train, test, classes)


def decode_all(clips: Path, folder: Path) -> None:
    """Decode the videos below `clips` into one array, `frames.npy`.

    Each lies in the upper left of its frames. `frames.json` says of each video, by its path below
    `clips`, where its frames begin, how many they are, and their height and width.
    """
    if (folder / "frames.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in clips.rglob("*.avi") if not path.name.startswith("."))
    decoded = [read_video(path).frames for path in paths]
    height, width = (max(each.shape[axis] for each in decoded) for axis in (2, 3))
    frames = np.zeros((sum(map(len, decoded)), 3, height, width), dtype=np.uint8)
    lie, first = {}, 0
    for path, clip in zip(paths, decoded, strict=True):
        frames[first : first + len(clip), :, : clip.shape[2], : clip.shape[3]] = clip.numpy()
        lie[str(path.relative_to(clips))] = [first, len(clip), clip.shape[2], clip.shape[3]]
        first += len(clip)
    lie["size"] = [height, width]
    with replacing(folder / "frames.npy") as temporary, temporary.open("wb") as file:
        np.save(file, frames)
    with replacing(folder / "frames.json") as temporary:
        temporary.write_text(json.dumps(lie))


class _Clips(ClipDataset):
    """The seeds of a data set's clips, without the clips."""

    def __init__(self, count: int, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.count = count

    def __len__(self) -> int:
        return self.count


def _training(
    recipe: Recipe, clips: ClipList, lie: dict[str, Any], data: Path
) -> dict[str, np.ndarray]:
    counted = _Clips(len(clips), seed=recipe.seed)
    low, high = recipe.short_side
    labels, frames, boxes = [], [], []
    for indices in _steps(recipe, counted):
        labels.append([clips.clips[index].label for index in indices])
        picked, boxed = [], []
        for index in indices:
            first, count, height, width = lie[str(clips.clips[index].path.relative_to(data))]
            generator = counted.generator(index)
            side = int(torch.randint(low, high + 1, (), generator=generator))
            picks = jittered(
                count,
                recipe.num_clip_frames,
                stride=recipe.frame_stride or None,
                generator=generator,
            )
            resized = _resized(height, width, side)
            corner = [
                int(torch.randint(length - recipe.size + 1, (), generator=generator))
                for length in resized
            ]
            mirrored = recipe.flip and bool(torch.rand((), generator=generator) < 0.5)
            picked.append([first + pick for pick in picks])
            boxed.append(_box(recipe.size, (height, width), resized, corner, lie["size"], mirrored))
        frames.append(picked)
        boxes.append(boxed)
    return _arrays(labels, frames, boxes)


def _testing(
    recipe: Recipe, clips: ClipList, lie: dict[str, Any], data: Path
) -> dict[str, np.ndarray]:
    frames, boxes = [], []
    for clip in clips.clips:
        first, count, height, width = lie[str(clip.path.relative_to(data))]
        stride = recipe.frame_stride or None
        (picks,) = views(count, recipe.num_clip_frames, stride=stride, num_views=1)
        resized = _resized(height, width, recipe.size)
        corner = [(length - recipe.size) // 2 for length in resized]
        frames.append([first + pick for pick in picks])
        boxes.append(_box(recipe.size, (height, width), resized, corner, lie["size"], False))
    return _arrays([clip.label for clip in clips.clips], frames, boxes)


def _draw_sprites(
    recipe: Recipe, path: Path
) -> tuple[Path, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Render all clips, first those to train on; clips are the same in every epoch."""
    clips = [
        find_clips(recipe, None, training=training).dataset(PlainFrames())
        for training in (True, False)
    ]
    if not path.exists():
        rendered = [each.frames(index) for each in clips for index in range(len(each))]  # type: ignore[attr-defined]
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, torch.cat(rendered).numpy())
    num_classes = len(clips[0].classes)  # type: ignore[attr-defined]
    steps = np.array(list(_steps(recipe, clips[0])))
    times = np.arange(recipe.num_clip_frames)
    tested = np.arange(len(clips[1]))
    train = {
        "labels": steps % num_classes,
        "frames": steps[..., None] * recipe.num_clip_frames + times,
    }
    test = {
        "labels": tested % num_classes,
        "frames": (len(clips[0]) + tested)[:, None] * recipe.num_clip_frames + times,
    }
    return path, train, test


def _steps(recipe: Recipe, clips: ClipDataset):  # type: ignore[no-untyped-def]
    """The clips of each step of a run; the data set is at the epoch of that step."""
    assert recipe.accumulation == 1
    order = Order(clips, batch_size=recipe.batch_size, seed=recipe.seed)
    for epoch in range(recipe.num_epochs):
        clips.set_epoch(epoch)
        yield from order


def _resized(height: int, width: int, short_side: int) -> tuple[int, int]:
    shorter = min(height, width)
    return round(height * short_side / shorter), round(width * short_side / shorter)


def _box(
    size: int,
    source: tuple[int, int],
    resized: tuple[int, int],
    corner: Sequence[int],
    padded: Sequence[int],
    mirrored: bool,
) -> list[list[float]]:
    """Affine map, as of `F.affine_grid`, from a crop of the resized frame to the padded one."""
    # A place p of the crop, in [-1, 1], is pixel (p + 1) * size / 2 + corner of the resized frame,
    # which is `zoom` times as much in the source, which fills the padded frame up to its own size.
    rows = []
    for axis in (1, 0):  # x before y
        zoom = source[axis] / resized[axis] * 2 / padded[axis]
        rows.append((zoom * size / 2, zoom * (size / 2 + corner[axis]) - 1))
    (scale_x, shift_x), (scale_y, shift_y) = rows
    return [[-scale_x if mirrored else scale_x, 0.0, shift_x], [0.0, scale_y, shift_y]]


def _arrays(labels: list[Any], frames: list[Any], boxes: list[Any]) -> dict[str, np.ndarray]:
    return {
        "labels": np.array(labels, dtype=np.int64),
        "frames": np.array(frames, dtype=np.int64),
        "boxes": np.array(boxes, dtype=np.float32),
    }


def to_device(frames: Path, device: torch.device) -> Tensor:
    """Read an array of frames."""
    return torch.from_numpy(np.load(frames)).to(device)
