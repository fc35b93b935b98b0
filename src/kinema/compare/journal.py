"""What a comparison has done so far, a line at a time."""

import json
from pathlib import Path
from typing import Any

from kinema.lines import read_lines


class Journal:
    """Lines of JSON, each a key and its values; half a line at the end of a file is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_lines(path, mend=True)

    def has(self, key: dict[str, Any]) -> bool:
        """Return whether there is an entry of a key."""
        return any(key.items() <= entry.items() for entry in self.entries)

    def add(self, key: dict[str, Any], values: dict[str, Any]) -> None:
        """Write an entry."""
        self.entries.append(key | values)
        with self.path.open("a") as file:
            file.write(json.dumps(self.entries[-1]) + "\n")
