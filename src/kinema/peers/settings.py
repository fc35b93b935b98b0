"""What the settings of every peer have in common: their ranges are checked, and JSON holds them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from kinema.errors import InputError
from kinema.motion_inversion.arguments import check_numbers


@dataclass(frozen=True)
class PeerSettings:
    """How a peer learns and samples unless told otherwise; each peer adds its own fields.

    Attributes:
        sampling_steps: of a generation.
        guidance: strength of classifier-free guidance.

    Raises:
        InputError: a value out of its range.
    """

    sampling_steps: int = 30
    guidance: float = 12.0

    def __post_init__(self) -> None:
        check_numbers(self)
        self._expect("1 or more", lambda value: value >= 1, "sampling_steps")
        self._expect("0 or more", lambda value: value >= 0, "guidance")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`.

        Raises:
            InputError: a field that there is not, or a value that makes no sense.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(
                f"the settings {dict(values)} are none of {cls.__name__} ({error}); learn again"
            ) from error

    def _expect(self, expected: str, fine: Callable[[Any], bool], *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not fine(value):
                raise InputError(f"{name} is {value!r}; expected {expected}")


@dataclass(frozen=True)
class TrainedSettings(PeerSettings):
    """What the peers that train have besides.

    Attributes:
        num_steps: steps of the optimiser, at a batch of one clip.
        learning_rate: of AdamW, constant.
        weight_decay: of AdamW.
        gradient_checkpointing: compute layers again in the backward pass and keep less in memory.
        inversion_steps: of DDIM, with an empty prompt, for the noise that sampling starts from; 0
            for none.
        noise_share: of that noise in the start, the rest being random: by this share p,
            `sqrt(p) inverted + sqrt(1 - p) random`.
    """

    num_steps: int = 150
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    gradient_checkpointing: bool = True
    inversion_steps: int = 50
    noise_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect("1 or more", lambda value: value >= 1, "num_steps")
        self._expect("above 0", lambda value: value > 0, "learning_rate")
        self._expect("0 or more", lambda value: value >= 0, "weight_decay", "inversion_steps")
        self._expect("a share from 0 to 1", lambda value: 0 <= value <= 1, "noise_share")
