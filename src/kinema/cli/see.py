"""`kinema see`: what moves in a video or a folder of videos."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from kinema.errors import InputError

NORMALISATIONS = ("learnable", "gamma", "maxexp", "sigme", "asinhe", "axmin")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "see",
        help="attention maps over a video: overlay, contact sheet, figures",
        description="Write overlay.mp4, sheet.png (frame, difference, attention, prompt) and "
        "see.json for a video, or for each video of a folder.",
    )
    command.add_argument(
        "video",
        type=Path,
        metavar="VIDEO",
        help="a video, a folder of videos, or a clip as one tensor in a .safetensors file",
    )
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where to (default: NAME-see)"
    )
    command.add_argument("--m", type=float, help="learned scalar of the slope (0.1)")
    command.add_argument("--n", type=float, help="learned scalar of the shift (0)")
    command.add_argument(
        "--normalisation",
        choices=NORMALISATIONS,
        default="learnable",
        help="power normalisation in place of the learnable sigmoid",
    )
    command.add_argument(
        "--parameter", type=float, help="exponent or steepness of that power normalisation"
    )
    command.add_argument(
        "--signed", action="store_true", help="let darkening count too, as negative weight"
    )
    command.add_argument(
        "--frames", type=int, default=64, help="at most so many, from the middle (64)"
    )
    command.add_argument("--stride", type=int, default=1, help="take every STRIDE-th frame (1)")
    command.add_argument(
        "--size", type=int, default=256, help="shorter side in pixels; 0 keeps the size (256)"
    )
    command.add_argument("--layout", help="axes of a clip that is a .safetensors file (TCHW)")
    command.add_argument("--mean", type=float, nargs="+", help="subtracted from that clip (0 0 0)")
    command.add_argument("--std", type=float, nargs="+", help="divided into that clip (1 1 1)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """See every video; a folder's broken ones are named, and the rest is seen."""
    from tqdm import tqdm

    from kinema.motion_prompt import MotionPrompt
    from kinema.motion_prompt.see import see
    from kinema.video import find_videos

    if arguments.size < 0:
        raise InputError(f"size is {arguments.size}; give the shorter side in pixels, or 0")
    if arguments.video.suffix != ".safetensors":
        for name in ("layout", "mean", "std"):
            if getattr(arguments, name) is not None:
                raise InputError(
                    f"--{name} is of a clip in a .safetensors file, and {arguments.video} is none; "
                    "leave it out"
                )
    prompt = MotionPrompt(
        mean=arguments.mean or (0.0,) * 3,
        std=arguments.std or (1.0,) * 3,
        layout=arguments.layout or "TCHW",
        normalisation=_normalisation(arguments),
    )
    settings: dict[str, Any] = {
        "prompt": prompt,
        "num_frames": arguments.frames,
        "stride": arguments.stride,
        "size": arguments.size or None,
    }
    source: Path = arguments.video
    whole = source.resolve()
    # Of a folder, what follows a dot is no suffix.
    output: Path = arguments.output or Path(f"{whole.name if whole.is_dir() else whole.stem}-see")
    if not source.is_dir():
        for video in tqdm(find_videos(source), desc="see", unit="video", leave=False, disable=None):
            sight = see(video, output, **settings)
        print(_line(source.name, sight.report))
        print(f"wrote {sight.overlay}, {sight.sheet.name} and see.json")
        return

    videos = find_videos(source)
    written = output.resolve()
    if source.resolve() in written.parents:
        # What an earlier run wrote into the folder is no clip of it.
        videos = [video for video in videos if written not in video.resolve().parents]
    failed = []
    for video in (bar := tqdm(videos, desc="see", unit="video", disable=None)):
        # The whole name, suffix and all: two videos may differ in nothing else.
        name = video.relative_to(source)
        try:
            sight = see(video, output / name, **settings)
        except InputError as error:
            failed.append(name)
            bar.write(f"kinema: {error}", file=sys.stderr)
        else:
            bar.write(_line(str(name), sight.report))
    print(f"saw {len(videos) - len(failed)} of {len(videos)} videos, in {output}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(videos)} videos could not be seen: "
            f"{', '.join(str(name) for name in failed)}"
        )


def _normalisation(arguments: argparse.Namespace) -> Any:
    from kinema import motion_prompt

    name, value, signed = arguments.normalisation, arguments.parameter, arguments.signed
    if name == "learnable":
        if value is not None or signed:
            raise InputError(
                "--parameter and --signed go with another --normalisation; the learnable one has "
                "--m and --n"
            )
        scalars = {}
        for letter in ("m", "n"):
            given = getattr(arguments, letter)
            if given is not None:
                if not math.isfinite(given):
                    raise InputError(f"{letter} is {given}; give a finite number")
                scalars[letter] = given
        return motion_prompt.LearnableSigmoid(**scalars)
    if arguments.m is not None or arguments.n is not None:
        raise InputError(
            f"--m and --n are of the learnable normalisation; {name} takes --parameter and --signed"
        )
    if name == "maxexp" and signed:
        raise InputError("maxexp has no signed form; sigme extends it to both signs")
    if name == "axmin" and value is None:
        raise InputError("axmin has no usual steepness; give one with --parameter, for example 50")
    kinds = {
        "gamma": motion_prompt.Gamma,
        "maxexp": motion_prompt.MaxExp,
        "sigme": motion_prompt.SigmE,
        "asinhe": motion_prompt.AsinhE,
        "axmin": motion_prompt.AxMin,
    }
    settings = {} if name == "maxexp" else {"signed": signed}
    return kinds[name](*(() if value is None else (value,)), **settings)


def _line(name: str, report: dict[str, Any]) -> str:
    return (
        f"{name}: {len(report['frames_seen'])} frames, "
        f"{report['share_moving']:.1%} of pixels move, "
        f"attention {report['attention_mean']:.3f} +- {report['attention_std']:.3f}, "
        f"at rest {report['attention_at_rest']:.3f}, above 0.99 {report['share_above_099']:.1%}"
    )
