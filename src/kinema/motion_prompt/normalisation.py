"""Power normalisations: how strongly a frame difference is attended to.

Each stands as a pure function of its formula and as a module that maps a difference
`(B, T-1, H, W)` in [-1, 1] to an attention map of the same shape. Any of the modules can take the
learnable sigmoid's place in `MotionPrompt`.

The learnable sigmoid is that of video motion prompts (arXiv 2407.03179). The others are those it
is compared with: Koniusz and Zhang, TPAMI 44(2), 2022 (arXiv 2012.13975), and later uses of theirs.
What parameter values that comparison took is not known to us; the defaults here are among those
that were plotted for each function.

Unsigned modules answer to brightening only, `max(D, 0)`, and give maps in [0, 1], as the project
page draws them. Signed ones are odd functions with maps in [-1, 1]: they keep darkening, as a
negative weight. MaxExp has no signed form (SigmE extends it, as AsinhE extends Gamma).
"""

import math

import torch
from torch import Tensor, nn

from kinema.errors import InputError


def sigmoid_slope(m: Tensor) -> Tensor:
    """Slope `a(m) = alpha / (beta * |tanh m| + eps)`, in (9.09, 50]."""
    alpha, beta, eps = 5.0, 0.45, 0.1
    return alpha / (beta * m.tanh().abs() + eps)


def sigmoid_shift(n: Tensor) -> Tensor:
    """Shift `b(n) = gamma * tanh n`, in (-0.6, 0.6)."""
    gamma = 0.6
    return gamma * n.tanh()


def learnable_sigmoid(difference: Tensor, m: Tensor, n: Tensor) -> Tensor:
    """`f(D) = sigmoid(a(m) * (D - b(n)))`.

    Mathematically in (0, 1); in floating point a large difference may round to 0 or 1.
    """
    return torch.sigmoid(sigmoid_slope(m) * (difference - sigmoid_shift(n)))


def gamma_power(x: Tensor, *, exponent: float) -> Tensor:
    """Gamma, `sgn(x) |x|^gamma`, 0 < gamma <= 1.

    Its derivative is infinite at 0 for gamma < 1. There the gradient is defined as 0, so that
    still pixels, which are many, neither train nor break what lies before them.
    """
    if exponent == 1.0:
        return x
    magnitude = x.abs()
    moving = magnitude != 0  # NaN too, which is to pass
    # The inner `where` keeps infinity out of the backward pass, where 0 * inf would be NaN.
    powered = torch.where(moving, magnitude, 1.0) ** exponent
    return torch.where(moving, x.sign() * powered, 0.0)


def maxexp(x: Tensor, *, exponent: float) -> Tensor:
    """MaxExp, `1 - (1 - x)^eta`, eta >= 1, for x in [0, 1]; x is clipped to that range."""
    return 1.0 - (1.0 - x.clamp(0.0, 1.0)) ** exponent


def sigme(x: Tensor, *, steepness: float) -> Tensor:
    """SigmE, `2 / (1 + exp(-eta' x)) - 1`, written as the equal `tanh(eta' x / 2)`."""
    return torch.tanh(x * (steepness / 2.0))


def asinhe(x: Tensor, *, steepness: float) -> Tensor:
    """AsinhE, `asinh(gamma' x) / asinh(gamma')`, which is 1 at 1."""
    return torch.asinh(x * steepness) / math.asinh(steepness)


def axmin(x: Tensor, *, steepness: float, eps: float = 1e-6) -> Tensor:
    """AxMin, `sgn(x) min(eta'' |x| / (||x||_2 + eps'), 1)`, the norm over each map `(H, W)`."""
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    return (x * (steepness / (norm + eps))).clamp(-1.0, 1.0)


