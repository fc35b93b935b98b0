"""Results that are written a line of JSON at a time, so that a run that was killed goes on."""

import json
from pathlib import Path
from typing import Any

from kinema.errors import InputError
from kinema.files import replacing


def read_lines(path: Path, *, mend: bool = False) -> list[dict[str, Any]]:
    """Return the lines of a file, none where there is no file.

    Half a line at its end, which a run that was killed may leave, is left out.

    Args:
        path: of the file.
        mend: take the half line off the file as well, for one who is going to write on there.

    Raises:
        InputError: a line is no object of JSON; it is named.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text; give another output folder") from error
    whole = text[: text.rfind("\n") + 1]
    entries = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            entry = None
        if not isinstance(entry, dict):
            raise InputError(
                f"line {number} of {path} is {line[:40]!r}, not a result; remove that line, or "
                "give another output folder"
            )
        entries.append(entry)
    if mend and whole != text:
        with replacing(path) as temporary:
            temporary.write_text(whole)
    return entries
