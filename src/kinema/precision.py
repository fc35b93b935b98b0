"""The precision that a model computes in: its own, or bfloat16 where that is safe."""

import torch

from kinema.errors import InputError

PRECISIONS = ("fp32", "bf16")
"""The model's own, and autocast to bfloat16, which needs no scaling of a loss."""


def check_precision(precision: str) -> None:
    """Check the name of a precision.

    Raises:
        InputError: it is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")


def computing_in(precision: str, device: str | torch.device) -> torch.autocast:
    """Return a context in which a device of torch's computes in one of `PRECISIONS`."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")
