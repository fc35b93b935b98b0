"""Find the videos of a folder."""

import re
from pathlib import Path

from kinema.errors import InputError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".gif"}
)


def find_videos(path: str | Path) -> list[Path]:
    """List the videos at `path`: the file itself, or those of a folder and its subfolders.

    Videos are told by their suffix (`VIDEO_SUFFIXES`, in capitals too); hidden files and folders
    are passed over. Names are sorted as people count: `clip2` before `clip10`.

    Raises:
        InputError: there is nothing at `path`, or no video in the folder.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path} does not exist, expected a video or a folder; check the path")
    videos = [
        file
        for file in path.rglob("*")
        if file.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    ]
    if not videos:
        raise InputError(
            f"{path} and its subfolders hold no video, expected files with one of the suffixes "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return sorted(videos, key=natural_order)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A sort key under which numbers inside names count as numbers."""
    pieces = re.split(r"(\d+)", path.as_posix())
    return [(int(p), p) if p.isdecimal() else (-1, p) for p in pieces]
