"""The paper's tables, remade on classes that differ in motion only.

Three studies on sprites actions: front ends and penalties at three levels of nuisance, the five
power normalisations, and what is trained when.

    python benchmarks/studies/sprites_actions.py normalisations --folder study --json table.json
"""

from dataclasses import replace

from candidates import register
from cells import Cell, with_front_end
from study import parse, run_study
from tables import show, table, write

from kinema.recognition import NORMALISATIONS, Recipe, read_recipe

LEVELS = ("none", "some", "many")
PENALTIES = (0.0, 0.1, 0.5, 1.0, 2.5)
STUDIES = ("penalties", "normalisations", "variants")
# Smaller frames and batches than the recipe's, at a higher rate: a run of SlowFast on plain frames
# finds two clips of three in 70 s on a core, where the recipe takes four minutes for three of four.
_SIZES = {
    "size": 48,
    "batch_size": 10,
    "learning_rate": 5e-3,
    "num_epochs": 5,
    "precision": "bf16",
}
_UNPENALISED = "prompt, lambda 0"
_ROWS = ("nuisance", "backbone", "variant")


def main() -> None:
    register()
    arguments = parse(__doc__, _add)
    backbones = arguments.backbones.split(",")
    make = {"penalties": _penalties, "normalisations": _normalisations, "variants": _variants}
    cells = [
        cell
        for seed in range(arguments.seeds)
        for backbone in backbones
        for nuisance in LEVELS
        for cell in make[arguments.study](backbone, nuisance, seed, arguments)
    ]
    starts: list[Cell] = []
    if arguments.study == "variants":
        starts = [
            cell
            for seed in range(arguments.seeds)
            for backbone in backbones
            for nuisance in LEVELS
            for cell in _before(backbone, nuisance, seed, arguments)
        ]
    results = run_study(cells, arguments, data=None, starts=starts)
    made = table(results, rows=_ROWS, over=())
    show(made, rows=_ROWS)
    if arguments.json:
        write(arguments.json, made, results)


def _add(parser) -> None:  # type: ignore[no-untyped-def]
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--backbones", default="slowfast")


def _recipe(backbone: str, nuisance: str, seed: int) -> Recipe:
    recipe = read_recipe(f"sprites-{backbone}")
    return replace(
        recipe,
        **_SIZES,
        backbone_sizes=recipe.backbone_sizes | {"dropout": 0.0},
        dataset_arguments=recipe.dataset_arguments | {"nuisance": nuisance},
        seed=seed,
        num_workers=0,
        epochs_between_tests=0,
    )


def _cell(
    variant: str, backbone: str, nuisance: str, recipe: Recipe, *, keep: bool = False
) -> Cell:
    of = {"nuisance": nuisance, "backbone": backbone, "variant": variant, "seed": recipe.seed}
    return Cell(of, recipe, keep=keep)


def _penalties(backbone: str, nuisance: str, seed: int, arguments: object) -> list[Cell]:
    recipe = _recipe(backbone, nuisance, seed)
    names = ["frames", "difference", *(f"prompt, lambda {value:g}" for value in PENALTIES)]
    return [_cell(name, backbone, nuisance, with_front_end(recipe, name)) for name in names]


def _normalisations(backbone: str, nuisance: str, seed: int, arguments: object) -> list[Cell]:
    recipe = _recipe(backbone, nuisance, seed)
    # The learnable one has its runs among those of the penalties.
    learnable = _cell(_UNPENALISED, backbone, nuisance, with_front_end(recipe, _UNPENALISED))
    others = [
        _cell(name, backbone, nuisance, replace(recipe, normalisation=name, penalty=0.0))
        for name in NORMALISATIONS
        if name not in ("learnable", "axmin")
    ]
    return [learnable, *others]


def _before(backbone: str, nuisance: str, seed: int, arguments: object) -> tuple[Cell, Cell]:
    """What the variants go on from: a start, and the same fine-tuned."""
    folder = arguments.folder  # type: ignore[attr-defined]
    recipe = replace(_recipe(backbone, nuisance, seed), front_end="frames")
    # The start stands in for Kinetics: other classes than those that are fine-tuned on.
    eight = ["right", "down", "left", "up", "grow", "shrink", "bounce", "still"]
    arguments_of_start = recipe.dataset_arguments | {"classes": eight}
    on_eight = replace(recipe, dataset_arguments=arguments_of_start)
    start = _cell("start", backbone, nuisance, on_eight, keep=True)
    on_all = replace(recipe, start=str(folder / start.name))
    return start, _cell("fine-tuned", backbone, nuisance, on_all, keep=True)


def _variants(backbone: str, nuisance: str, seed: int, arguments: object) -> list[Cell]:
    """What is trained when: each variant goes on from the same pre-trained backbone.

    The paper's study on MPII Cooking 2: a frozen start with a new head, with and without prompts;
    fine-tuned without; and with prompts, the prompt alone after fine-tuning, both after it, or both
    from the start. And, as a control, fine-tuned a second time without.
    """
    folder = arguments.folder  # type: ignore[attr-defined]
    start, tuned = _before(backbone, nuisance, seed, arguments)
    recipe = _recipe(backbone, nuisance, seed)
    going_on = replace(recipe, start=str(folder / start.name))
    after = replace(recipe, start=str(folder / tuned.name))
    frames = {"front_end": "frames"}
    return [
        _cell("frozen", backbone, nuisance, replace(going_on, trains="head", **frames)),
        _cell("frozen, prompt", backbone, nuisance, replace(going_on, trains="prompt+head")),
        tuned,
        _cell("fine-tuned twice", backbone, nuisance, replace(after, **frames)),
        _cell("prompt after", backbone, nuisance, replace(after, trains="prompt")),
        _cell("prompt and all after", backbone, nuisance, after),
        _cell("prompt and all from the start", backbone, nuisance, going_on),
    ]


if __name__ == "__main__":
    main()
