"""Candidates for a better front end than the paper's, by the names that studies have for them.

Ours, not the paper's. What came of each is in docs/log.md.
"""

from collections.abc import Callable
from typing import Any

from grey_changes import GreyChanges, apart, rectified, rectified_around_0, signed_and_sizes
from mixture import Mixture

from kinema.backbones import BackboneFacts
from kinema.motion_prompt import FrontEnd
from kinema.recognition import FRONT_ENDS, Recipe

_Maker = Callable[[Recipe, BackboneFacts], FrontEnd]


def _mixture(*parts: str, **settings: Any) -> _Maker:
    return lambda recipe, facts: Mixture(facts, parts=parts, penalty=recipe.penalty, **settings)


def _changes(**settings: Any) -> _Maker:
    return lambda recipe, facts: GreyChanges(facts, **settings)


_ALL = ("frame", "prompt", "difference")
_THREE = (1, 2, 4)

CANDIDATES: dict[str, _Maker] = {
    "both-signs": _mixture("prompt"),
    "relative-difference": _mixture("difference"),
    "prompt+difference": _mixture("prompt", "difference"),
    "prompt+difference, signed": _mixture("prompt", "difference", both_signs=False),
    "frame+difference": _mixture("frame", "difference"),
    "all": _mixture(*_ALL),
    "all, three lags": _mixture(*_ALL, lags=_THREE),
    "differences, three lags": _mixture("difference", lags=_THREE),
    "attended difference": _mixture("attended"),
    "attended difference, signed": _mixture("attended", both_signs=False),
    "saturated difference": _mixture("saturated"),
    "saturated difference, either": _mixture("saturated", either=True),
    "saturated differences, three lags": _mixture("saturated", lags=_THREE),
    "difference, either": _mixture("difference", either=True, relative=False),
    "centred": _mixture("centred"),
    "centred+difference": _mixture("centred", "difference"),
    "centred+saturated": _mixture("centred", "saturated"),
    "prompt+saturated": _mixture("prompt", "saturated"),
    "grey at three lags": _changes(lags=_THREE),
    "grey at three lags, either": _changes(lags=_THREE, either=True),
    "grey at three lags, rectified": _changes(lags=_THREE, shown=rectified),
    "grey at long lags, rectified": _changes(lags=(1, 4, 8), shown=rectified),
    "grey at two lags, centred": _changes(lags=_THREE, centred=True),
    "grey at two lags, centred, rectified": _changes(lags=_THREE, centred=True, shown=rectified),
    "grey at one lag": _changes(),
    "grey at one lag, jittered": _changes(jitter=0.5),
    "grey at one lag, either": _changes(either=True),
    "grey at one lag, rectified": _changes(shown=rectified),
    "grey at one lag, rectified, spread": _changes(shown=rectified, sizes=(0.02, 0.05, 0.15)),
    "grey at one lag, rectified, relative": _changes(
        shown=rectified, relative=True, sizes=(1.0, 1.0, 1.0)
    ),
    "grey at one lag, rectified, jittered": _changes(shown=rectified, jitter=0.5),
    "grey at one lag, rectified, mean taken off": _changes(shown=rectified_around_0),
    "grey at one lag, apart": _changes(shown=apart),
    "grey at one lag, apart, jittered": _changes(shown=apart, jitter=0.5),
    "grey at one lag, apart, either": _changes(shown=apart, either=True),
    "grey at one lag, apart, either, jittered": _changes(shown=apart, either=True, jitter=0.5),
    "grey at one lag, signed and sizes, jittered": _changes(shown=signed_and_sizes, jitter=0.5),
    "grey at one lag, signed and sizes, either, jittered": _changes(
        shown=signed_and_sizes, either=True, jitter=0.5
    ),
}


def register() -> None:
    """Make the candidates known to recipes, under their names here."""
    FRONT_ENDS.update(CANDIDATES)
