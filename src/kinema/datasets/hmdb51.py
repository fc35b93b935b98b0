"""HMDB-51: 51 classes, three splits of 3,570 clips to train on and 1,530 to test.

Kuehne et al., "HMDB: a large video database for human motion recognition", ICCV 2011.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.datasets.official import annotation_folder, fields_of, lines_of
from kinema.errors import InputError

SOURCE = "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/hmdb51_org.rar"
SPLITS_SOURCE = "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/test_train_splits.rar"

_NUM_CLASSES = 51
_PLACES = ("testTrainMulti_7030_splits", "test_train_splits/testTrainMulti_7030_splits")
# 0 marks clips that a split leaves out.
_MARKS = {"train": "1", "test": "2"}


def hmdb51(
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    split: int = 1,
    subset: Literal["train", "test"],
    require: Require = "some",
) -> ClipList:
    """List the clips of a subset of HMDB-51.

    Args:
        root: videos as `<class>/<name>.avi`, or all in this folder.
        annotations: folder of the `<class>_test_split<n>.txt`; by default
            `testTrainMulti_7030_splits` below `root`.
        split: 1, 2 or 3.
        subset: which part of the split.
        require: "all" refuses a missing video, "some" names them in `missing`.

    Raises:
        InputError: annotations or videos are missing, or an argument is out of range.
    """
    root = Path(root)
    folder = annotation_folder(annotations, root, _PLACES, source=SPLITS_SOURCE)
    official = parse_hmdb51(folder, split=split, subset=subset)

    def candidates(clip: Clip) -> list[Clip]:
        places = (root / clip.path, root / "hmdb51_org" / clip.path, root / clip.path.name)
        return [replace(clip, path=place) for place in places]

    return on_disk(official, candidates, root=root, require=require, source=SOURCE)


def parse_hmdb51(
    annotations: str | Path, *, split: int, subset: Literal["train", "test"]
) -> ClipList:
    """Read the official lists; paths are `<class>/<name>.avi`, classes are in alphabetical order.

    Raises:
        InputError: a list is missing or not of the official form, or an argument out of range.
    """
    require_one_of("split", split, (1, 2, 3))
    require_one_of("subset", subset, tuple(_MARKS))
    ending = f"_test_split{split}.txt"
    # File names sort climb_stairs before climb; class names do not.
    classes = sorted(
        file.name.removesuffix(ending) for file in Path(annotations).glob(f"*{ending}")
    )
    if len(classes) != _NUM_CLASSES:
        raise InputError(
            f"{annotations} holds {len(classes)} files *{ending}, expected one for each of the "
            f"{_NUM_CLASSES} classes; get the official splits from {SPLITS_SOURCE}"
        )
    clips = []
    for label, name in enumerate(classes):
        path = Path(annotations) / f"{name}{ending}"
        for line in lines_of(path, source=SPLITS_SOURCE):
            file, mark = fields_of(line, 2, path=path)
            if mark not in ("0", "1", "2"):
                raise InputError(
                    f"{path} marks {file} with {mark!r}, expected 0, 1 or 2; get the official "
                    "file again"
                )
            if mark == _MARKS[subset]:
                clips.append(Clip(Path(name) / file, label, f"{name}/{file}"))
    return ClipList(f"HMDB-51 split {split} {subset}", tuple(classes), tuple(clips))
