"""What CLIP says of videos: do they show their text, and does one frame look like the next?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from kinema.errors import InputError, first_line
from kinema.weights import digest_of_weights

DEFAULT_CLIP = "openai/clip-vit-base-patch32"
"""Scores of different CLIPs do not compare, so a table names the one it was made with."""

_FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class ClipEmbedder:
    """A CLIP of transformers: frames and texts as unit vectors of one space.

    Attributes:
        model: a `CLIPModel`, or a model with its `get_image_features` and `get_text_features`.
        processor: the `CLIPProcessor` that goes with it.
        name: its id or folder.
    """

    model: Any
    processor: Any
    name: str = ""

    @classmethod
    def load(
        cls, source: str = DEFAULT_CLIP, *, device: str | torch.device = "cpu"
    ) -> "ClipEmbedder":
        """Load a CLIP by its id on the Hugging Face hub, or from a folder.

        Raises:
            InputError: there is no such model, or it has no embeddings of images and texts.
        """
        from transformers import AutoModel, AutoProcessor

        try:
            model = AutoModel.from_pretrained(source)
            processor = AutoProcessor.from_pretrained(source)
        # A missing folder, a hub out of reach and an id no one has are all OSErrors there.
        except (OSError, ValueError, AttributeError, ImportError, SafetensorError) as error:
            raise InputError(
                f"no CLIP could be loaded from {source!r} ({first_line(error)}); give the id of "
                f"one on the hub, such as {DEFAULT_CLIP}, or its folder"
            ) from error
        if not callable(getattr(model, "get_image_features", None)) or not callable(
            getattr(model, "get_text_features", None)
        ):
            raise InputError(
                f"{source!r} is a {type(model).__name__}, which does not embed images and texts; "
                f"give a CLIP, such as {DEFAULT_CLIP}"
            )
        return cls(model.to(device).eval(), processor, source)

    def identity(self) -> dict[str, Any]:
        """Return what tells it from another CLIP: its name and a digest of its weights."""
        return {"name": self.name, "weights": digest_of_weights({"clip": self.model})}

    @torch.no_grad()
    def frames(self, video: Tensor) -> Tensor:
        """Return the embedding of each frame.

        Args:
            video: (B, T, 3, H, W) or (T, 3, H, W), floating point RGB in [0, 1].

        Returns:
            Unit vectors (B, T, D) or (T, D), float32 on the CPU.

        Raises:
            InputError: the video has another form.
        """
        if video.ndim not in (4, 5) or video.shape[-3] != 3 or not video.numel():
            raise InputError(
                f"video has shape {tuple(video.shape)}; give (B, T, 3, H, W) or (T, 3, H, W)"
            )
        if not video.is_floating_point():
            raise InputError(f"video is {video.dtype}; give floating point in [0, 1]")
        parts = []
        for part in video.detach().flatten(0, -4).split(_FRAMES_AT_ONCE):
            # Pictures of 8 bits, as CLIP's own resizing and all published scores have them.
            pictures = (255 * part.float().clamp(0, 1)).round().byte().permute(0, 2, 3, 1)
            inputs = self.processor(images=list(pictures.cpu().numpy()), return_tensors="pt")
            pixels = inputs["pixel_values"].to(self.model.device, self.model.dtype)
            parts.append(_unit(self.model.get_image_features(pixel_values=pixels)))
        return torch.cat(parts).unflatten(0, video.shape[:-3])

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embedding of each text, unit vectors (B, D), float32 on the CPU.

        A text longer than CLIP's context, 77 tokens as a rule, is cut off there.
        """
        inputs = self.processor(
            text=list(texts), return_tensors="pt", padding="max_length", truncation=True
        )
        return _unit(self.model.get_text_features(**inputs.to(self.model.device)))


def _unit(features: Any) -> Tensor:
    # transformers 5 wraps the features; models kept by older code give them bare.
    if not isinstance(features, Tensor):
        features = features.pooler_output
    return F.normalize(features.float(), dim=-1).cpu()


def text_similarity(frames: Tensor, text: Tensor) -> Tensor:
    """Return how well videos show their texts, in [-1, 1].

    `1/T sum_t <f_t, w>`, the mean cosine of a video's frames and its text. CLIP's cosines of
    pictures and texts that go together lie about 0.3, of such that do not about 0.2. J. Hessel et
    al., CLIPScore (EMNLP 2021), without its factor and its floor at 0, averaged over frames as in
    J. Z. Wu et al., Tune-A-Video (ICCV 2023).

    Args:
        frames: unit vectors (..., T, D).
        text: unit vectors (..., D).

    Returns:
        (...), one for each video.
    """
    return (frames * text[..., None, :]).sum(dim=-1).mean(dim=-1)


def temporal_consistency(frames: Tensor) -> Tensor:
    """Return how much each frame of a video looks like the next, in [-1, 1].

    `1/(T-1) sum_t <f_t, f_{t+1}>`, the mean cosine of neighbouring frames. A frozen video has 1,
    so it says nothing about motion. P. Esser et al., Gen-1 (ICCV 2023); the mean over all pairs of
    frames that Tune-A-Video takes is another figure.

    Args:
        frames: unit vectors (..., T, D).

    Returns:
        (...), one for each video.

    Raises:
        InputError: there is a single frame.
    """
    if frames.shape[-2] < 2:
        raise InputError("a video of one frame has no next one; give two frames or more")
    return (frames[..., :-1, :] * frames[..., 1:, :]).sum(dim=-1).mean(dim=-1)
