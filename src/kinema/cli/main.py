"""Parse the command line and run one command; an error of input is one sentence and exit 2."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from kinema.cli import compare, demo, evaluate, finetune, generate, invert, see, sprites
from kinema.errors import InputError

# Errors of the operating system that are the user's to mend (a missing file, a full disk); any
# other one is ours and keeps its traceback.
_USER_ERRNOS = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of `kinema` and all its commands."""
    root = argparse.ArgumentParser(
        prog="kinema", description="Motion in video models: see it, learn it, keep it, reuse it."
    )
    root.add_argument("--version", action="version", version=f"kinema {version('kinema')}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (demo, see, finetune, evaluate, invert, generate, compare, sprites):
        command.add(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status.

    That is 0, or 2 when there is something for the user to mend or to go on with, which one
    sentence says; 130 when interrupted otherwise; 141 when whoever reads the output has seen
    enough of it.
    """
    parsed = parser().parse_args(arguments)
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except InputError as error:
        print(f"kinema: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # As with `| head`. What is still to be written must not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _USER_ERRNOS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"kinema: {error.strerror}{where}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print(
            "kinema: there is not enough memory for this; give a smaller batch, fewer frames or a "
            "smaller size",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("kinema: interrupted", file=sys.stderr)
        return 130
    return 0


def _out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out, on a GPU or in the machine, for which torch has no class."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )
