"""Do motion prompts help on real clips? UT-Interaction within groups of clips and across sites.

Small X3D, SlowFast and TimeSformer on plain frames, motion prompts and raw differences, from the
same start (pre-trained on sprites actions, or nothing), with the same budget.

    python benchmarks/studies/ut_interaction.py --data DIR --folder study --json table.json
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from candidates import register
from cells import Cell, with_front_end
from drawn import decode_all
from study import parse, run_study
from tables import show, table, write

from kinema.files import replacing
from kinema.recognition import read_recipe

BACKBONES = ("x3d", "slowfast", "timesformer")
FRONT_ENDS = ("frames", "prompt, lambda 0", "prompt, lambda 1", "difference")
STARTS = ("none", "sprites")
SPLITS: dict[str, list[dict[str, int | str]]] = {
    "groups": [{"held_out": fold} for fold in range(5)],
    "sites": [{"across": "set1"}, {"across": "set2"}],
}
SHORT_SIDE = 80


def main() -> None:
    register()
    arguments = parse(__doc__, _add)
    starts = arguments.starts.split(",")
    backbones = arguments.backbones.split(",")
    data = small_copies(arguments.data, arguments.folder / "clips")
    if arguments.device == "cuda" or arguments.drawn:
        decode_all(data, arguments.folder / "drawn")
    before = {name: _pretraining(name) for name in backbones if "sprites" in starts}
    cells = [
        _cell(
            backbone,
            front_end,
            start,
            protocol,
            split,
            seed,
            _pretrained(before, backbone, arguments),
        )
        for seed in range(arguments.seeds)
        for backbone in backbones
        for start in starts
        for front_end in arguments.front_ends.split(";")
        for protocol in arguments.protocols.split(",")
        for split in SPLITS[protocol]
    ]
    results = run_study(cells, arguments, data=data, starts=list(before.values()))
    rows = ("protocol", "backbone", "start", "front_end")
    made = table(results, rows=rows, over=("split",))
    made.sort(key=lambda row: [str(row[name]) for name in rows])
    show(made, rows=rows)
    if arguments.json:
        write(arguments.json, made, results)


def _add(parser) -> None:  # type: ignore[no-untyped-def]
    parser.add_argument("--data", type=Path, required=True, help="folder of the two sets")
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--starts", default=",".join(STARTS))
    parser.add_argument("--protocols", default=",".join(SPLITS))
    parser.add_argument("--front-ends", default=";".join(FRONT_ENDS))


def _pretraining(backbone: str) -> Cell:
    recipe = replace(read_recipe(f"sprites-{backbone}"), front_end="frames", num_workers=0)
    return Cell({"start of": backbone, "seed": 0}, recipe, keep=True)


def _pretrained(before: dict[str, Cell], backbone: str, arguments: Any) -> str:
    return str(arguments.folder / before[backbone].name) if backbone in before else ""


def _cell(
    backbone: str,
    front_end: str,
    start: str,
    protocol: str,
    split: dict[str, int | str],
    seed: int,
    pretrained: str,
) -> Cell:
    recipe = replace(
        with_front_end(read_recipe(f"ut-interaction-{backbone}"), front_end),
        dataset_arguments=split,
        start=pretrained if start == "sprites" else "",
        seed=seed,
        num_workers=0,
        epochs_between_tests=0,
    )
    (value,) = split.values()
    return Cell(
        {
            "protocol": protocol,
            "split": str(value),
            "backbone": backbone,
            "start": start,
            "front_end": front_end,
            "seed": seed,
        },
        recipe,
    )


def small_copies(source: Path, folder: Path) -> Path:
    """Write each clip with a shorter side of 80 pixels, lossless, where it is not there yet.

    Training reads every clip some forty times; the small ones decode in a tenth of the time.
    """
    for path in sorted(source.glob("segmented_set*/*.avi")):
        target = folder / path.relative_to(source)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(target) as temporary,
            av.open(str(path)) as clip,
            av.open(str(temporary), "w", format="avi") as copy,
        ):
            stream = clip.streams.video[0]
            scale = Fraction(SHORT_SIDE, min(stream.width, stream.height))
            made = copy.add_stream("ffv1", rate=stream.average_rate)
            made.width, made.height = (
                2 * round(length * scale / 2) for length in (stream.width, stream.height)
            )
            made.pix_fmt = "yuv420p"
            for number, frame in enumerate(clip.decode(stream)):
                small = frame.reformat(made.width, made.height, "yuv420p", interpolation="AREA")
                small.pts, small.time_base = number, 1 / stream.average_rate
                copy.mux(made.encode(small))
            copy.mux(made.encode())
    return folder


if __name__ == "__main__":
    main()
