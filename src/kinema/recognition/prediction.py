"""What a classifier predicts of videos, by one process or by several."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from kinema.datasets import ClipDataset, ClipLoader, collate
from kinema.errors import InputError
from kinema.motion_prompt import MotionPromptClassifier, from_canonical
from kinema.precision import computing_in


@dataclass(frozen=True)
class Prediction:
    """Class probabilities (N, K) float32 of N clips, their labels (N,) and indices (N,)."""

    probabilities: Tensor
    labels: Tensor
    indices: Tensor


def predict(
    model: MotionPromptClassifier,
    clips: ClipDataset,
    *,
    batch_size: int,
    num_workers: int = 0,
    precision: str = "fp32",
    progress: bool = False,
) -> Prediction:
    """Predict the classes of videos: the mean, over a video's views, of the softmax of its logits.

    Args:
        model: is set to eval mode and left so.
        clips: items as of `kinema.datasets.VideoDataset`, with "pixel_values" (T, C, H, W) or, of
            V views, (V, T, C, H, W).
        batch_size: videos that the model sees at a time, with all their views.
        num_workers: processes that read.
        precision: "fp32" or "bf16".
        progress: show a bar.

    Raises:
        InputError: none of the videos can be read, or the model's logits are not finite.
    """
    part = predict_share(
        model,
        clips,
        batch_size=batch_size,
        num_workers=num_workers,
        precision=precision,
        progress=progress,
    )
    return joined([part], clips)


@torch.no_grad()
def predict_share(
    model: MotionPromptClassifier,
    clips: ClipDataset,
    *,
    batch_size: int,
    num_workers: int,
    precision: str,
    process: int = 0,
    num_processes: int = 1,
    progress: bool = False,
) -> Prediction | None:
    """Predict one process's share of the videos; None where none of them can be read.

    Args:
        process, num_processes: the share is every `num_processes`-th video, from `process` on.
        model, clips, batch_size, num_workers, precision, progress: as of `predict`.

    Raises:
        InputError: the model's logits are not finite.
    """
    device = next(model.parameters()).device
    model.eval()
    loader = ClipLoader(
        clips,
        batch_size=batch_size,
        sampler=range(process, len(clips), num_processes),
        num_workers=num_workers,
        collate_fn=collate,
        generator=torch.Generator(),
    )
    probabilities, labels, indices = [], [], []
    for batch in tqdm(loader, desc="evaluate", unit="batch", disable=None if progress else True):
        if not len(batch["labels"]):
            continue
        views = batch["pixel_values"].to(device, non_blocking=True)
        num_views = views.shape[1] if views.ndim == 6 else 1
        with computing_in(precision, device):
            clip = views.flatten(0, 1) if views.ndim == 6 else views
            logits = model(from_canonical(clip, model.prompt.layout)).logits
        if not logits.isfinite().all():
            raise InputError(
                "the model gives logits that are not finite, so its training diverged; train it "
                "again with a smaller learning_rate"
            )
        shares = logits.float().softmax(dim=-1).unflatten(0, (-1, num_views)).mean(dim=1)
        probabilities.append(shares.cpu())
        labels.append(batch["labels"])
        indices.append(batch["index"])
    if not probabilities:
        return None
    return Prediction(torch.cat(probabilities), torch.cat(labels), torch.cat(indices))


def joined(parts: Sequence[Prediction | None], clips: ClipDataset) -> Prediction:
    """Join the shares of all processes.

    Raises:
        InputError: nobody could read any of the videos.
    """
    there = [part for part in parts if part is not None]
    if not there:
        said = clips.errors[0] if clips.errors else "there are none"
        raise InputError(f"none of the test clips can be read: {said}")
    return Prediction(
        torch.cat([each.probabilities for each in there]),
        torch.cat([each.labels for each in there]),
        torch.cat([each.indices for each in there]),
    )
