"""Read official annotation files: lines as they really are, and where the archives put them."""

from collections.abc import Iterable
from pathlib import Path

from kinema.errors import InputError


def lines_of(path: Path, *, source: str) -> list[str]:
    """The lines of a list, without line ends, outer blanks and empty lines.

    Official lists end their lines with blanks, with CRLF, or the last one not at all.

    Raises:
        InputError: the file is missing or is not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} does not exist, expected an official list; check the folder of annotations "
            f"or get it from {source}"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, expected a text file; check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text, expected an official list; check the path") from None
    return [stripped for line in text.split("\n") if (stripped := line.strip())]


def fields_of(line: str, count: int, *, path: Path) -> list[str]:
    """Split a line at blanks.

    Raises:
        InputError: there are not `count` fields.
    """
    fields = line.split()
    if len(fields) != count:
        raise InputError(
            f"{path} has the line {line!r} with {len(fields)} fields, expected {count}; get the "
            "official file again"
        )
    return fields


def whole_number(text: str, *, path: Path) -> int:
    """Read a whole number of a list.

    Raises:
        InputError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{path} has {text!r} where a whole number is expected; get the official file again"
        ) from None


def annotation_folder(
    annotations: str | Path | None, root: Path, places: Iterable[str], *, source: str
) -> Path:
    """The folder of annotations: the one given, or the first of `places` below `root`.

    Raises:
        InputError: there is none.
    """
    if annotations is not None:
        folder = Path(annotations)
        if not folder.is_dir():
            raise InputError(
                f"{folder} is not a folder, expected the official annotation files; check "
                f"annotations or get them from {source}"
            )
        return folder
    if not root.is_dir():
        raise InputError(f"{root} is not a folder, expected a data set in it; check the path")
    tried = list(places)
    for place in tried:
        if (root / place).is_dir():
            return root / place
    raise InputError(
        f"no annotation files under {root} (looked for {', '.join(tried)}); give annotations=, or "
        f"get them from {source}"
    )


def numbered_classes(path: Path, *, columns: tuple[str, str], source: str) -> dict[str, int]:
    """Read a list of classes with their official numbers, which begin at 1, as labels from 0.

    Args:
        path: of the list.
        columns: "name" and "number", in the list's order.
        source: where the official file is to be had.

    Raises:
        InputError: the list is missing, or its numbers leave a gap.
    """
    numbers: dict[str, int] = {}
    for line in lines_of(path, source=source):
        row = dict(zip(columns, fields_of(line, 2, path=path), strict=True))
        numbers[row["name"]] = whole_number(row["number"], path=path) - 1
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise InputError(
            f"{path} does not number its {len(numbers)} classes from 1 on without a gap; get the "
            "official file again"
        )
    return numbers
