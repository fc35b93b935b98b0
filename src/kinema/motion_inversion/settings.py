"""How a motion is learned: every choice in one place, and two sets of them by name."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from kinema.errors import InputError
from kinema.motion_inversion.arguments import check_numbers, two_shares
from kinema.motion_inversion.embedding import check_value_mode
from kinema.motion_inversion.objective import OBJECTIVES
from kinema.motion_inversion.parameters import VALUE_FORMS

PRECISIONS = ("model", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class InversionSettings:
    """The settings of an inversion.

    Attributes:
        num_steps: steps of the optimiser.
        learning_rate: of AdamW, constant.
        weight_decay: of AdamW.
        batch_size: noise levels at once.
        accumulation: batches a step.
        blocks: which blocks get embeddings: "paper", "all", or a regular expression.
        query_key: learn query-key embeddings.
        query_key_grid: one at every place, not one for all as published.
        value: how value embeddings are kept: "full", "coarse", "low-rank", "none".
        coarse_factor: of "coarse".
        rank: of "low-rank".
        training_value: what becomes of value embeddings while they are learned; as published
            they are learned "raw" and debiased when used.
        objective: "plain", "debiased" or "residual" (`denoising_loss`).
        noise_levels: from which to which share of the noise schedule, 0 for clean and 1 for
            noise, levels are drawn.
        noise_power: how much more often high levels are drawn than low ones: their density grows
            with this power of the level; 0 is uniform, as published. A motion is decided near
            noise: further down, the clip's own frames show it to the model (`docs/log.md`).
        precision: of the denoiser: that of the "model", or mixed precision in another dtype.
            "float16" is for accelerators; on the CPU it is that of the model. "float32" is for
            models that are loaded in it.
        gradient_checkpointing: compute layers again in the backward pass and keep less in memory:
            at ZeroScope's size 7 GB in place of 37, for a third more time. None: on a GPU.
        compile_layers: compile the frozen layers without temporal attention (torch.compile), equal
            within rounding. It takes a minute at first; on a CPU nothing is gained by it
            (`docs/log.md`), on a GPU it is unmeasured.
        patience: stop when the mean loss of so many steps is no better than that of as many
            before; None to go on to the end.
        min_improvement: how much better it has to be, as a share of it.
        inversion_steps: of DDIM, to keep the clip's own noise with the motion; 0 for none.

    Raises:
        InputError: a value out of its range.
    """

    num_steps: int = 150
    learning_rate: float = 0.02
    weight_decay: float = 0.01
    batch_size: int = 2
    accumulation: int = 1
    blocks: str = "paper"
    query_key: bool = True
    query_key_grid: bool = False
    value: str = "full"
    coarse_factor: int = 4
    rank: int = 8
    training_value: str = "raw"
    objective: str = "plain"
    noise_levels: tuple[float, float] = (0.0, 1.0)
    noise_power: float = 10.0
    precision: str = "model"
    gradient_checkpointing: bool | None = None
    compile_layers: bool = False
    patience: int | None = None
    min_improvement: float = 0.01
    inversion_steps: int = 50

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in ("num_steps", "batch_size", "accumulation", "coarse_factor", "rank"):
            self._check(name, "1 or more", getattr(self, name) >= 1)
        for name in ("weight_decay", "noise_power", "min_improvement", "inversion_steps"):
            self._check(name, "0 or more", getattr(self, name) >= 0)
        self._check("learning_rate", "above 0", self.learning_rate > 0)
        self._check("patience", "None, or 1 or more", self.patience is None or self.patience >= 1)
        for name, choices in (
            ("objective", OBJECTIVES),
            ("precision", PRECISIONS),
            ("value", VALUE_FORMS),
        ):
            self._check(name, f"one of {', '.join(choices)}", getattr(self, name) in choices)
        check_value_mode(self.training_value)
        self._check(
            "training_value",
            "a mode that leaves something to learn",
            self.training_value != "none" or self.value == "none",
        )
        object.__setattr__(self, "noise_levels", two_shares("noise_levels", self.noise_levels))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {**dataclasses.asdict(self), "noise_levels": list(self.noise_levels)}
        if not self.compile_layers:  # settings of before say nothing of it
            del values["compile_layers"]
        return values

    def _check(self, name: str, expected: str, fine: bool) -> None:
        if not fine:
            raise InputError(f"{name} is {getattr(self, name)!r}; expected {expected}")


PRESETS = {
    "paper": InversionSettings(
        num_steps=400,
        learning_rate=0.02,
        weight_decay=0.01,
        batch_size=1,
        blocks="paper",
        value="full",
        training_value="raw",
        objective="plain",
        noise_power=0.0,
        precision="float16",
        gradient_checkpointing=True,
        inversion_steps=50,
    ),
    "default": InversionSettings(),
}
"""Settings by name: "paper" as published (arXiv 2403.20193, the authors' code), "default" ours."""

PAPER_SAMPLING: dict[str, Any] = {
    "num_steps": 30,
    "guidance": 12.0,
    "noise": "blend",
    "noise_share": 0.5,
    "value": "debiased",
}
"""Arguments of `generate` as published."""


def settings_of(settings: InversionSettings | str) -> InversionSettings:
    """The settings of a name, or those given.

    Raises:
        InputError: an unknown name.
    """
    if isinstance(settings, InversionSettings):
        return settings
    if settings not in PRESETS:
        raise InputError(
            f"settings is {settings!r}; expected one of {', '.join(PRESETS)}, or InversionSettings"
        )
    return PRESETS[settings]
