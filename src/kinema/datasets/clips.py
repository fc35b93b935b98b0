"""What a data set is before anything is decoded: classes, and where each labelled clip lies."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kinema.errors import InputError

Require = Literal["all", "some"]


@dataclass(frozen=True)
class Clip:
    """A labelled clip: a video file, or a part of one.

    Attributes:
        path: the video file.
        label: index of the class.
        name: what the data set calls the clip.
        start: seconds from the beginning of the file, None for its beginning.
        end: seconds from the beginning of the file, exclusive, None for its end.
    """

    path: Path
    label: int
    name: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class ClipList:
    """The clips of one subset of a data set.

    Attributes:
        name: of the data set, split and subset.
        classes: names; a label is an index into them.
        clips: in the order of the official list.
        missing: clips of the official list whose video is not on disk.
        emptied: labels that have no clip left for that reason.

    Raises:
        InputError: a label is outside the classes, or two classes have one name.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()
    emptied: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            twice = next(c for c in self.classes if self.classes.count(c) > 1)
            raise InputError(f"{self.name} names the class {twice!r} twice; make names distinct")
        for clip in self.clips:
            if not 0 <= clip.label < len(self.classes):
                raise InputError(
                    f"{self.name}: clip {clip.name} has the label {clip.label}, expected 0 to "
                    f"{len(self.classes) - 1} for its {len(self.classes)} classes; mend the list"
                )

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labels(self) -> tuple[int, ...]:
        """The label of each clip."""
        return tuple(clip.label for clip in self.clips)

    def subset(self, indices: Iterable[int]) -> "ClipList":
        """The same classes with these clips only, in this order."""
        return replace(self, clips=tuple(self.clips[index] for index in indices))

    def counts(self) -> dict[str, int]:
        """Number of clips of each class, 0 where there is none."""
        found = [0] * len(self.classes)
        for clip in self.clips:
            found[clip.label] += 1
        return dict(zip(self.classes, found, strict=True))


def on_disk(
    official: ClipList,
    candidates: Callable[[Clip], Iterable[Clip]],
    *,
    root: Path,
    require: Require,
    source: str,
) -> ClipList:
    """Find the videos of an official list.

    Args:
        official: clips whose paths are relative.
        candidates: where a clip's video may be, likeliest first; the first that exists is taken.
        root: the folder that is searched, for the message.
        require: "all" refuses a missing video, "some" names them in `missing`.
        source: where the videos are to be had, for the message.

    Raises:
        InputError: `root` is no folder, none of the videos is there, or one is not and all are
            required.
    """
    require_one_of("require", require, ("all", "some"))
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder, expected the videos of {official.name} in it; check the path "
            f"or get them from {source}"
        )
    found: list[Clip] = []
    missing: list[str] = []
    for clip in official.clips:
        there = next((c for c in candidates(clip) if c.path.is_file()), None)
        if there is None:
            missing.append(clip.name)
        else:
            found.append(there)
    if official.clips and (not found or (missing and require == "all")):
        how_many = "none" if not found else f"{len(found)}"
        raise InputError(
            f"{how_many} of the {len(official)} videos of {official.name} are under {root}; "
            f"missing is {missing[0]} for example: get them from {source}, or give another root"
        )
    emptied = sorted({clip.label for clip in official.clips} - {clip.label for clip in found})
    return replace(official, clips=tuple(found), missing=tuple(missing), emptied=tuple(emptied))


def require_one_of(name: str, value: object, known: Sequence[object]) -> None:
    """Refuse an argument that is not among those known.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        listed = ", ".join(repr(one) for one in known)
        raise InputError(f"{name} is {value!r}, expected one of {listed}")
