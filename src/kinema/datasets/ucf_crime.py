"""UCF-Crime: surveillance videos; four folds of recognition, and anomalies with their times.

Sultani, Chen and Shah, "Real-world anomaly detection in surveillance videos", CVPR 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.datasets.official import (
    annotation_folder,
    fields_of,
    lines_of,
    numbered_classes,
    whole_number,
)
from kinema.errors import InputError

SOURCE = "https://www.crcv.ucf.edu/projects/real-world/"

# The official spelling.
_FOLDS = "Action_Regnition_splits"
_PLACES = (
    _FOLDS,
    f"UCF_Crimes-Train-Test-Split/{_FOLDS}",
    f"Anomaly-Detection-Dataset/UCF_Crimes-Train-Test-Split/{_FOLDS}",
)
# The archive of normal videos unpacks under another name than the lists use.
_NORMAL, _NORMAL_ARCHIVE = "Normal_Videos_event", "Normal_Videos_for_Event_Recognition"


@dataclass(frozen=True)
class Anomaly:
    """A test video and when something happens in it.

    Attributes:
        video: file name.
        kind: "Normal" or the class of the anomaly.
        intervals: first and last frame of each, at most two, none in a normal video; the
            videos have 30 frames a second.
    """

    video: str
    kind: str
    intervals: tuple[tuple[int, int], ...]


def ucf_crime(
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    fold: int = 1,
    subset: Literal["train", "test"],
    require: Require = "some",
) -> ClipList:
    """List the videos of a recognition fold of UCF-Crime.

    Args:
        root: videos as `<Class>/<name>.mp4`, here, in `Videos`, or in the folders of the
            archive's parts (`Anomaly-Videos-Part-1` and so on).
        annotations: the folder `Action_Regnition_splits` (official spelling); by default where
            the archive has it below `root`.
        fold: 1 to 4.
        subset: which part of the fold.
        require: "all" refuses a missing video, "some" names them in `missing`.

    Raises:
        InputError: annotations or videos are missing, or an argument is out of range.
    """
    root = Path(root)
    folder = annotation_folder(annotations, root, _PLACES, source=SOURCE)
    official = parse_ucf_crime(folder, fold=fold, subset=subset)
    parts = [root, root / "Videos", *sorted(root.glob("Anomaly-Videos-Part-*"))]

    def candidates(clip: Clip) -> Iterator[Clip]:
        for part in parts:
            yield replace(clip, path=part / clip.path)
            if clip.path.parent.name == _NORMAL:
                yield replace(clip, path=part / _NORMAL_ARCHIVE / clip.path.name)

    return on_disk(official, candidates, root=root, require=require, source=SOURCE)


def parse_ucf_crime(
    annotations: str | Path, *, fold: int, subset: Literal["train", "test"]
) -> ClipList:
    """Read the official lists; the class of a video is the folder in its path.

    Raises:
        InputError: a list is missing or not of the official form, or an argument out of range.
    """
    require_one_of("fold", fold, (1, 2, 3, 4))
    require_one_of("subset", subset, ("train", "test"))
    ids_path = Path(annotations) / "ClassIDs.txt"
    numbers = numbered_classes(ids_path, columns=("name", "number"), source=SOURCE)
    path = Path(annotations) / f"{subset}_{fold:03d}.txt"
    clips = []
    for line in lines_of(path, source=SOURCE):
        (file,) = fields_of(line, 1, path=path)
        name = file.split("/")[0]
        if name not in numbers:
            raise InputError(
                f"{path} has the video {file!r} of a class that is not in {ids_path.name}; get "
                "the official files again"
            )
        clips.append(Clip(Path(file), numbers[name], file))
    classes = tuple(sorted(numbers, key=lambda name: numbers[name]))
    return ClipList(f"UCF-Crime fold {fold} {subset}", classes, tuple(clips))


def parse_ucf_crime_detection(path: str | Path) -> list[str]:
    """Read a list of the anomaly task, `Anomaly_Train.txt` or `Anomaly_Test.txt`: its videos.

    Raises:
        InputError: the file is missing or a line does not hold one path.
    """
    path = Path(path)
    return [fields_of(line, 1, path=path)[0] for line in lines_of(path, source=SOURCE)]


def ucf_crime_anomalies(path: str | Path) -> list[Anomaly]:
    """Read the temporal annotation of the videos of the anomaly test.

    Args:
        path: `Temporal_Anomaly_Annotation_for_Testing_Videos.txt`.

    Raises:
        InputError: the file is missing or not of the official form.
    """
    path = Path(path)
    anomalies = []
    for line in lines_of(path, source=SOURCE):
        video, kind, *numbers = fields_of(line, 6, path=path)
        frames = [whole_number(number, path=path) for number in numbers]
        pairs = [(frames[0], frames[1]), (frames[2], frames[3])]
        # -1 -1 stands for no interval.
        intervals = tuple(pair for pair in pairs if pair != (-1, -1))
        if any(first < 0 or last < first for first, last in intervals):
            raise InputError(
                f"{path} has the line {line!r}, expected frames first to last, or -1 twice; get "
                "the official file again"
            )
        anomalies.append(Anomaly(video, kind, intervals))
    return anomalies
