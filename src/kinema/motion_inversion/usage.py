"""How embeddings are used on a model: how strongly, from when to when, and where."""

from dataclasses import dataclass

from kinema.errors import InputError
from kinema.motion_inversion.arguments import finite_number, two_shares
from kinema.motion_inversion.embedding import check_value_mode

BRANCHES = ("both", "conditional")
"""Which halves of classifier-free guidance a motion enters."""


@dataclass(frozen=True)
class Usage:
    """How embeddings are used on a model.

    Attributes:
        query_key_strength: factor of the query-key embeddings; 0 leaves them out.
        value_strength: factor of the value embeddings after debiasing; 0 leaves them out.
        value: what becomes of value embeddings, one of `VALUE_MODES`.
        window: from which share of the sampling steps, up to but without which; (0, 1) is all.
        branch: "both", or "conditional" for the second half of each batch, where diffusers puts
            what follows the prompt. Without guidance there is no other half, and every video
            follows it.
    """

    query_key_strength: float = 1.0
    value_strength: float = 1.0
    value: str = "centred"
    window: tuple[float, float] = (0.0, 1.0)
    branch: str = "both"

    def __post_init__(self) -> None:
        check_value_mode(self.value)
        for name in ("query_key_strength", "value_strength"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if self.branch not in BRANCHES:
            raise InputError(f"branch is {self.branch!r}; expected one of {', '.join(BRANCHES)}")
        object.__setattr__(self, "window", two_shares("window", self.window))

    @property
    def all_steps(self) -> bool:
        """Whether the window is the whole sampling."""
        return self.window == (0.0, 1.0)
