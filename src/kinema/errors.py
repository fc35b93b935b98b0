"""The one exception for input that cannot be used."""


class InputError(ValueError):
    """What the caller gave cannot be used.

    The message is one sentence that names the value, what was expected and how to mend it. The
    command line prints it alone and exits with 2; a traceback would add nothing.
    """
