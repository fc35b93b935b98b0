"""A motion prompt before a video classifier: prompt, backbone and regulariser as one model."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.motion_prompt.layer import MotionPrompt
from kinema.motion_prompt.layout import to_canonical
from kinema.motion_prompt.validation import check_clip


class MotionPromptClassifierOutput(NamedTuple):
    """What a classifier with motion prompts makes of a clip.

    logits: as the backbone gives them, `(B, num_classes)`.
    variation: the temporal attention variation, a scalar.
    attention: `(B, T-1, H, W)`.
    """

    logits: Tensor
    variation: Tensor
    attention: Tensor


class MotionPromptClassifier(nn.Module):
    """A motion prompt followed by a backbone that is called as it is, unchanged.

    `model.backbone` is the very module that was given: taking it out again gives it back.
    Make one with `with_motion_prompt`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        prompt: MotionPrompt,
        *,
        num_frames: int | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        if num_frames is not None and num_frames < 1:
            raise InputError(
                f"num_frames is {num_frames}; expected the number of frames the backbone takes, 1 "
                "or more"
            )
        self.prompt = prompt
        self.backbone = backbone
        self.num_frames = num_frames
        self.check_finite = check_finite

    def forward(self, clip: Tensor) -> MotionPromptClassifierOutput:
        """Classify a normalised clip.

        Args:
            clip: RGB video in the prompt's layout, one frame more than the backbone takes.

        Raises:
            InputError: the clip does not suit the prompt, has another number of frames than
                `num_frames + 1`, or (in eager mode) holds NaN or infinite values; or the
                backbone returns neither a tensor nor an output with logits.
        """
        self._check(clip)
        prompted = self.prompt(clip)
        logits = _logits(self.backbone(prompted.video))
        return MotionPromptClassifierOutput(logits, prompted.variation, prompted.attention)

    def loss(self, output: MotionPromptClassifierOutput, labels: Tensor) -> Tensor:
        """Cross entropy plus `penalty` times the variation.

        Args:
            output: of `forward`.
            labels: `(B,)`, class indices.
        """
        return F.cross_entropy(output.logits, labels) + self.prompt.penalty * output.variation

    def _check(self, clip: Tensor) -> None:
        # Values cannot be asked for in a graph that is being captured; shapes can.
        if self.check_finite and not torch.compiler.is_compiling():
            check_clip(clip, layout=self.prompt.layout)
        if self.num_frames is None:
            return
        given, expected = to_canonical(clip, self.prompt.layout).shape[1], self.num_frames + 1
        if given != expected:
            raise InputError(
                f"the clip has {given} frames; this backbone takes {self.num_frames} and the "
                f"motion prompt uses up one, so it needs {expected}: sample {expected} frames"
            )


def with_motion_prompt(
    backbone: nn.Module,
    *,
    prompt: MotionPrompt | None = None,
    num_frames: int | None = None,
    check_finite: bool = True,
) -> MotionPromptClassifier:
    """Put a motion prompt before any video classifier.

    Args:
        backbone: a module from a video to logits `(B, num_classes)`, or to an output of
            transformers with `.logits`. It is neither copied nor changed.
        prompt: the layer, in the backbone's layout and normalisation; by default
            `MotionPrompt()` on the backbone's device.
        num_frames: the number T of frames the backbone takes. Clips must then have T+1, and any
            other count is refused before the backbone sees it.
        check_finite: refuse clips that hold NaN or infinite values, in eager mode. On an
            accelerator this waits for the clip once a step; False spares the wait.

    Raises:
        InputError: num_frames is below 1.
    """
    if prompt is None:
        prompt = MotionPrompt()
        parameter = next(backbone.parameters(), None)
        if parameter is not None:
            prompt.to(parameter.device)
    return MotionPromptClassifier(
        backbone, prompt, num_frames=num_frames, check_finite=check_finite
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
