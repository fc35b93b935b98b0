"""`kinema invert`: learn the motion of one clip."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from kinema.cli.limits import check_frames, check_seeds, size_of
from kinema.errors import InputError

_OURS = "kinema"
# Each is a field of InversionSettings; None leaves it as the preset has it.
_SETTINGS = {
    "num_steps": (int, "N", "steps of the optimiser"),
    "learning_rate": (float, "RATE", "of AdamW"),
    "batch_size": (int, "N", "noise levels at once"),
    "blocks": (str, "NAME", "which blocks learn: paper, all, or a regular expression"),
    "value": (str, "FORM", "how value embeddings are kept: full, coarse, low-rank or none"),
    "objective": (str, "NAME", "plain, debiased or residual"),
    "noise_power": (float, "POWER", "how much more often noise levels near noise are learned at"),
    "inversion_steps": (int, "N", "of DDIM inversion, kept for the starting noise; 0 for none"),
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "invert",
        help="learn the motion of one clip, into one file",
        description="Learn the motion of a clip on a frozen text-to-video model. Interrupted, the "
        "same command goes on where it was; that of a peer (--method) begins anew.",
    )
    command.add_argument("video", type=Path, metavar="VIDEO", help="a video or a folder of frames")
    command.add_argument("--prompt", required=True, help="what the clip shows, in words")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.safetensors")
    add_model(command)
    command.add_argument(
        "--method",
        default=_OURS,
        help="kinema, or a peer: motion-inversion, motion-inversion-v1, motiondirector, vmc, dmt",
    )
    command.add_argument(
        "--settings", default="default", help="default, or paper: exactly the published ones"
    )
    for name, (kind, metavar, text) in _SETTINGS.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    command.add_argument("--frames", type=int, metavar="N", help="to take from the clip, at most")
    command.add_argument(
        "--size", metavar="HxW", help="height and width of the videos, in pixels (the model's own)"
    )
    command.add_argument(
        "--attend",
        action="store_true",
        help="weigh errors by a motion prompt's attention map: where it moves, it counts",
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--compile",
        action="store_true",
        help="compile the model's frozen layers, a minute at first: for a GPU, where what it gains "
        "is unmeasured; nothing on a CPU",
    )
    command.add_argument(
        "--half", action="store_true", help="write float16: half as large, the same to the eye"
    )
    command.add_argument(
        "--no-preview", action="store_true", help="write no gif of the clip beside the motion"
    )
    command.set_defaults(run=run)


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a pipeline."""
    command.add_argument(
        "--model",
        default="sprites",
        help="sprites or sprites-animatediff (embedded), a hub id, or a folder (sprites)",
    )
    command.add_argument("--adapter", help="AnimateDiff's motion adapter, where --model is images")
    command.add_argument("--device", help="cpu, cuda or mps (cuda where it is there)")


def pipeline_of(arguments: argparse.Namespace) -> Any:
    """Load the pipeline that the arguments choose."""
    from kinema.cli.quiet import quiet_libraries
    from kinema.motion_inversion.pipelines import load_pipeline

    quiet_libraries()
    return load_pipeline(arguments.model, adapter=arguments.adapter, device=arguments.device)


