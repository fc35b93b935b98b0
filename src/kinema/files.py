"""Output files that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends well.

    The temporary name keeps the suffix, from which encoders tell the format. When the block
    raises, the temporary file is removed and whatever stood at `path` before is untouched.

    Raises:
        InputError: the folder of `path` cannot be made or written to.
    """
    target = Path(path)
    folder = output_folder(target.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=folder)
    except OSError as error:
        raise InputError(
            f"cannot write in {folder}: {error.strerror}; choose another output folder"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; an output file should have the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def save_tensors(
    path: str | Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: of the file.
        tensors: by name, on any device, in any memory format.
        metadata: of the file's header.

    Raises:
        InputError: the file cannot be written.
    """
    from safetensors.torch import save_file

    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(content, temporary, metadata=dict(metadata) if metadata else None)
        except Exception as error:  # a full disk reaches us as safetensors' own exception
            raise InputError(
                f"cannot write {path}: {error}; make room, or choose another place"
            ) from error


@contextmanager
def filling(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder whose files move into `folder` together when the block ends well.

    When the block raises, nothing of it stays behind, and `folder` is not made either.

    Raises:
        InputError: `folder` cannot be made or written to.
    """
    target = Path(folder)
    missing = [parent for parent in (target, *target.parents) if not parent.exists()]
    output_folder(target)
    temporary = Path(tempfile.mkdtemp(prefix=".kinema-", dir=target))
    try:
        yield temporary
        for file in sorted(temporary.iterdir()):
            file.replace(target / file.name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for made in missing:
            # Another run may have put something there meanwhile; that is not ours to remove.
            if not any(made.iterdir()):
                made.rmdir()
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def output_folder(path: str | Path) -> Path:
    """Make the folder `path` where it is missing and return it.

    Raises:
        InputError: it is a file, or the folder cannot be made or written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is not a folder; choose another output folder") from error
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}; choose another output folder"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write in {folder}; choose another output folder")
    return folder
