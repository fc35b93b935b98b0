"""UCF101: 101 classes, three splits that keep the 25 groups of each class together.

Soomro, Zamir and Shah, "UCF101: a dataset of 101 human actions classes from videos in the wild",
CRCV-TR-12-01.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.datasets.official import (
    annotation_folder,
    lines_of,
    numbered_classes,
)
from kinema.errors import InputError

SOURCE = "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar"
SPLITS_SOURCE = "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip"


def ucf101(
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    split: int = 1,
    subset: Literal["train", "test"],
    require: Require = "some",
) -> ClipList:
    """List the clips of a subset of UCF101.

    Args:
        root: videos as `<Class>/v_<Class>_g<group>_c<clip>.avi` (also below `UCF-101`), or all
            in this folder.
        annotations: folder of `classInd.txt`, `trainlist0<n>.txt` and `testlist0<n>.txt`; by
            default `ucfTrainTestlist` in or beside `root`.
        split: 1, 2 or 3.
        subset: which part of the split.
        require: "all" refuses a missing video, "some" names them in `missing`.

    Raises:
        InputError: annotations or videos are missing, or an argument is out of range.
    """
    root = Path(root)
    folder = annotation_folder(
        annotations, root, ("ucfTrainTestlist", "../ucfTrainTestlist"), source=SPLITS_SOURCE
    )
    official = parse_ucf101(folder, split=split, subset=subset)

    def candidates(clip: Clip) -> list[Clip]:
        places = (root / clip.path, root / "UCF-101" / clip.path, root / clip.path.name)
        return [replace(clip, path=place) for place in places]

    return on_disk(official, candidates, root=root, require=require, source=SOURCE)


def parse_ucf101(
    annotations: str | Path, *, split: int, subset: Literal["train", "test"]
) -> ClipList:
    """Read the official lists; the class of a clip is the folder in its path.

    Raises:
        InputError: a list is missing or not of the official form, or an argument out of range.
    """
    require_one_of("split", split, (1, 2, 3))
    require_one_of("subset", subset, ("train", "test"))
    index_path = Path(annotations) / "classInd.txt"
    numbers = numbered_classes(index_path, columns=("number", "name"), source=SPLITS_SOURCE)
    path = Path(annotations) / f"{subset}list{split:02d}.txt"
    clips = []
    for line in lines_of(path, source=SPLITS_SOURCE):
        # Only the lists to train on repeat the class number.
        file = line.split()[0]
        name = file.split("/")[0]
        if name not in numbers:
            raise InputError(
                f"{path} has the clip {file!r} of a class that is not in {index_path.name}; get "
                "the official files again"
            )
        clips.append(Clip(Path(file), numbers[name], file))
    classes = tuple(sorted(numbers, key=lambda name: numbers[name]))
    return ClipList(f"UCF101 split {split} {subset}", classes, tuple(clips))
