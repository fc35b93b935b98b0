"""What is known about each backbone: the clips it takes, where its head is, where weights lie."""

from dataclasses import dataclass

from kinema.errors import InputError

_ZOO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"


@dataclass(frozen=True)
class BackboneFacts:
    """One backbone as it was trained on Kinetics-400.

    name: of the function that makes it.
    num_frames: frames in a clip; SlowFast's fast pathway takes all of them.
    frame_stride: frames of a 30 frames-per-second video from one frame of the clip to the next.
    size: side of the square crops in training.
    test_size: side of the crops behind the published accuracy.
    head, head_width: name and input width of the linear layer that gives the logits.
    num_parameters: with `num_classes` classes.
    url: of the weights; `sha256` is None where no published hash is known.
    layout, mean, std: order of a clip's axes, and the normalisation of frames in [0, 1].
    """

    name: str
    num_frames: int
    frame_stride: int
    size: int
    test_size: int
    head: str
    head_width: int
    num_parameters: int
    url: str
    sha256: str | None = None
    num_classes: int = 400
    layout: str = "BCTHW"
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)


def _x3d_facts(
    name: str, *, num_frames: int, frame_stride: int, size: int, test_size: int
) -> BackboneFacts:
    return BackboneFacts(
        name=name,
        num_frames=num_frames,
        frame_stride=frame_stride,
        size=size,
        test_size=test_size,
        head="blocks.5.proj",
        head_width=2048,
        num_parameters=3_794_274,
        url=f"{_ZOO}/{name.upper()}.pyth",
    )


FACTS = {
    facts.name: facts
    for facts in (
        BackboneFacts(
            name="slowfast_r50",
            num_frames=32,
            frame_stride=2,
            size=224,
            test_size=256,
            head="blocks.6.proj",
            head_width=2304,
            num_parameters=34_566_488,
            url=f"{_ZOO}/SLOWFAST_8x8_R50.pyth",
        ),
        _x3d_facts("x3d_xs", num_frames=4, frame_stride=12, size=160, test_size=182),
        _x3d_facts("x3d_s", num_frames=13, frame_stride=6, size=160, test_size=182),
        _x3d_facts("x3d_m", num_frames=16, frame_stride=5, size=224, test_size=256),
    )
}
"""The table, by name."""


def facts_of(name: str) -> BackboneFacts:
    """The row of the table.

    Raises:
        InputError: the name is not in the table; the message lists those that are.
    """
    try:
        return FACTS[name]
    except KeyError:
        raise InputError(
            f"backbone {name!r} is not known; expected one of {', '.join(FACTS)}"
        ) from None
