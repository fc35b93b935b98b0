"""Silence for what the libraries say of themselves, which is no news to a user of a command."""


def quiet_libraries() -> None:
    """Hide notes on parts not used here (image processors) and on the age of ZeroScope's class."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    of_diffusers.set_verbosity_error()
    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()
