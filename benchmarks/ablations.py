"""What in motion inversion matters: one part changed at a time, on sprites transfer.

Experiments, each a table of its own (`--experiments` chooses):

- `embeddings`: query-key or value embeddings alone, both, in one dimension, none;
- `inference`: what becomes of value embeddings when they are used, from random noise and from noise
  that is half the clip's own, and while they are learned;
- `leak`: where the look of the reference comes from: value or query-key, the value of the first
  frame or of the rest, early or late steps;
- `ours`: forms of value embeddings, noise levels learned at, loss, blocks, learning rate, steps;
- `dmt`: the peer that trains nothing, steered by features of parts of the frame, and more strongly;
- `bound`: the reference's own prompt and raw embeddings, the best that can be had.

    python benchmarks/ablations.py -o ablations --json docs/results/ablations.json
    python benchmarks/ablations.py -o ablations --experiments ours --references 3 --prompts 2
"""

import argparse
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from report import write_report
from shortened import shortened

from kinema.cli.compare import table
from kinema.compare import (
    Plan,
    SpriteScorer,
    compare,
    figures_of,
    middle,
    open_prompts,
    travelling_references,
)
from kinema.motion_inversion import (
    PRESETS,
    VALUE_MODES,
    InversionSettings,
    fitted_reference,
    invert,
)
from kinema.motion_inversion.parameters import VALUE
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.motion_prompt import moving_parts
from kinema.peers import METHODS, DmtSettings, Inversion, Method
from kinema.peers.methods import Peer
from kinema.precision import PRECISIONS
from kinema.weights import digest_of_weights

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
BOUND = "bound"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*EXPERIMENTS, BOUND]
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--experiments", nargs="+", choices=names, default=names)
    parser.add_argument("--variants", nargs="+", help="of the experiments, only these")
    parser.add_argument("--pipeline", choices=EMBEDDED, default=EMBEDDED[1])
    parser.add_argument("--references", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--learning-steps", type=int, help="of every variant, to try the script (each its own)"
    )
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of sampling")
    parser.add_argument("--batch-size", type=int, default=1, help="videos at once, for a GPU")
    arguments = parser.parse_args()
    if arguments.variants:
        known = {variant for variants in EXPERIMENTS.values() for variant in variants} | {BOUND}
        unknown = sorted(set(arguments.variants) - known)
        if unknown:
            parser.error(f"there are no variants {', '.join(unknown)}; see EXPERIMENTS")
        arguments.experiments = [
            name
            for name in arguments.experiments
            if {*EXPERIMENTS.get(name, [BOUND])} & {*arguments.variants}
        ]

    # In float32 on a GPU too, so that figures are those of a CPU.
    pipe = load_pipeline(arguments.pipeline, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    rows: list[dict[str, Any]] = []
    for name in arguments.experiments:
        found = _bound(pipe, arguments) if name == BOUND else _experiment(pipe, name, arguments)
        rows += [{"experiment": name, **row} for row in found]
        print(f"\n{name}\n{table(found)}")
    if arguments.json:
        write_report(
            arguments.json,
            device=pipe.device,
            settings={
                name: value
                for name, value in vars(arguments).items()
                if name not in ("output", "json")
            },
            weights=digest_of_weights(pipe.components),
            rows=rows,
        )


def _experiment(pipe: Any, name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    variants = EXPERIMENTS[name]
    chosen = [each for each in variants if each in (arguments.variants or variants)]
    plan = Plan(
        references=travelling_references(arguments.references),
        prompts=open_prompts(arguments.prompts),
        seeds=range(arguments.seeds),
        methods=chosen,
        variants=variants,
        settings=shortened(variants, arguments.learning_steps),
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        precision=arguments.precision,
    )
    folder = arguments.output / name
    return _compared(pipe, plan, folder, arguments)


def _compared(
    pipe: Any, plan: Plan, folder: Path, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    summary = compare(
        pipe,
        plan,
        SpriteScorer(),
        folder,
        model=arguments.pipeline,
        batch_size=arguments.batch_size,
    )
    rows: list[dict[str, Any]] = summary["rows"]
    return rows


def _bound(pipe: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Give every motion back to its own prompt."""
    rows = []
    for reference in travelling_references(arguments.references):
        variants = {"own prompt, raw": variant({"value": "raw"})}
        plan = Plan(
            references=[reference],
            prompts=[reference.prompt],
            seeds=range(arguments.seeds),
            methods=list(variants),
            variants=variants,
            settings=shortened(variants, arguments.learning_steps),
            num_steps=arguments.steps,
            guidance=arguments.guidance,
            precision=arguments.precision,
        )
        folder = arguments.output / BOUND / reference.name
        (row,) = _compared(pipe, plan, folder, arguments)
        rows.append({**row, "method": f"own prompt, {reference.name}"})
    return [_over_references(rows), *rows]


def _over_references(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over references, and its spread over them."""
    whole = {**rows[0], "method": "own prompts", "num_videos": sum(r["num_videos"] for r in rows)}
    for name in figures_of(rows):
        found = [middle(row[name]) for row in rows if row[name] is not None]
        spread = stdev(found) if len(found) > 1 else 0.0
        whole[name] = {"mean": fmean(found), "spread": spread} if found else None
    for name in ("peak_bytes", "parameters", "file_bytes"):
        whole[name] = max(row[name] for row in rows)
    return whole


if __name__ == "__main__":
    main()
