"""The `kinema` command."""

from kinema.cli.main import main

__all__ = ["main"]
