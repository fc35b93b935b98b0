"""A folder for each class."""

from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.clips import Clip, ClipList
from kinema.errors import InputError
from kinema.video import find_videos


def folder(root: str | Path, *, classes: Sequence[str] | None = None) -> ClipList:
    """List the videos of a folder that has a subfolder for each class.

    Args:
        root: `<class>/.../<video>`; hidden folders and files are passed over.
        classes: names in the order of the labels, such as those of the folder that was trained
            on; by default the subfolders in alphabetical order.

    Raises:
        InputError: `root` is no folder, has no subfolders or one that is not among the classes,
            or a class has no videos.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder, expected one with a folder for each class")
    there = sorted(
        place.name for place in root.iterdir() if place.is_dir() and not place.name.startswith(".")
    )
    if not there:
        raise InputError(
            f"{root} has no subfolders, expected one for each class with its videos in it"
        )
    names = tuple(there if classes is None else classes)
    unknown = [name for name in there if name not in names]
    if unknown:
        raise InputError(
            f"{root} has the folder {unknown[0]!r}, which is none of the classes "
            f"{', '.join(names)}; move it away or name it among them"
        )
    clips = []
    for label, name in enumerate(names):
        if name not in there:
            raise InputError(f"{root} has no folder for the class {name!r}; add it with its videos")
        try:
            videos = find_videos(root / name)
        except InputError as error:
            raise InputError(
                f"the class {name!r} has no clips: {root / name} holds no video; add some or "
                "remove the folder"
            ) from error
        clips += [Clip(video, label, video.relative_to(root).as_posix()) for video in videos]
    return ClipList(root.name, names, tuple(clips))
