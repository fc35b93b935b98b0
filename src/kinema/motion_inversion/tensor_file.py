"""Tensors in one safetensors file, with what else is to be known of them as JSON in its header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.files import save_tensors

FORMAT = 1


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    *,
    header: str,
    values: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a file, whole or not at all; the same content gives the same bytes.

    Args:
        path: of the file.
        tensors: of any shapes, by name.
        header: key of the metadata under which the values stand; it tells kinds of files apart.
        values: what JSON can hold.
        dtype: of the tensors in the file; kept as they are by default.

    Raises:
        InputError: the file cannot be written, or a number is too large for the dtype.
    """
    content = {name: tensor.to(dtype or tensor.dtype) for name, tensor in tensors.items()}
    for name, tensor in content.items():
        if tensor.isfinite().all() < tensors[name].isfinite().all():
            raise InputError(
                f"{name} holds numbers as large as {tensors[name].abs().max():.3g}, which are "
                f"infinite as {tensor.dtype}; save it as float32"
            )
    text = json.dumps({"format": FORMAT, **values}, sort_keys=True)
    save_tensors(path, content, {header: text})


def read_tensors(
    path: str | Path, *, header: str, what: str, writer: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: tensors as float32 on the CPU, and the values.

    Args:
        path: of the file.
        header: as it was written with.
        what: the file holds, in errors.
        writer: what writes such files, in errors.

    Raises:
        InputError: there is no such file, it is truncated, of another kind or another format.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise InputError(f"there is no {what} {path}; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(header)
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # SafetensorError is no public class; OSError among others
        raise InputError(
            f"{path} is no safetensors file, or only part of one ({error}); get it again, or save "
            f"the {what} again"
        ) from error
    if text is None:
        raise InputError(
            f"{path} is a safetensors file without the header {header!r}; expected a {what} that "
            f"{writer} wrote"
        )
    try:
        values = json.loads(text)
        found = values.pop("format")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the header of {path} cannot be read ({error!r}); save it again"
        ) from error
    if found != FORMAT:
        raise InputError(
            f"{path} is a {what} of format {found}; this Kinema reads format {FORMAT}: use the "
            "version that wrote it, or a newer one"
        )
    return tensors, values
