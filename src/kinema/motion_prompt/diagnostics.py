"""What a motion prompt has become: numbers that show when attention turns into a pass-through."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from kinema.motion_prompt.normalisation import LearnableSigmoid, sigmoid_shift, sigmoid_slope

_PASS_THROUGH = 0.99


@dataclass(frozen=True)
class PromptDiagnostics:
    """A motion prompt's normalisation and one attention map in numbers.

    With a large penalty the learned map nears a pass-through: `attention_at_rest` about 0.999 and
    most of the attention above 0.99. Slope and shift are None where the normalisation is not the
    learnable sigmoid.
    """

    slope: float | None
    shift: float | None
    attention_at_rest: float
    attention_mean: float
    attention_std: float
    share_above_099: float

    def as_dict(self) -> dict[str, float | None]:
        """The same as plain numbers, for JSON."""
        return asdict(self)


@torch.no_grad()
def diagnose(normalisation: nn.Module, attention: Tensor) -> PromptDiagnostics:
    """Describe a power normalisation and the attention it gave.

    Args:
        normalisation: the module; `attention_at_rest` is its f(0).
        attention: `(B, T-1, H, W)`, on any device.
    """
    slope = shift = None
    if isinstance(normalisation, LearnableSigmoid):
        slope = sigmoid_slope(normalisation.m).item()
        shift = sigmoid_shift(normalisation.n).item()
    # The attention may have been brought elsewhere.
    own = next(normalisation.parameters(), attention)
    at_rest = normalisation(torch.zeros(1, 1, 1, 1, dtype=torch.float32, device=own.device))
    # Apple's GPUs have no float64.
    values = attention.detach().cpu().double()
    return PromptDiagnostics(
        slope=slope,
        shift=shift,
        attention_at_rest=at_rest.item(),
        attention_mean=values.mean().item(),
        attention_std=values.std(correction=0).item(),
        share_above_099=(values > _PASS_THROUGH).double().mean().item(),
    )
