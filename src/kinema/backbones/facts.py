"""What is known about each backbone: the clips it takes, where its head is, where weights lie."""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from kinema.errors import InputError

_ZOO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class BackboneFacts:
    """What a data loader and a motion prompt must know of a video classifier.

    The rows of the table describe the backbones as their weights were trained; `facts_of` describes
    a module as it was built. For a module of your own, `BackboneFacts(num_frames=16, size=112,
    head="fc")` and whatever differs from the defaults below is enough.

    name: of the row; of a module, its class.
    num_frames: frames in a clip; SlowFast's fast pathway takes all of them.
    size: side of the square crops in training.
    layout, mean, std: order of a clip's axes, and the normalisation of frames in [0, 1].
    head, head_width: name and input width of the linear layer that gives the logits.
    num_classes: logits.
    frame_ratio: fast frames for one slow frame, where the backbone takes the pair [slow, fast].
    frame_stride: frames of a 30 frames-per-second video from one frame of the clip to the next.
    test_size: side of the crops behind the published accuracy.
    num_parameters: with `num_classes` classes.
    unused: name of the part that a classification never passes through, which cannot learn.
    url: of the weights; `sha256` is None where no published hash is known.
    hub_id: of the weights, where they come from the Hugging Face hub.
    trained_on: the name under which `weights=` knows either.
    """

    name: str = "backbone"
    num_frames: int
    size: int
    layout: str = "BCTHW"
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
    head: str | None = None
    head_width: int | None = None
    num_classes: int | None = 400
    frame_ratio: int | None = None
    frame_stride: int | None = None
    test_size: int | None = None
    num_parameters: int | None = None
    unused: str | None = None
    url: str | None = None
    sha256: str | None = None
    hub_id: str | None = None
    trained_on: str = "k400"

    @property
    def clip_format(self) -> dict[str, Any]:
        """Layout, mean and std as `MotionPrompt(**facts.clip_format)` takes them."""
        return {"layout": self.layout, "mean": self.mean, "std": self.std}


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
            frame_ratio=4,
            num_parameters=34_566_488,
            url=f"{_ZOO}/SLOWFAST_8x8_R50.pyth",
        ),
        _x3d_facts("x3d_xs", num_frames=4, frame_stride=12, size=160, test_size=182),
        _x3d_facts("x3d_s", num_frames=13, frame_stride=6, size=160, test_size=182),
        _x3d_facts("x3d_m", num_frames=16, frame_stride=5, size=224, test_size=256),
        BackboneFacts(
            name="timesformer",
            num_frames=8,
            frame_stride=32,
            size=224,
            layout="BTCHW",
            head="classifier",
            head_width=768,
            num_parameters=121_566_352,
            hub_id="facebook/timesformer-base-finetuned-k400",
        ),
        BackboneFacts(
            name="videomae",
            num_frames=16,
            frame_stride=4,
            size=224,
            layout="BTCHW",
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            head="classifier",
            head_width=768,
            num_parameters=86_534_800,
            hub_id="MCG-NJU/videomae-base-finetuned-kinetics",
        ),
        BackboneFacts(
            name="vivit",
            num_frames=32,
            frame_stride=2,
            size=224,
            layout="BTCHW",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            head="classifier",
            head_width=768,
            num_parameters=88_954_000,
            hub_id="google/vivit-b-16x2-kinetics400",
        ),
        BackboneFacts(
            name="vjepa2",
            num_frames=16,
            size=256,
            layout="BTCHW",
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            head="classifier",
            head_width=1024,
            num_classes=174,
            num_parameters=375_485_998,
            unused="vjepa2.predictor",
            hub_id="facebook/vjepa2-vitl-fpc16-256-ssv2",
            trained_on="ssv2",
        ),
    )
}
"""The table, by name."""

# Classes of this package and of transformers, and the row that each is built from.
_ROW_OF_CLASS = {
    "SlowFast": "slowfast_r50",
    "X3D": "x3d_s",
    "TimesformerForVideoClassification": "timesformer",
    "VideoMAEForVideoClassification": "videomae",
    "VivitForVideoClassification": "vivit",
    "VJEPA2ForVideoClassification": "vjepa2",
}


def facts_of(backbone: str | nn.Module) -> BackboneFacts:
    """The facts of a backbone: a row of the table by name, or those of a module as it was built.

    A module is recognised by its class, which is one of ours or of transformers, or made from one;
    frames, size, classes and parameters are its own, while normalisation is that of the class's
    published weights: where yours were trained with another, `dataclasses.replace` the facts. No
    weights are named for a module.

    Raises:
        InputError: the name or class is not in the table; the message lists those that are.
    """
    if isinstance(backbone, str):
        try:
            return FACTS[backbone]
        except KeyError:
            raise InputError(
                f"backbone {backbone!r} is not known; expected one of {', '.join(FACTS)}"
            ) from None
    facts = known_facts(backbone)
    if facts is None:
        raise InputError(
            f"a {type(backbone).__name__} is not in the table of backbones; expected one of "
            f"{', '.join(_ROW_OF_CLASS)}: say yourself what it takes, with "
            "BackboneFacts(num_frames=..., size=..., head=...)"
        )
    return facts


def known_facts(module: nn.Module) -> BackboneFacts | None:
    """`facts_of` a module, or None where its class is not in the table."""
    row, num_frames = row_of(module), num_frames_of(module)
    if row is None or num_frames is None:
        return None
    head = module.get_submodule(str(row.head))
    shape = (head.in_features, head.out_features) if isinstance(head, nn.Linear) else (None, None)
    return replace(
        row,
        name=type(module).__name__,
        num_frames=num_frames,
        size=_size_of(module),
        frame_ratio=getattr(module, "frame_ratio", None),
        head_width=shape[0],
        num_classes=shape[1],
        num_parameters=sum(parameter.numel() for parameter in module.parameters()),
        frame_stride=None,
        test_size=None,
        url=None,
        sha256=None,
        hub_id=None,
    )


def row_of(module: nn.Module) -> BackboneFacts | None:
    """The row that a module's class belongs to, subclasses included."""
    for kind in type(module).__mro__:
        # PySlowFast, for one, has classes of the same names that are built otherwise.
        library = kind.__module__.partition(".")[0]
        if kind.__name__ in _ROW_OF_CLASS and library in ("kinema", "transformers"):
            return FACTS[_ROW_OF_CLASS[kind.__name__]]
    return None


def num_frames_of(module: nn.Module) -> int | None:
    """Frames that a backbone of the table takes as it stands now, None for any other module."""
    row = row_of(module)
    if row is None:
        return None
    if row.hub_id is None:
        return int(module.num_frames)  # type: ignore[arg-type]
    config: Any = module.config
    return int(config.frames_per_clip if row.name == "vjepa2" else config.num_frames)


def _size_of(module: nn.Module) -> int:
    row = row_of(module)
    if row is None or row.hub_id is None:
        return int(module.size)  # type: ignore[arg-type]
    config: Any = module.config
    size = config.crop_size if row.name == "vjepa2" else config.image_size
    return int(size if isinstance(size, int) else size[0])
