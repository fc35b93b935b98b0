"""The variants that `ablations.py` compares: motion inversion and DMT with one thing changed."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kinema.motion_inversion import (
    PRESETS,
    VALUE_MODES,
    InversionSettings,
    fitted_reference,
    invert,
)
from kinema.motion_inversion.parameters import VALUE
from kinema.motion_prompt import moving_parts
from kinema.peers import METHODS, DmtSettings, Inversion, Method
from kinema.peers.methods import Peer

DEFAULT = PRESETS["default"]


def variant(sampling: Mapping[str, Any] | None = None, **settings: Any) -> Inversion:
    """Return the default method with something changed in learning or in sampling."""
    return Inversion("variant", dataclasses.replace(DEFAULT, **settings), sampling or {})


def steered(grid: int = 1, *, rates: float = 1) -> Peer:
    """Return DMT with features of parts of the frame, and with some times the learning rates."""
    published, settings = METHODS["dmt"], DmtSettings()
    assert isinstance(published, Peer)
    first, last = settings.learning_rates
    changed = dataclasses.replace(settings, grid=grid, learning_rates=(rates * first, rates * last))
    return dataclasses.replace(published, defaults=changed)


@dataclass(frozen=True)
class OfFrames(Inversion):
    """Value embeddings `(H, W, N, C)` of the first frame alone, or of the others; the rest are 0.

    Attributes:
        first: which of the two.
    """

    first: bool = True

    def generate(self, pipe: Any, prompt: Any, learned: Any, **given: Any) -> Any:
        """Show a prompt, with a part of the motion."""
        of_first = torch.arange(learned.num_frames) == 0
        kept = (of_first if self.first else ~of_first).float()[:, None]
        tensors = {
            name: tensor * kept if name.startswith(VALUE) else tensor
            for name, tensor in learned.tensors.items()
        }
        part = dataclasses.replace(learned, tensors=tensors)
        return super().generate(pipe, prompt, part, **given)


@dataclass(frozen=True)
class Compressed:
    """Motion inversion whose value embeddings are brought to a low rank once they are learned.

    Attributes:
        inner: how it learns otherwise, and generates.
        rank: to which.
    """

    inner: Inversion
    rank: int = 8

    @property
    def defaults(self) -> InversionSettings:
        """Those of the inner method."""
        return self.inner.defaults

    def check(self, pipe: Any, settings: Any = None) -> None:
        """As the inner method."""
        self.inner.check(pipe, settings)

    def learn(self, pipe: Any, video: Any, **given: Any) -> Any:
        """Learn from one clip, and compress."""
        return self.inner.learn(pipe, video, **given).compressed(self.rank)

    def generate(self, pipe: Any, prompt: Any, learned: Any, **given: Any) -> Any:
        """As the inner method."""
        return self.inner.generate(pipe, prompt, learned, **given)


@dataclass(frozen=True)
class Attending:
    """Motion inversion whose loss counts where a motion prompt says that the clip moves.

    Attributes:
        inner: how it learns otherwise, and generates.
    """

    inner: Inversion

    @property
    def defaults(self) -> InversionSettings:
        """Those of the inner method."""
        return self.inner.defaults

    def check(self, pipe: Any, settings: Any = None) -> None:
        """As the inner method."""
        self.inner.check(pipe, settings)

    def learn(self, pipe: Any, video: Any, *, settings: Any = None, **given: Any) -> Any:
        """Learn from one clip, with its attention map `(T-1, H, W)`."""
        fitting = {name: given.get(name) for name in ("num_frames", "size")}
        attention = moving_parts(fitted_reference(pipe, video, **fitting).video)
        chosen = settings or self.defaults
        return invert(pipe, video, attention=attention, settings=chosen, **given)

    def generate(self, pipe: Any, prompt: Any, learned: Any, **given: Any) -> Any:
        """As the inner method."""
        return self.inner.generate(pipe, prompt, learned, **given)


def _parts(**sampling: float) -> dict[str, Method]:
    """Raw embeddings, sampled in some way, and parts of them: methods by "{}, what part"."""
    raw: dict[str, Any] = {"value": "raw", **sampling}
    return {
        "{}": variant(raw),
        "{}, no query-key": variant({**raw, "query_key": 0.0}),
        "{}, no value": variant({**raw, "value_strength": 0.0}),
        "{}, frame 1 alone": OfFrames("variant", DEFAULT, raw, first=True),
        "{}, without frame 1": OfFrames("variant", DEFAULT, raw, first=False),
        "{}, first half": variant({**raw, "window": (0.0, 0.5)}),
        "{}, second half": variant({**raw, "window": (0.5, 1.0)}),
    }


EXPERIMENTS: dict[str, dict[str, Method]] = {
    "embeddings": {
        "none": METHODS["none"],
        "both": variant(),
        "query-key alone": variant(value="none"),
        "value alone": variant(query_key=False),
        "one-dimensional value": variant(value="coarse", coarse_factor=8),
        "one-dimensional value alone": variant(query_key=False, value="coarse", coarse_factor=8),
        "two-dimensional query-key": variant(query_key_grid=True),
        "two-dimensional query-key alone": variant(query_key_grid=True, value="none"),
        "dimensions exchanged": variant(query_key_grid=True, value="coarse", coarse_factor=8),
        "version 1": METHODS["motion-inversion-v1"],
    },
    "inference": {
        "none": METHODS["none"],
        **{
            f"{'no value' if mode == 'none' else mode}{start}": variant({"value": mode, **noise})
            for start, noise in (("", {}), (", blended noise", {"noise": "blend"}))
            for mode in VALUE_MODES
        },
        "debiased in training too": variant({"value": "debiased"}, training_value="debiased"),
    },
    "leak": {
        "none": METHODS["none"],
        # At eight times the strength there is a leak to look into on the embedded models.
        **{
            name.format(strongly): method
            for strongly, parts in (("raw", _parts()), ("strong raw", _parts(strength=8.0)))
            for name, method in parts.items()
        },
        "strong centred": variant({"strength": 8.0}),
    },
    "ours": {
        "none": METHODS["none"],
        "default": variant(),
        "coarse value": variant(value="coarse"),
        "low-rank value": variant(value="low-rank"),
        "default, compressed to rank 8": Compressed(variant()),
        "uniform noise levels": variant(noise_power=0.0),
        "noise power 3": variant(noise_power=3.0),
        "noise power 10": variant(noise_power=10.0),
        "noise power 30": variant(noise_power=30.0),
        "debiased loss": variant(objective="debiased"),
        "residual loss": variant(objective="residual"),
        "loss where it moves": Attending(variant()),
        "all blocks": variant(blocks="all"),
        "half the rate": variant(learning_rate=DEFAULT.learning_rate / 2),
        "twice the rate": variant(learning_rate=DEFAULT.learning_rate * 2),
        "half the steps": variant(num_steps=DEFAULT.num_steps // 2),
        "first half of sampling": variant({"window": (0.0, 0.5)}),
        "strength 1.5": variant({"strength": 1.5}),
    },
    "dmt": {
        "none": METHODS["none"],
        "dmt": METHODS["dmt"],
        "three times the rates": steered(rates=3),
        "2 x 2 parts": steered(2),
        "4 x 4 parts": steered(4),
        "4 x 4 parts, three times the rates": steered(4, rates=3),
    },
}
"""By experiment, and in it by name."""