class LearnableSigmoid(nn.Module):
    """The paper's power normalisation; its scalars m and n are learned."""

    def __init__(self, m: float = 0.1, n: float = 0.0) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.tensor(float(m)))
        self.n = nn.Parameter(torch.tensor(float(n)))

    def forward(self, difference: Tensor) -> Tensor:
        """Attention `(B, T-1, H, W)` in (0, 1), in the dtype of `difference`."""
        m, n = self.m.to(difference.dtype), self.n.to(difference.dtype)
        return learnable_sigmoid(difference, m, n)


class Gamma(nn.Module):
    """Gamma with a fixed exponent, 0 < exponent <= 1; see `gamma_power` for its gradient at 0."""

    def __init__(self, exponent: float = 0.5, *, signed: bool = False) -> None:
        super().__init__()
        if not 0.0 < exponent <= 1.0:
            raise InputError(f"exponent is {exponent}; Gamma expects it above 0 and at most 1")
        self.exponent = exponent
        self.signed = signed

    def forward(self, difference: Tensor) -> Tensor:
        """Map `(B, T-1, H, W)` to the same shape, in [0, 1], signed in [-1, 1]."""
        return gamma_power(_brightening(difference, self.signed), exponent=self.exponent)

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"exponent={self.exponent}, signed={self.signed}"


class MaxExp(nn.Module):
    """MaxExp with a fixed exponent of at least 1; unsigned only."""

    def __init__(self, exponent: float = 10.0) -> None:
        super().__init__()
        if not 1.0 <= exponent < math.inf:
            raise InputError(f"exponent is {exponent}; MaxExp expects a finite number from 1 up")
        self.exponent = exponent

    def forward(self, difference: Tensor) -> Tensor:
        """Map `(B, T-1, H, W)` to the same shape, in [0, 1]."""
        return maxexp(difference, exponent=self.exponent)

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"exponent={self.exponent}"


class SigmE(nn.Module):
    """SigmE with a fixed steepness of at least 1."""

    def __init__(self, steepness: float = 13.0, *, signed: bool = False) -> None:
        super().__init__()
        if not 1.0 <= steepness < math.inf:
            raise InputError(f"steepness is {steepness}; SigmE expects a finite number from 1 up")
        self.steepness = steepness
        self.signed = signed

    def forward(self, difference: Tensor) -> Tensor:
        """Map `(B, T-1, H, W)` to the same shape, in [0, 1), signed in (-1, 1)."""
        return sigme(_brightening(difference, self.signed), steepness=self.steepness)

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"steepness={self.steepness}, signed={self.signed}"


class AsinhE(nn.Module):
    """AsinhE with a fixed positive steepness."""

    def __init__(self, steepness: float = 3.5, *, signed: bool = False) -> None:
        super().__init__()
        self.steepness = _positive("AsinhE", steepness)
        self.signed = signed

    def forward(self, difference: Tensor) -> Tensor:
        """Map `(B, T-1, H, W)` to the same shape, in [0, 1], signed in [-1, 1]."""
        return asinhe(_brightening(difference, self.signed), steepness=self.steepness)

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"steepness={self.steepness}, signed={self.signed}"


class AxMin(nn.Module):
    """AxMin with a fixed positive steepness, which has no usual value: it goes with map size."""

    def __init__(self, steepness: float, *, signed: bool = False) -> None:
        super().__init__()
        self.steepness = _positive("AxMin", steepness)
        self.signed = signed

    def forward(self, difference: Tensor) -> Tensor:
        """Map `(B, T-1, H, W)` to the same shape, in [0, 1], signed in [-1, 1]."""
        return axmin(_brightening(difference, self.signed), steepness=self.steepness)

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"steepness={self.steepness}, signed={self.signed}"


def _brightening(difference: Tensor, signed: bool) -> Tensor:
    return difference if signed else difference.relu()


def _positive(name: str, steepness: float) -> float:
    if not 0.0 < steepness < math.inf:
        raise InputError(f"steepness is {steepness}; {name} expects a finite number above 0")
    return steepness
