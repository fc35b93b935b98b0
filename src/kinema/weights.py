"""What tells weights from others of the same model."""

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import nn

_NUMBERS_OF_A_TENSOR = 32


def digest_of_weights(parts: Mapping[str, Any]) -> str:
    """Return a digest of the modules among `parts`, such as a pipeline's `components`.

    A few numbers of every tensor do, so that it takes no time on a large model either.
    """
    digest = hashlib.sha256()
    for part, module in sorted(parts.items()):
        if isinstance(module, nn.Module):
            for name, tensor in module.state_dict().items():
                few = tensor.flatten()[:: max(1, tensor.numel() // _NUMBERS_OF_A_TENSOR)]
                digest.update(f"{part}.{name} {tuple(tensor.shape)}".encode())
                # Where weights wait on the disk (sequential offload) their shapes must do.
                if not few.is_meta:
                    digest.update(few.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
