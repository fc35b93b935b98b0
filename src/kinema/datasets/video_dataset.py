"""A torch data set over videos on disk."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from kinema.datasets.augmentation import augmentation
from kinema.datasets.clip_dataset import BrokenClipError, ClipDataset, Item, seeded
from kinema.datasets.clips import Clip, ClipList, require_one_of
from kinema.datasets.frames import jittered, views
from kinema.errors import InputError
from kinema.video import read_video


class VideoDataset(ClipDataset):
    """Labelled clips as normalised tensors; decodes what it is asked for, and keeps nothing.

    An item is a dict of `pixel_values`, `labels` (int), `index` (of the clip that is shown) and
    `errors` (a list of sentences, empty where nothing is broken). `pixel_values` is float32
    `(T, C, H, W)`; in evaluation over several views or crops `(V, T, C, H, W)` with the crops of
    a view beside each other. Under `on_error="skip"` a broken clip is replaced by another of its
    class in training (None is left of it in evaluation, and `collate` drops it).

    Args:
        clips: of one subset.
        num_frames: T.
        frame_stride: frames of the video from one frame of the clip to the next; where T frames
            do not fit, it shrinks until they do. None spreads the T frames over the clip. In no
            case does a clip begin anew: one with fewer than T frames repeats its last.
        size: side of the square crop.
        mean: of the channels, for frames in [0, 1].
        std: likewise.
        training: temporal jitter and random crops; the same for all frames of a clip, and the
            same again for equal seed, epoch and index.
        num_views: temporal views in evaluation.
        num_crops: spatial crops of each view in evaluation, 1 to 3.
        short_side: see `augmentation`.
        flip: see `augmentation`; off where left and right make classes.
        on_error: "fail" raises at a broken video, "skip" passes over it and counts it.
        seed: of all randomness.

    Raises:
        InputError: there are no clips, an argument is out of range, or kornia is not installed.
            An item raises it for a broken video under "fail", and where every clip of a class is
            broken.
    """

    def __init__(
        self,
        clips: ClipList,
        *,
        num_frames: int,
        frame_stride: float | None,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        training: bool,
        num_views: int = 1,
        num_crops: int = 1,
        short_side: tuple[int, int] | None = None,
        flip: bool = True,
        on_error: Literal["fail", "skip"] = "fail",
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        require_one_of("on_error", on_error, ("fail", "skip"))
        if not len(clips):
            raise InputError(f"{clips.name} has no clips, expected at least one; check its root")
        if num_frames < 1:
            raise InputError(f"num_frames is {num_frames}, expected 1 or more")
        if frame_stride is not None and not frame_stride >= 1:
            raise InputError(
                f"frame_stride is {frame_stride}, expected 1 or more, or None to spread the frames"
            )
        if num_views < 1 or (training and num_views != 1):
            raise InputError(f"num_views is {num_views}, expected 1 in training, else 1 or more")
        self.clips = clips
        self.num_frames = num_frames
        self.frame_stride = frame_stride
        self.training = training
        self.num_views = num_views
        self.on_error = on_error
        self.augmentation = augmentation(
            size=size,
            mean=mean,
            std=std,
            training=training,
            short_side=short_side,
            flip=flip,
            num_crops=num_crops,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return self.clips.classes

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Item:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside a data set of {len(self)} clips")
        index %= len(self)
        errors: list[str] = []
        pixel_values: Tensor | None = None
        for shown in self._attempts(index):
            try:
                pixel_values = self._decode(self.clips.clips[shown], self.generator(index))
                index = shown
                break
            except InputError as error:
                if self.on_error == "fail":
                    raise BrokenClipError(str(error)) from error
                errors.append(str(error))
        self.record(errors)
        label = self.clips.clips[index].label
        if pixel_values is None and self.training:
            raise BrokenClipError(
                f"every clip of the class {self.classes[label]!r} of {self.clips.name} is broken; "
                f"the first: {errors[0]}"
            )
        return {"pixel_values": pixel_values, "labels": label, "index": index, "errors": errors}

    def _attempts(self, index: int) -> Iterator[int]:
        """The clip, and in training the others of its class, in random order, in its stead."""
        yield index
        if self.training:
            label = self.clips.clips[index].label
            others = [
                i for i, clip in enumerate(self.clips.clips) if clip.label == label and i != index
            ]
            order = torch.randperm(len(others), generator=seeded(self.seed, self.epoch, index, 1))
            yield from (others[i] for i in order.tolist())

    def _decode(self, clip: Clip, generator: Generator) -> Tensor:
        """Read, crop and normalise: `(T, C, H, W)`, or `(V, T, C, H, W)`."""

        def chosen(length: int) -> list[int]:
            if self.training:
                picks = [
                    jittered(length, self.num_frames, stride=self.frame_stride, generator=generator)
                ]
            else:
                picks = views(
                    length, self.num_frames, stride=self.frame_stride, num_views=self.num_views
                )
            return [index for pick in picks for index in pick]

        short_side = self.augmentation.draw_short_side(generator)
        frames = read_video(
            clip.path, indices=chosen, size=short_side, start=clip.start, end=clip.end
        ).frames
        shown = frames.unflatten(0, (self.num_views, self.num_frames))
        prepared = torch.cat([self.augmentation(view, generator) for view in shown])
        return prepared[0] if len(prepared) == 1 else prepared
