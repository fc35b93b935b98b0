"""UT-Interaction, segmented: six interactions of two people, twenty groups of clips, two sites.

Ryoo and Aggarwal, "UT-Interaction dataset, ICPR contest on semantic description of human
activities (SDHA)", 2010.
"""

import re
from pathlib import Path
from typing import Literal

from kinema.datasets.clips import Clip, ClipList, Require, on_disk, require_one_of
from kinema.errors import InputError

SOURCE = "https://cvrc.ece.utexas.edu/SDHA2010/Human_Interaction.html"
CLASSES = ("shake hands", "hug", "kick", "point", "punch", "push")

_NAME = re.compile(r"(?P<number>\d+)_(?P<group>\d+)_(?P<label>[0-5])\.avi")
_NUM_GROUPS = 20
# One clip of each class in a group, but for the punches: none in group 6, two in group 8.
_CLIPS_OF = {(6, 4): 0, (8, 4): 2}
_FOLDERS = {"set1": "segmented_set1", "set2": "segmented_set2"}


def ut_interaction(
    root: str | Path,
    *,
    held_out: int | None = None,
    num_folds: int = 5,
    across: Literal["set1", "set2"] | None = None,
    subset: Literal["train", "test"],
    require: Require = "some",
) -> ClipList:
    """List the clips of a subset of UT-Interaction under one of two protocols.

    The clips of a group show the same people at the same place, so groups are kept whole. There
    are no official lists: a clip's name `<number>_<group>_<class>.avi` says all.

    Args:
        root: the folder of `segmented_set1` and `segmented_set2`.
        held_out: fold to test on, 0 to `num_folds - 1`; group g is in fold (g - 1) modulo
            `num_folds`, so that every fold has groups of both sites.
        num_folds: 2 to 20.
        across: instead of folds, the site to train on ("set1" is groups 1 to 10, a car park;
            "set2" groups 11 to 20, a lawn); the other one is tested on.
        subset: "train" or "test".
        require: "all" refuses a missing clip, "some" names them in `missing`.

    Raises:
        InputError: `root` is wrong, has no clips, or an argument is out of range.
    """
    require_one_of("subset", subset, ("train", "test"))
    if (held_out is None) == (across is None):
        raise InputError(
            'expected either held_out, a fold such as 0, or across, the site to train on ("set1" '
            'or "set2")'
        )
    if across is not None:
        require_one_of("across", across, tuple(_FOLDERS))
        tested = {g for g in range(1, _NUM_GROUPS + 1) if (g <= 10) != (across == "set1")}
        title = f"from {across}"
    else:
        if not 2 <= num_folds <= _NUM_GROUPS:
            raise InputError(f"num_folds is {num_folds}, expected 2 to {_NUM_GROUPS}")
        require_one_of("held_out", held_out, range(num_folds))
        tested = {g for g in range(1, _NUM_GROUPS + 1) if (g - 1) % num_folds == held_out}
        title = f"fold {held_out} of {num_folds}"

    root = Path(root)
    files = _files(root)
    clips = []
    for group in range(1, _NUM_GROUPS + 1):
        if (group in tested) != (subset == "test"):
            continue
        for label, name in enumerate(CLASSES):
            for nth in range(_CLIPS_OF.get((group, label), 1)):
                there = files.get((group, label), [])
                path = there[nth] if nth < len(there) else Path()
                clips.append(Clip(path, label, f"group {group}, {name}" + ", again" * nth))
    official = ClipList(f"UT-Interaction {title} {subset}", CLASSES, tuple(clips))
    return on_disk(official, lambda clip: [clip], root=root, require=require, source=SOURCE)


def _files(root: Path) -> dict[tuple[int, int], list[Path]]:
    """The files of each group and class."""
    files: dict[tuple[int, int], list[Path]] = {}
    for folder in _FOLDERS.values():
        for file in sorted((root / folder).glob("[!.]*.avi")):
            match = _NAME.fullmatch(file.name)
            if match is None or not 1 <= int(match["group"]) <= _NUM_GROUPS:
                raise InputError(
                    f"{file} is not named as a clip of UT-Interaction, expected "
                    "<number>_<group>_<class>.avi with a group of 1 to 20 and a class of 0 to 5; "
                    "take it out of the folder"
                )
            place = int(match["group"]), int(match["label"])
            files.setdefault(place, []).append(file)
            expected = _CLIPS_OF.get(place, 1)
            if len(files[place]) > expected:
                raise InputError(
                    f"{file} is clip {len(files[place])} of class {place[1]} in group {place[0]}, "
                    f"expected {expected}; take the one that is not of the data set out"
                )
    return files
