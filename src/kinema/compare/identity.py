"""What a comparison is known by: one that goes on in a folder must be the one that began there."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kinema.compare.plan import Plan
from kinema.compare.scores import Scorer
from kinema.errors import InputError
from kinema.files import replacing
from kinema.measure.machine import machine
from kinema.motion_inversion.origin import model_class_of
from kinema.motion_inversion.sites import denoiser
from kinema.weights import digest_of_weights

PLAN = "plan.json"


def identity_of(
    pipe: Any, plan: Plan, scorer: Scorer, *, model: str, batch_size: int
) -> dict[str, Any]:
    """Return all that a figure of the comparison depends on, as JSON holds it.

    Figures of two samplers or precisions do not belong into one table, nor do times of two
    machines.
    """
    described = {
        **plan.as_dict(),
        "pipeline": model or type(pipe).__name__,
        "model_class": model_class_of(pipe),
        "weights": digest_of_weights(pipe.components),
        "dtype": str(denoiser(pipe).dtype).removeprefix("torch."),
        "scheduler": _scheduler(pipe.scheduler),
        "batch_size": batch_size,
        "scorer": scorer.identity(),
        "machine": machine(pipe.device),
        "kinema_version": version("kinema"),
    }
    # As it is read from the file again, in which a tuple is a list.
    found: dict[str, Any] = json.loads(json.dumps(described, default=str))
    return found


def check_same(folder: Path, described: dict[str, Any], *, begun: bool) -> dict[str, Any]:
    """See that what a folder holds is of this comparison; return its plan, to be written there.

    Methods may come and go: each is a row of its own.

    Args:
        folder: of the comparison.
        described: its identity.
        begun: whether there is anything in the folder. A plan of which nothing was done yet, since
            it could not be, is nothing to go on with.

    Raises:
        InputError: it is of another, or of none.
    """
    if not begun:
        return described
    try:
        before = json.loads((folder / PLAN).read_text())
        methods = dict(before["methods"])
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder} holds results without the plan of a comparison; give another folder"
        ) from error
    other = [
        name
        for name in {**before, **described}
        if name != "methods" and before.get(name) != described.get(name)
    ]
    other += [
        f"settings of {name}"
        for name, settings in described["methods"].items()
        if name in methods and methods[name] != settings
    ]
    if other:
        raise InputError(
            f"{folder} holds a comparison with other {', '.join(other)}; give another folder"
        )
    return {**described, "methods": {**methods, **described["methods"]}}


def write_plan(folder: Path, described: dict[str, Any]) -> None:
    """Write the identity down."""
    with replacing(folder / PLAN) as temporary:
        temporary.write_text(json.dumps(described, indent=2) + "\n")


def _scheduler(scheduler: Any) -> dict[str, Any]:
    config = {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
    return {"name": type(scheduler).__name__, **config}
