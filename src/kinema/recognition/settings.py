"""Single settings: one "key=value" of the command line, one value of a certain type."""

import tomllib
from typing import Any

from kinema.errors import InputError


def set_value(values: dict[str, Any], setting: str) -> None:
    """Put one "key=value" into the values of a recipe.

    Raises:
        InputError: it is not of that form, or "key.part" names a part of what is no table.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise InputError(f"setting {setting!r} is not key=value; write for example num_epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise InputError(f"setting {setting!r} names a part of {table}, which is no table")
    values[last] = value


def typed(name: str, type_: Any, value: Any) -> Any:
    """Return the value of a setting as its type wants it; lists become tuples.

    Raises:
        InputError: it is of another type.
    """
    kind = type_.__name__ if isinstance(type_, type) else str(type_)
    if value is None and "None" in kind:
        return None
    if kind.startswith("tuple"):
        number = int if "int" in kind else (int, float)
        if isinstance(value, (list, tuple)) and all(_is_number(item, number) for item in value):
            return tuple(value)
        raise InputError(f"{name} is {value!r}; give a list of numbers")
    if kind.startswith("dict"):
        if isinstance(value, dict):
            return value
        raise InputError(f"{name} is {value!r}; give a table")
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise InputError(f"{name} is {value!r}; give true or false")
    if kind == "str":
        if isinstance(value, str):
            return value
        raise InputError(f"{name} is {value!r}; give a word")
    if kind in ("int", "int | None"):
        if _is_number(value, int):
            return value
        raise InputError(f"{name} is {value!r}; give a whole number")
    if _is_number(value, (int, float)):
        return float(value)
    raise InputError(f"{name} is {value!r}; give a number")


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
