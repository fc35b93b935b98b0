"""Files of the public model zoo, fetched once into torch's cache."""

import hashlib
import logging
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import torch
from tqdm import tqdm

from kinema.errors import InputError
from kinema.files import replacing

logger = logging.getLogger(__name__)

_SECONDS_OF_SILENCE = 30
_CHUNK = 1 << 20


def download(url: str, *, sha256: str | None = None, folder: Path | None = None) -> Path:
    """The path of a file from the network, with a progress bar the first time.

    Args:
        url: of the file; its last part is the file's name.
        sha256: checked on each call where given; where not, the hash found is logged.
        folder: of the cache, by default where `torch.hub` keeps checkpoints.

    Raises:
        InputError: it cannot be fetched whole, the hash differs, or the folder cannot be written.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else folder
    path = folder / Path(urlparse(url).path).name
    if not path.is_file():
        with replacing(path) as temporary:
            try:
                found = _fetch(url, temporary)
            except (OSError, HTTPException) as error:
                raise InputError(
                    f"cannot download {url} ({str(error) or type(error).__name__}): fetch it "
                    f"elsewhere and give its path as weights, or put it at {path}"
                ) from error
            _check_hash(found, sha256, url)
        logger.info("%s has sha256 %s", path, found)
    elif sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        _check_hash(found, sha256, str(path))
    return path


def _fetch(url: str, path: Path) -> str:
    """Write what the URL gives and return its sha256."""
    digest = hashlib.sha256()
    with urlopen(url, timeout=_SECONDS_OF_SILENCE) as response, path.open("wb") as file:
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length)
        name = Path(urlparse(url).path).name
        received = 0
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024) as bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if total is not None and received != total:
        raise OSError(f"{received} of {total} bytes arrived")
    return digest.hexdigest()


def _check_hash(found: str, expected: str | None, what: str) -> None:
    if expected is not None and found != expected:
        raise InputError(
            f"{what} has sha256 {found}; expected {expected}: the file is damaged or was replaced, "
            "so delete it and fetch it again"
        )
