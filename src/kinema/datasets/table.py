"""A table of videos and labels: CSV with a comma, or the two fields with blanks between them."""

import csv as standard_csv
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.clips import Clip, ClipList
from kinema.datasets.official import lines_of
from kinema.errors import InputError

_HEADINGS = frozenset({"label", "labels", "class", "category", "action"})


def csv(
    path: str | Path, root: str | Path | None = None, *, classes: Sequence[str] | None = None
) -> ClipList:
    """List the videos of a table with lines `path,label` or `path label`.

    Labels are all whole numbers, or all names. A first line whose second field is "label",
    "class", "category" or "action" is a header. Paths may be quoted, and hold blanks.

    Args:
        path: the table.
        root: what its paths are relative to; by default the folder of the table.
        classes: names in the order of the labels; by default the numbers from 0 to the greatest,
            or the names in alphabetical order.

    Raises:
        InputError: the table is missing, empty or has a line of another form; a label is outside
            the classes, a class has no clips (where `classes` is not given), or a video is not
            on disk.
    """
    path = Path(path)
    base = path.parent if root is None else Path(root)
    rows = [_row(line, path) for line in lines_of(path, source="whoever made it")]
    if rows and rows[0][1].lower() in _HEADINGS:
        rows = rows[1:]
    if not rows:
        raise InputError(f"{path} lists no videos, expected lines of the form path,label")
    names, labels = _labels(path, [label for _, label in rows], classes)
    clips = []
    for (video, _), label in zip(rows, labels, strict=True):
        file = base / video
        if not file.is_file():
            raise InputError(
                f"{path} lists {video}, which is not in {base}; check the table or give root"
            )
        clips.append(Clip(file, label, video))
    return ClipList(path.stem, names, tuple(clips))


def _row(line: str, path: Path) -> tuple[str, str]:
    """Video and label of a line."""
    row = next(standard_csv.reader([line], skipinitialspace=True))
    # A path may hold a comma, "d,e.mp4 1", but a label holds no dot.
    by_comma = len(row) == 2 and "." not in row[1]
    fields = row if by_comma else line.rsplit(None, 1)
    video, label = (field.strip() for field in fields) if len(fields) == 2 else ("", "")
    if not video or not label:
        raise InputError(
            f"{path} has the line {line!r}, expected a video and its label such as "
            "`clips/wave.mp4,3`"
        )
    return video.strip('"'), label


def _labels(
    path: Path, said: list[str], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[int]]:
    """Class names and the index of each label."""
    if classes is not None and all(label in classes for label in said):
        # Names first: classes may be called "1", "2" and "fist", and all labels here be "1".
        return tuple(classes), [classes.index(label) for label in said]
    if all(label.removeprefix("-").isdecimal() for label in said):
        labels = [int(label) for label in said]
        if min(labels) < 0:
            raise InputError(f"{path} has the label {min(labels)}, expected 0 or more")
        if classes is not None:
            return tuple(classes), labels
        unused = set(range(max(labels))) - set(labels)
        if unused:
            raise InputError(
                f"{path}: class {min(unused)} has no clips though labels go up to {max(labels)}; "
                "number classes from 0 on without a gap, or give classes"
            )
        return tuple(str(label) for label in range(max(labels) + 1)), labels
    names = tuple(sorted(set(said)) if classes is None else classes)
    unknown = [label for label in said if label not in names]
    if unknown:
        raise InputError(
            f"{path} has the label {unknown[0]!r}, which is none of the classes {', '.join(names)}"
        )
    return names, [names.index(label) for label in said]
