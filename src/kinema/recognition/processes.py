"""The processes that train together, and the device of each."""

import importlib
import os
from typing import TYPE_CHECKING

import torch

from kinema.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def check_device(device: str | None) -> None:
    """Pass "cpu", "cuda" where there is a GPU, and None.

    Raises:
        InputError: another name, or "cuda" where there is no GPU.
    """
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"device {device!r} is not known; give cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("the device is cuda, but no GPU is to be seen; use cpu")


def is_main_process() -> bool:
    """Return whether this process is to write and print, of those that were started together."""
    return int(os.environ.get("RANK", "0")) == 0


def leave_processes() -> None:
    """Leave the processes that train together, where there are some, and end the group's threads.

    A thread that lets go of the last tensor it sent while Python ends aborts the process, all its
    work done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def new_accelerator(
    device: str | None, *, precision: str = "fp32", accumulation: int = 1
) -> "Accelerator":
    """Join the processes that `torchrun` or `accelerate launch` started, or be the only one.

    Args:
        device: "cpu", "cuda", or None for a GPU where there is one.
        precision: "fp32" or "bf16".
        accumulation: batches in a step.

    Raises:
        InputError: as `check_device`; or this very process has trained on another device or with
            another precision before, which accelerate settles once for a process.
    """
    from accelerate import Accelerator

    check_device(device)
    if torch.distributed.is_available():
        # Its functions take the group of the moment of their import as a default, and with it as
        # its last holder the group's threads would never end. Before there is one they take none.
        importlib.import_module("torch.distributed.nn")
    try:
        accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision="bf16" if precision == "bf16" else "no",
            gradient_accumulation_steps=accumulation,
        )
    except ValueError as error:
        raise InputError(
            f"this process has trained on another device or with another precision than "
            f"{precision} before; start a new one for this run"
        ) from error
    if device is not None and accelerator.device.type != device:
        raise InputError(
            f"this process has trained on {accelerator.device.type} before; start a new one for "
            f"device {device}"
        )
    return accelerator
