"""Each published loss against its formula, frame by frame, in float64."""

import math

import pytest
import torch
from torch import Tensor

from kinema.motion_inversion import denoising_loss
from kinema.peers import difference_loss, residual_loss


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_the_residual_loss_of_the_paper_compares_whole_changes_of_frames():
    predicted, noise = _noise(2, 3, 4, 2, 2), _noise(2, 3, 4, 2, 2, seed=1)
    losses = []
    for video in range(2):
        for frame in range(3):
            a = predicted[video, :, frame + 1] - predicted[video, :, frame]
            b = noise[video, :, frame + 1] - noise[video, :, frame]
            losses.append(1 - _cosine(a.flatten().tolist(), b.flatten().tolist()))
    found = residual_loss(predicted, noise)
    assert found.item() == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def test_the_released_residual_loss_compares_sizes_of_changes_over_frames():
    predicted, noise = _noise(2, 3, 4, 2, 2), _noise(2, 3, 4, 2, 2, seed=1)
    losses = []
    for video in range(2):
        for channel in range(3):
            for row in range(2):
                for column in range(2):
                    lines = [
                        each[video, channel, :, row, column].tolist() for each in (predicted, noise)
                    ]
                    a, b = ([abs(line[f + 1] - line[f]) for f in range(3)] for line in lines)
                    losses.append(1 - _cosine(a, b))
    found = residual_loss(predicted, noise, form="released")
    assert found.item() == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def test_residual_losses_see_changes_alone_and_the_released_one_no_signs():
    noise = _noise(1, 3, 4, 2, 2)
    moved = 2 * noise + _noise(1, 3, 1, 2, 2, seed=1)
    for form in ("paper", "released"):
        assert residual_loss(moved, noise, form=form).item() == pytest.approx(0, abs=1e-6)
    assert residual_loss(-noise, noise).item() == pytest.approx(2, abs=1e-6)
    assert residual_loss(-noise, noise, form="released").item() == pytest.approx(0, abs=1e-6)


def test_the_difference_loss_of_dmt_is_the_mean_over_all_pairs_of_frames():
    features, source = _noise(4, 5), _noise(4, 5, seed=1)
    total = 0.0
    for anchor in range(4):
        cosines = 0.0
        for frame in range(4):
            a, b = (each[frame] - each[anchor] for each in (features, source))
            cosines += 0.0 if frame == anchor else _cosine(a.tolist(), b.tolist())
        total += 1 - cosines / 4
    assert difference_loss(features, source).item() == pytest.approx(total / 4, abs=1e-9)
    assert difference_loss(source, source).item() == pytest.approx(1 / 4, abs=1e-9)


def test_the_difference_loss_has_finite_gradients_at_frames_that_are_alike():
    features = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    difference_loss(features, _noise(3, 5)).backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_the_debiased_loss_of_motiondirector_takes_a_frame_from_all():
    prediction, target = _noise(1, 3, 4, 2, 2), _noise(1, 3, 4, 2, 2, seed=1)
    anchor, beta = 2, 0.7

    def phi(video: Tensor, frame: int) -> Tensor:
        return math.sqrt(beta**2 + 1) * video[:, :, frame] - beta * video[:, :, anchor]

    plain = sum(((prediction[:, :, f] - target[:, :, f]) ** 2).mean().item() for f in range(4))
    debiased = sum(((phi(prediction, f) - phi(target, f)) ** 2).mean().item() for f in range(4))
    found = denoising_loss(prediction, target, objective="debiased", anchor=anchor, beta=beta)
    assert found.item() == pytest.approx((plain + debiased) / 4, rel=1e-12)
