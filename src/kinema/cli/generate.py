"""`kinema generate`: a new prompt, moving as a learned motion does."""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kinema.cli.invert import add_model, pipeline_of
from kinema.cli.limits import check_frames, check_seeds, check_steps, size_of
from kinema.errors import InputError
from kinema.sprites import GUIDANCE

_FRAMES_PER_SECOND = 8.0
_STEPS = 30
# How motions are used unless told otherwise; what a peer learned is used in its own way alone.
_USAGE = {
    "strength": 1.0,
    "query_key": None,
    "value": "centred",
    "value_strength": None,
    "window": (0.0, 1.0),
    "branch": "both",
    "noise": "none",
    "noise_share": 0.5,
    "frames": None,
    "size": None,
}
# What of it says nothing where there is no motion.
_OF_MOTIONS = (
    "strength",
    "query_key",
    "value",
    "value_strength",
    "window",
    "branch",
    "noise",
    "noise_share",
)
SETTINGS, SHEET = "settings.json", "sheet.png"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "generate",
        help="make videos of a prompt under learned motions",
        description="Write seed-N.mp4 for every seed, sheet.png beside the clip that the motion "
        "was learned from, and settings.json. The same command again makes the same pixels.",
    )
    command.add_argument("prompt", help="what to show")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--motion",
        action="append",
        nargs="+",
        default=[],
        metavar=("FILE", "WEIGHT"),
        help="of 'kinema invert', and its weight (1); may be given more than once",
    )
    add_model(command)
    command.add_argument("--seeds", type=int, default=1, metavar="N", help="videos to make (1)")
    command.add_argument("--seed", type=int, default=0, help="the first of the seeds (0)")
    command.add_argument("--strength", type=float, help="of the motions (1)")
    command.add_argument(
        "--query-key",
        type=float,
        metavar="S",
        help="strength of query-key embeddings (--strength's)",
    )
    command.add_argument(
        "--value-strength",
        type=float,
        metavar="S",
        help="strength of value embeddings (--strength's)",
    )
    command.add_argument(
        "--value",
        help="how value embeddings are used: centred, debiased (the paper's), debiased-zero, raw "
        "or none (centred)",
    )
    command.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="share of the steps in which motions act (0 1)",
    )
    command.add_argument("--branch", help="of guidance: both or conditional")
    command.add_argument("--noise", help="start from: none, blend or frequency")
    command.add_argument("--noise-share", type=float, help="of blend (0.5)")
    command.add_argument("--steps", type=int, help="of denoising (30, a peer's as published)")
    command.add_argument(
        "--guidance",
        type=float,
        help="towards the prompt (2 for the embedded models, else the pipeline's own)",
    )
    command.add_argument("--negative-prompt", help="what not to show")
    command.add_argument("--frames", type=int, metavar="N", help="length (the motion's)")
    command.add_argument("--size", metavar="HxW", help="in pixels (the motion's, or the model's)")
    command.add_argument(
        "--reference", type=Path, metavar="VIDEO", help="for the sheet (FILE's gif, if there)"
    )
    command.set_defaults(run=run, **_USAGE)


