"""The output that transformers' `Trainer` reads; imported only where labels are given."""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput


@dataclass
class LabelledOutput(ModelOutput):
    """What a classifier with motion prompts makes of a clip and its labels.

    loss: cross entropy plus penalty times variation.
    logits, variation, attention: as in `MotionPromptClassifierOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    variation: Tensor | None = None
    attention: Tensor | None = None


def trainer_config() -> PreTrainedConfig:
    """A configuration that lets an evaluation collect logits only, not every attention map."""
    config = PreTrainedConfig()
    config.keys_to_ignore_at_inference = ["variation", "attention"]
    return config
