"""Output files that are there whole or not at all."""

import os
import secrets
import shutil
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
    temporary = folder / f".{secrets.token_hex(8)}{target.suffix}"
    try:
        # Unlike tempfile's, with the permissions that the user's files get.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise InputError(
            f"cannot write in {folder}: {error.strerror}; choose another output folder"
        ) from error
    try:
        yield temporary
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
        InputError: `folder` cannot be made or written to, or holds a folder by the name of a file.
    """
    target = Path(folder)
    missing = [parent for parent in (target, *target.parents) if not parent.exists()]
    output_folder(target)
    temporary = target / f".kinema-{secrets.token_hex(8)}"
    try:
        try:
            temporary.mkdir()
        except OSError as error:
            raise InputError(
                f"cannot write in {target}: {error.strerror}; choose another output folder"
            ) from error
        yield temporary
        made = sorted(temporary.iterdir())
        for file in made:
            # Before any is moved, so that those of before stay together.
            if file.is_file() and (target / file.name).is_dir():
                raise InputError(
                    f"{target / file.name} is a folder and a file is to go there; choose another "
                    "output folder"
                )
        for file in made:
            file.replace(target / file.name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in missing:
            # Another run may have put something there meanwhile; that is not ours to remove.
            if not any(parent.iterdir()):
                parent.rmdir()
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