def run(arguments: argparse.Namespace) -> None:
    """Make the videos and write all of them, or none."""
    from tqdm import tqdm

    from kinema.files import filling
    from kinema.peers import Learned, load
    from kinema.video import contact_sheet, write_image, write_video

    if arguments.seeds < 1:
        raise InputError(f"--seeds is {arguments.seeds}; give 1 or more")
    check_seeds(arguments.seed, arguments.seeds)
    check_frames(arguments.frames)
    arguments.size = size_of(arguments.size)
    if not arguments.motion and (name := _changed(arguments, _OF_MOTIONS)):
        raise InputError(
            f"--{name} is for motions, and none is given; give --motion, or leave it out"
        )
    if arguments.noise != "blend" and _changed(arguments, ("noise_share",)):
        raise InputError(
            f"--noise-share is of --noise blend, and --noise is {arguments.noise}; leave it out"
        )
    if arguments.value == "none" and arguments.value_strength is not None:
        raise InputError(
            "--value none leaves no value embedding for --value-strength; leave one of them out"
        )
    files = [_file_and_weight(given) for given in arguments.motion]
    motions = [(load(path), weight) for path, weight in files]
    rows = _reference(arguments, files, motions)
    pipe = pipeline_of(arguments)
    check_steps(pipe, arguments.steps)
    make, options = _maker(arguments, pipe, motions)
    rate = next(
        (m.origin.frames_per_second for m, _ in motions if m.origin.frames_per_second),
        _FRAMES_PER_SECOND,
    )
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    pixels = {}
    with filling(arguments.output) as folder:
        for seed in tqdm(seeds, desc="generate", unit="video", disable=None):
            video = make(seed)
            write_video(folder / f"seed-{seed}.mp4", video, frames_per_second=rate)
            rows[f"seed {seed}"] = _for_the_sheet(video)
            pixels[str(seed)] = _sha256(video)
        write_image(folder / SHEET, contact_sheet(rows))
        settings = {
            "kinema": version("kinema"),
            "prompt": arguments.prompt,
            "model": arguments.model,
            "adapter": arguments.adapter,
            "motions": [
                {
                    "file": str(path),
                    "weight": weight,
                    "method": motion.method if isinstance(motion, Learned) else "kinema",
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "origin": motion.origin.to_json(),
                }
                for (path, weight), (motion, _) in zip(files, motions, strict=True)
            ],
            **options,
            "frames_per_second": rate,
            "sha256_of_pixels": pixels,
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
    print(f"wrote {len(seeds)} videos, {SHEET} and {SETTINGS} to {arguments.output}")


def _maker(
    arguments: argparse.Namespace, pipe: Any, motions: list[tuple[Any, float]]
) -> tuple[Callable[[int], Any], dict[str, Any]]:
    """What makes the video of a seed, and the options that it does so with."""
    from kinema.motion_inversion import generate
    from kinema.peers import Learned, method_named

    options: dict[str, Any] = {"num_steps": arguments.steps, "guidance": _guidance(arguments)}
    if arguments.negative_prompt is not None:
        options["negative_prompt"] = arguments.negative_prompt
    if any(isinstance(motion, Learned) for motion, _ in motions):
        learned = _alone(arguments, motions)
        method = method_named(learned.method)
        return (
            lambda seed: method.generate(pipe, arguments.prompt, learned, seed=seed, **options),
            options,
        )
    if arguments.steps is None:
        options["num_steps"] = _STEPS
    options |= {
        "noise": arguments.noise,
        "noise_share": arguments.noise_share,
        "num_frames": arguments.frames,
        "size": arguments.size,
        "strength": arguments.strength,
        "query_key": arguments.query_key,
        "value": arguments.value,
        "value_strength": arguments.value_strength,
        "window": tuple(arguments.window),
        "branch": arguments.branch,
    }
    return (
        lambda seed: generate(pipe, arguments.prompt, motion=motions or None, seed=seed, **options),
        options,
    )


def _alone(arguments: argparse.Namespace, motions: list[tuple[Any, float]]) -> Any:
    """What a peer learned, which is used by itself and in its own way."""
    from kinema.peers import Learned

    learned = next(motion for motion, _ in motions if isinstance(motion, Learned))
    if len(motions) > 1 or motions[0][1] != 1:
        raise InputError(
            f"what {learned.method} learned goes with no other motion and no weight; give its file "
            "alone"
        )
    if name := _changed(arguments, _USAGE):
        raise InputError(
            f"--{name} is for motions of kinema's own method, and this file is of "
            f"{learned.method}; leave it out"
        )
    return learned


def _changed(arguments: argparse.Namespace, names: Iterable[str]) -> str | None:
    """The first option of how motions are used that is not as usual, as the command line has it."""
    for name in names:
        found = getattr(arguments, name)
        if (tuple(found) if isinstance(found, list) else found) != _USAGE[name]:
            return name.replace("_", "-")
    return None


def _file_and_weight(given: list[str]) -> tuple[Path, float]:
    if len(given) > 2:
        raise InputError(f"--motion is {' '.join(given)}; give one file, and its weight if not 1")
    try:
        weight = float(given[1]) if len(given) == 2 else 1.0
    except ValueError:
        raise InputError(
            f"the weight of motion {given[0]} is {given[1]!r}; give a number, and each file its "
            "own --motion"
        ) from None
    return Path(given[0]), weight


def _guidance(arguments: argparse.Namespace) -> float | None:
    from kinema.motion_inversion.pipelines import EMBEDDED

    if arguments.guidance is None and arguments.model in EMBEDDED:
        return GUIDANCE
    guidance: float | None = arguments.guidance
    return guidance


def _reference(
    arguments: argparse.Namespace, files: list[tuple[Path, float]], motions: list[tuple[Any, float]]
) -> dict[str, Any]:
    """The sheet's first row, where there is a clip to show: as many frames as were learned."""
    from kinema.sprites.models import NUM_FRAMES
    from kinema.video import read_video, uniform_indices
    from kinema.video.sheet import TILE_HEIGHT

    path = arguments.reference
    if path is None:
        gifs = (file.with_suffix(".gif") for file, _ in files)
        path = next((gif for gif in gifs if gif.exists()), None)
    if path is None:
        return {}
    length = motions[0][0].origin.num_frames if motions else NUM_FRAMES
    # Few and small as they are read: a long clip would not fit into memory.
    frames = read_video(
        path, size=TILE_HEIGHT, indices=lambda n: uniform_indices(n, min(n, length))
    )
    return {"reference": frames.frames}


def _for_the_sheet(video: Any) -> Any:
    """A video as bytes and no larger than it is shown: many at their full size would not fit."""
    from kinema.video.picture import resized
    from kinema.video.pixels import as_bytes
    from kinema.video.sheet import TILE_HEIGHT

    small = min(video.shape[-2:]) <= TILE_HEIGHT
    return as_bytes(video) if small else resized(as_bytes(video), TILE_HEIGHT)


def _sha256(video: Any) -> str:
    return hashlib.sha256((video * 255).round().byte().numpy().tobytes()).hexdigest()
