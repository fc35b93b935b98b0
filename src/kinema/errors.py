"""The one exception for input that cannot be used, and how it quotes another's reason."""


class InputError(ValueError):
    """What the caller gave cannot be used.

    The message is one sentence that names the value, what was expected and how to mend it. The
    command line prints it alone and exits with 2; a traceback would add nothing.
    """


def first_line(error: BaseException) -> str:
    """Return an error's first line, to go into a sentence; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(". ")
