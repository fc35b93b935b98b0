"""What a figure was found on."""

import platform
from typing import Any

import torch


def machine(device: torch.device) -> dict[str, Any]:
    """Return the processor, the threads that torch uses, its version, and the device by its model.

    Nothing that would tell one machine from another of its kind.
    """
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }
