"""What a peer learned from a clip, and its file: one safetensors file with a JSON header."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion import Origin
from kinema.motion_inversion.tensor_file import read_tensors, write_tensors

HEADER = "kinema_peer"
_LEARNED, _KEPT = "learned/", "kept/"


@dataclass(frozen=True, eq=False)
class Learned:
    """The outcome of a peer's learning.

    Attributes:
        method: name of the peer, in `kinema.peers.METHODS`.
        origin: the clip, the model and the settings; `Origin.settings` are the peer's own.
        tensors: what was learned, by name, float32.
        kept: what of the clip was kept without being learned, such as its inverted latents.

    Raises:
        InputError: a tensor with NaN or infinity.
    """

    method: str
    origin: Origin
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in (*self.tensors.items(), *self.kept.items()):
            if not tensor.isfinite().all():
                raise InputError(
                    f"{name} holds NaN or infinity; learn again, with a lower learning rate or in "
                    "another precision"
                )

    @property
    def num_frames(self) -> int:
        """How many frames the clip had."""
        return self.origin.num_frames

    @property
    def num_numbers(self) -> int:
        """How many numbers were learned; what was only kept does not count."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def save(
        self,
        path: str | Path,
        *,
        dtype: torch.dtype | None = None,
        preview: Tensor | None = None,
    ) -> None:
        """Write one safetensors file, whole or not at all; the same content gives the same bytes.

        Args:
            path: by custom with the suffix .safetensors.
            dtype: of the tensors in the file; kept as they are by default.
            preview: a video `(T, 3, H, W)` in [0, 1] to lie beside it as a gif of the same name.

        Raises:
            InputError: the file cannot be written.
        """
        from kinema.video import gif_rate, write_video

        content = {_LEARNED + name: tensor for name, tensor in self.tensors.items()}
        content |= {_KEPT + name: tensor for name, tensor in self.kept.items()}
        values = {"method": self.method, **self.origin.to_json()}
        write_tensors(path, content, header=HEADER, values=values, dtype=dtype)
        if preview is not None:
            rate = gif_rate(self.origin.frames_per_second or 8)
            write_video(Path(path).with_suffix(".gif"), preview, frames_per_second=rate)

    @classmethod
    def load(cls, path: str | Path) -> "Learned":
        """Read what `save` wrote, as float32 on the CPU.

        Raises:
            InputError: there is no such file, it is truncated or no peer's, or of another format.
        """
        tensors, values = read_tensors(path, header=HEADER, what="file", writer="Learned.save")
        try:
            method = str(values.pop("method"))
        except KeyError as error:
            raise InputError(f"the header of {path} names no method; save it again") from error
        try:
            return cls(
                method,
                Origin.from_json(values),
                _under(_LEARNED, tensors),
                _under(_KEPT, tensors),
            )
        except InputError as error:
            raise InputError(f"{path} cannot be used: {error}") from error

    def __repr__(self) -> str:
        height, width = self.origin.latent_size
        return (
            f"Learned({self.method} from {self.origin.prompt!r}, {self.num_frames} frames, latents "
            f"{width}x{height}, {self.origin.model_class}, {self.num_numbers:,} numbers)"
        )


def is_learned(path: str | Path) -> bool:
    """Whether a file says of itself that a peer's learning is in it."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return HEADER in (file.metadata() or {})
    except Exception:  # no such file, or no safetensors file; loading it says which
        return False


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
