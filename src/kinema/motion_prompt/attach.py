"""A motion prompt before a video classifier: prompt, backbone and regulariser as one model."""

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.backbones import BackboneFacts, known_facts, num_frames_of, set_num_frames
from kinema.errors import InputError
from kinema.motion_prompt.front_ends import FrontEnd
from kinema.motion_prompt.layer import MotionPrompt
from kinema.motion_prompt.layout import to_canonical
from kinema.motion_prompt.pathways import check_pathways, pack_pathways
from kinema.motion_prompt.validation import check_clip

if TYPE_CHECKING:
    from kinema.motion_prompt.trainer_output import LabelledOutput

logger = logging.getLogger(__name__)


class MotionPromptClassifierOutput(NamedTuple):
    """What a classifier with motion prompts makes of a clip.

    logits: as the backbone gives them, `(B, num_classes)`.
    variation: the temporal attention variation, a scalar.
    attention: `(B, T, H, W)`, T being the backbone's number of frames.
    """

    logits: Tensor
    variation: Tensor
    attention: Tensor


class MotionPromptClassifier(nn.Module):
    """A motion prompt followed by a backbone that is called as it is, unchanged.

    `model.backbone` is the very module that was given: taking it out again gives it back.
    `model.facts` is what is known of it, or None. Make one with `with_motion_prompt`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        prompt: FrontEnd,
        *,
        num_frames: int | None = None,
        pathways: str = "both",
        facts: BackboneFacts | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        if num_frames is not None and num_frames < 1:
            raise InputError(
                f"num_frames is {num_frames}; expected the number of frames the backbone takes, 1 "
                "or more"
            )
        self.frame_ratio = None if facts is None else facts.frame_ratio
        check_pathways(
            pathways,
            frame_ratio=self.frame_ratio,
            layout=prompt.layout,
            backbone=type(backbone).__name__,
        )
        self.prompt = prompt
        self.backbone = backbone
        self.num_frames = num_frames
        self.pathways = pathways
        self.facts = facts
        self.check_finite = check_finite

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> "MotionPromptClassifierOutput | LabelledOutput":
        """Classify a normalised clip.

        Args:
            pixel_values: the clip, RGB video in the prompt's layout, one frame more than the
                backbone takes. The name is that of transformers, whose `Trainer` gives it.
            labels: `(B,)`, class indices. With them the output is the one that `Trainer` reads: a
                `ModelOutput` with `loss` before the same logits, variation and attention.

        Raises:
            InputError: the clip does not suit the prompt, has another number of frames than
                `num_frames + 1`, or (in eager mode) holds NaN or infinite values; or the
                backbone returns neither a tensor nor an output with logits.
        """
        self._check(pixel_values)
        prompted = self.prompt(pixel_values)
        video: Tensor | list[Tensor] = prompted.video
        if self.frame_ratio is not None:
            video = pack_pathways(
                prompted.video, pixel_values, pathways=self.pathways, frame_ratio=self.frame_ratio
            )
        logits = _logits(self.backbone(video))
        output = MotionPromptClassifierOutput(logits, prompted.variation, prompted.attention)
        if labels is None:
            return output
        from kinema.motion_prompt.trainer_output import LabelledOutput

        return LabelledOutput(loss=self.loss(output, labels), **output._asdict())

    def loss(self, output: MotionPromptClassifierOutput, labels: Tensor) -> Tensor:
        """Cross entropy plus `penalty` times the variation.

        Args:
            output: of `forward`.
            labels: `(B,)`, class indices.
        """
        return F.cross_entropy(output.logits, labels) + self.prompt.penalty * output.variation

    def train(self, mode: bool = True) -> Self:
        """Set the mode, but leave batch norms in eval where all their parameters are frozen.

        Otherwise the running statistics of a frozen backbone would move.
        """
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, _BatchNorm):
                # A norm without parameters goes with the backbone that it is in.
                own = list(module.parameters()) or list(self.backbone.parameters())
                if own and not any(parameter.requires_grad for parameter in own):
                    module.eval()
        return self

    @property
    def config(self) -> Any:
        """What `Trainer` reads so that an evaluation keeps logits only, not all attention maps."""
        from kinema.motion_prompt.trainer_output import trainer_config

        return trainer_config()

    def _check(self, clip: Tensor) -> None:
        # Values cannot be asked for in a graph that is being captured; shapes can.
        if self.check_finite and not torch.compiler.is_compiling():
            check_clip(clip, layout=self.prompt.layout)
        if self.num_frames is None:
            return
        now = num_frames_of(self.backbone)
        if now not in (None, self.num_frames):
            raise InputError(
                f"the backbone now takes {now} frames and took {self.num_frames} when the motion "
                f"prompt was attached: attach it again, with num_frames={now}"
            )
        given, expected = to_canonical(clip, self.prompt.layout).shape[1], self.num_frames + 1
        if given != expected:
            raise InputError(
                f"the clip has {given} frames; this backbone takes {self.num_frames} and the "
                f"motion prompt uses up one, so it needs {expected}: sample {expected} frames"
            )


def with_motion_prompt(
    backbone: nn.Module,
    *,
    prompt: FrontEnd | None = None,
    num_frames: int | None = None,
    pathways: str = "both",
    facts: BackboneFacts | None = None,
    check_finite: bool = True,
) -> MotionPromptClassifier:
    """Put a motion prompt before any video classifier.

    Of SlowFast, X3D, and transformers' TimeSformer, VideoMAE, ViViT and V-JEPA 2 it is known how
    clips are laid out and normalised and how many frames they take (`kinema.backbones.facts_of`).
    Of any other module, say so by `facts`, or by `prompt` and `num_frames`.

    Args:
        backbone: a module from a video to logits `(B, num_classes)`, or to an output of
            transformers with `.logits`. It is neither copied nor changed, but for a TimeSformer
            that is asked for another `num_frames`.
        prompt: the layer, in the backbone's layout and normalisation; by default a `MotionPrompt`
            of what is known of the backbone, on its device. `FrameDifference` and `PlainFrames`
            can take its place.
        num_frames: the number T of frames the backbone takes, where it is not known. Clips must
            then have T+1, and any other count is refused before the backbone sees it. A
            TimeSformer asked for another count than its own is set to it, see `set_num_frames`.
        pathways: for SlowFast, which pathways see prompts: "both", "slow" or "fast". The other
            one sees the plain clip without its first frame.
        facts: in place of what the table knows.
        check_finite: refuse clips that hold NaN or infinite values, in eager mode. On an
            accelerator this waits for the clip once a step; False spares the wait.

    Raises:
        InputError: num_frames is below 1 or one that the backbone was not built for, the prompt
            has another layout than the backbone, or the backbone has no such pathways.
    """
    if num_frames is not None and num_frames_of(backbone) is not None:
        set_num_frames(backbone, num_frames)
    facts = known_facts(backbone) if facts is None else facts
    if num_frames is None and facts is not None:
        num_frames = facts.num_frames
    if prompt is None:
        default = MotionPrompt() if facts is None else MotionPrompt(**facts.clip_format)
        parameter = next(backbone.parameters(), None)
        prompt = default if parameter is None else default.to(parameter.device)
    elif facts is not None:
        _check_format(prompt, facts)
    return MotionPromptClassifier(
        backbone,
        prompt,
        num_frames=num_frames,
        pathways=pathways,
        facts=facts,
        check_finite=check_finite,
    )


def _check_format(prompt: FrontEnd, facts: BackboneFacts) -> None:
    if prompt.layout != facts.layout:
        raise InputError(
            f"the prompt's layout is {prompt.layout}; the {facts.name} takes {facts.layout}: make "
            f"it with layout={facts.layout!r}"
        )
    for name in ("mean", "std"):
        given, expected = tuple(getattr(prompt, name)), tuple(getattr(facts, name))
        if given != expected:
            logger.warning(
                "the prompt's %s is %s, that of the %s's weights %s: see to it that clips are "
                "normalised as the prompt says",
                name,
                given,
                facts.name,
                expected,
            )


def _logits(output: object) -> Tensor:
    """The logits of a backbone's output: a tensor, or what transformers returns."""
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise InputError(
            f"the backbone returned a {type(output).__name__}; expected a tensor of logits or an "
            "output with .logits: give a classifier, or wrap the backbone with a head"
        )
    return logits
