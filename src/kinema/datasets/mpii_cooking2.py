"""MPII Cooking 2: 67 fine activities in long kitchen videos.

Rohrbach et al., "Recognizing fine-grained and composite activities using hand-centric features
and script data", IJCV 119, 2016.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.datasets.official import lines_of
from kinema.errors import InputError

SOURCE = "http://datasets.d2.mpi-inf.mpg.de/MPII-Cooking-2/"
FRAMES_PER_SECOND = 29.4

_MAT = "attributesAnnotations_MPII-Cooking-2.mat"
_SEQUENCES = {
    "train": "sequencesTrainAttr.txt",
    "val": "sequencesVal.txt",
    "test": "sequencesTest.txt",
}


@dataclass(frozen=True)
class Interval:
    """An annotated activity: frames of `video` from `first_frame` to `last_frame`.

    Frames count from 1, as MATLAB does, and the last one belongs to the activity.
    """

    video: str
    activity: str
    first_frame: int
    last_frame: int


def mpii_cooking2(
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    subset: Literal["train", "val", "test"],
    require: Require = "some",
) -> ClipList:
    """List the activities of a subset of MPII Cooking 2.

    Args:
        root: videos as `<sequence>-cam-002.avi`, here or in `videos`.
        annotations: folder of `attributesAnnotations_MPII-Cooking-2.mat` and
            `experimentalSetup`; by default `root`.
        subset: by the official lists of sequences.
        require: "all" refuses a missing video, "some" names their activities in `missing`.

    Raises:
        InputError: annotations or videos are missing, h5py is not installed, or an argument is
            out of range.
    """
    root = Path(root)
    official = parse_mpii_cooking2(root if annotations is None else annotations, subset=subset)

    def candidates(clip: Clip) -> list[Clip]:
        return [replace(clip, path=root / place / clip.path) for place in ("", "videos")]

    return on_disk(official, candidates, root=root, require=require, source=SOURCE)


def parse_mpii_cooking2(
    annotations: str | Path, *, subset: Literal["train", "val", "test"]
) -> ClipList:
    """Read the official files; paths are `<sequence>-cam-002.avi`, times are in seconds.

    The classes are the activities that are in the attribute map too, in alphabetical order;
    intervals of other activities are left out. Clips follow the list of sequences.

    Raises:
        InputError: a file is missing or not of the official form, or a sequence of the list has
            no annotated activity.
    """
    require_one_of("subset", subset, tuple(_SEQUENCES))
    folder = Path(annotations)
    intervals, attributes = read_intervals(folder / _MAT)
    classes = sorted(attributes & {interval.activity for interval in intervals})
    labels = {name: label for label, name in enumerate(classes)}
    of_sequence: dict[str, list[Interval]] = {}
    for interval in intervals:
        sequence = interval.video.split("-cam-")[0]
        of_sequence.setdefault(sequence, []).append(interval)

    path = folder / "experimentalSetup" / _SEQUENCES[subset]
    clips = []
    for line in lines_of(path, source=SOURCE):
        sequence = line.split()[0]
        if sequence not in of_sequence:
            raise InputError(
                f"{path} names the sequence {sequence!r}, of which {_MAT} has no activity; get "
                "both files again from the same place"
            )
        for interval in of_sequence[sequence]:
            if interval.activity in labels:
                clips.append(_clip(interval, labels[interval.activity]))
    return ClipList(f"MPII Cooking 2 {subset}", tuple(classes), tuple(clips))


def read_intervals(path: str | Path) -> tuple[list[Interval], set[str]]:
    """Read the MATLAB 7.3 file, which is HDF5: all intervals, and the names of the attributes.

    Raises:
        InputError: the file is missing or not of the official form, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "reading MPII Cooking 2 needs h5py; install kinema[recognition]"
        ) from error
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist, expected the annotations; get it from {SOURCE}annos/"
        )
    try:
        with h5py.File(path, "r") as file:
            annos = file["annos"]
            videos = list(_strings(file, annos["fileName"]))
            activities = list(_strings(file, annos["activity"]))
            first = [int(number) for number in annos["startFrame"][()].ravel()]
            last = [int(number) for number in annos["endFrame"][()].ravel()]
            attributes = set(_strings(file, annos["attributeMap"]))
        intervals = [
            Interval(video.removesuffix(".avi"), activity, begin, end)
            for video, activity, begin, end in zip(videos, activities, first, last, strict=True)
        ]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not the annotation file of MPII Cooking 2 ({error}); get it again from "
            f"{SOURCE}annos/"
        ) from error
    return intervals, attributes


def _strings(file: Any, references: Any) -> Iterator[str]:
    """A cell array of strings: references to arrays of UTF-16 code units."""
    for reference in references[()].ravel():
        yield file[reference][()].astype("<u2").tobytes().decode("utf-16-le")


def _clip(interval: Interval, label: int) -> Clip:
    return Clip(
        path=Path(f"{interval.video}.avi"),
        label=label,
        name=f"{interval.video}_{interval.first_frame}_{interval.last_frame}",
        start=(interval.first_frame - 1) / FRAMES_PER_SECOND,
        end=interval.last_frame / FRAMES_PER_SECOND,
    )