def run(arguments: argparse.Namespace) -> None:
    """Learn and save; what a broken run has learned lies in a checkpoint beside the output."""
    from kinema.files import output_folder
    from kinema.motion_inversion import InversionInterrupted, invert
    from kinema.motion_prompt import moving_parts

    output: Path = arguments.output
    if output.suffix != ".safetensors":
        raise InputError(f"the output is {output}; expected a name that ends in .safetensors")
    if output.is_dir():
        raise InputError(f"the output {output} is a folder; give the name of a file to write")
    preview = output.with_suffix(".gif")
    is_the_clip = preview.resolve() == arguments.video.resolve()
    if is_the_clip and not arguments.no_preview:
        raise InputError(
            f"the preview would be written over the clip, {preview}; give another output, or "
            "--no-preview"
        )
    if arguments.no_preview and preview.exists() and not is_the_clip:
        raise InputError(
            f"{preview} shows another motion and would be taken for this one's preview; remove it, "
            "give another output, or leave --no-preview out"
        )
    check_seeds(arguments.seed)
    check_frames(arguments.frames)
    arguments.size = size_of(arguments.size)
    if arguments.method != _OURS:
        _run_peer(arguments)
        return
    settings = _settings(arguments)
    output_folder(output.parent)
    pipe = pipeline_of(arguments)
    checkpoint = output.with_suffix(".checkpoint.safetensors")
    if checkpoint.exists():
        print(f"going on from {checkpoint}")
    try:
        motion = invert(
            pipe,
            arguments.video,
            prompt=arguments.prompt,
            seed=arguments.seed,
            settings=settings,
            num_frames=arguments.frames,
            size=arguments.size,
            attention=moving_parts(_reference(arguments, pipe)) if arguments.attend else None,
            resume_from=checkpoint if checkpoint.exists() else None,
            checkpoint=checkpoint,
        )
    except InversionInterrupted:
        raise InputError(
            f"interrupted; {checkpoint} keeps what was learned, and the same command goes on there"
        ) from None
    _save(motion, arguments, pipe)
    checkpoint.unlink(missing_ok=True)


def _run_peer(arguments: argparse.Namespace) -> None:
    """Learn by another method than ours, at its published settings unless told otherwise."""
    from kinema.files import output_folder
    from kinema.peers import Inversion, method_named

    method, output = method_named(arguments.method), arguments.output
    if arguments.attend or arguments.compile or arguments.settings != "default":
        raise InputError(
            "--attend, --compile and --settings are for kinema's own method, not for "
            f"{arguments.method}; leave them out"
        )
    given = _given(arguments)
    fields = [field.name for field in dataclasses.fields(method.defaults)]
    foreign = next((name for name in given if name not in fields), None)
    if foreign is not None:
        raise InputError(f"{arguments.method} has no setting {foreign}; it has {', '.join(fields)}")
    settings = dataclasses.replace(method.defaults, **given)
    output_folder(output.parent)
    pipe = pipeline_of(arguments)
    learned = method.learn(
        pipe,
        arguments.video,
        prompt=arguments.prompt,
        seed=arguments.seed,
        settings=settings,
        num_frames=arguments.frames,
        size=arguments.size,
    )
    _save(learned, arguments, pipe)
    if isinstance(method, Inversion):
        # Its file is a motion as ours are, and would be used as ours are.
        named = {
            name.removeprefix("num_").replace("_", "-"): value
            for name, value in method.sampling.items()
        }
        options = " ".join(f"--{name} {value}" for name, value in named.items())
        print(f"as published, `kinema generate` with it takes {options}")


def _save(learned: Any, arguments: argparse.Namespace, pipe: Any) -> None:
    """Write what was learned, and a gif of the clip beside it unless there shall be none."""
    import torch

    output = arguments.output
    learned.save(
        output,
        dtype=torch.float16 if arguments.half else None,
        preview=None if arguments.no_preview else _reference(arguments, pipe),
    )
    print(f"{learned!r}")
    print(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB)")


def _settings(arguments: argparse.Namespace) -> Any:
    from kinema.motion_inversion.settings import settings_of

    chosen = settings_of(arguments.settings)
    return dataclasses.replace(chosen, compile_layers=arguments.compile, **_given(arguments))


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line speaks of."""
    return {
        name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None
    }


def _reference(arguments: argparse.Namespace, pipe: Any) -> Any:
    """The clip as the model sees it, `(T, 3, H, W)` in [0, 1]."""
    from kinema.motion_inversion import fitted_reference

    return fitted_reference(
        pipe, arguments.video, num_frames=arguments.frames, size=arguments.size
    ).video
