"""Numbers of parameters at real sizes, on the `meta` device."""

import pytest
import torch
from torch import nn

from kinema.peers import motion_director, motion_inversion_v1, vmc
from kinema.peers.lora import factors, low_rank
from tests.motion_inversion.test_sites import _animatediff, _zeroscope


@pytest.fixture(scope="module")
def zeroscope() -> nn.Module:
    return _zeroscope()


@pytest.fixture(scope="module")
def animatediff() -> nn.Module:
    return _animatediff()


def _lora(model: nn.Module, paths: list[str]) -> dict[str, torch.Size]:
    with low_rank(model, paths, rank=32) as layers:
        return {name: factor.shape for name, factor in factors(layers).items()}


def _count(shapes: dict[str, torch.Size]) -> int:
    return sum(shape.numel() for shape in shapes.values())


def test_motiondirector_on_zeroscope_learns_in_the_layers_of_the_released_code(
    zeroscope: nn.Module,
):
    temporal = _lora(zeroscope, motion_director.temporal_layers(zeroscope))
    # 17 temporal transformers: two attentions of four linear layers and two more after them.
    assert len(temporal) == 2 * 17 * 10
    assert round(_count(temporal) / 1e6, 2) == 12.47
    assert {min(shape) for shape in temporal.values()} == {32}
    spatial = _lora(zeroscope, motion_director.spatial_layers(zeroscope))
    # 16 spatial ones, in which the attention to the text stays as it is.
    assert len(spatial) == 2 * 16 * 6
    assert round(_count(spatial) / 1e6, 2) == 8.79
    assert not any("attn2" in name or "proj_" in name for name in spatial if "ff" not in name)
    assert not set(spatial) & set(temporal)


def test_motiondirector_on_animatediff_finds_both_kinds_of_layers(animatediff: nn.Module):
    temporal = motion_director.temporal_layers(animatediff)
    assert len(temporal) == 21 * 10
    assert all(".motion_modules." in path for path in temporal)
    spatial = motion_director.spatial_layers(animatediff)
    assert len(spatial) == 16 * 6
    # Stable Diffusion 1.5 projects in and out by convolutions of one pixel.
    shapes = _lora(animatediff, ["mid_block.attentions.0.proj_in"])
    assert shapes["mid_block.attentions.0.proj_in.lora_A"] == (32, 1280, 1, 1)


def test_vmc_on_zeroscope_tunes_the_published_number_of_weights(zeroscope: nn.Module):
    weights = vmc.tuned_weights(zeroscope)
    assert len(weights) == 16 * 2 * 3
    assert sum(weight.numel() for weight in weights.values()) == 74_342_400
    assert not any(name.startswith("transformer_in") for name in weights)


def test_vmc_on_animatediff_tunes_all_motion_modules(animatediff: nn.Module):
    weights = vmc.tuned_weights(animatediff)
    assert len(weights) == 21 * 2 * 3


def test_version_1_on_zeroscope_has_the_published_size(zeroscope: nn.Module):
    sites = motion_inversion_v1.embedded_sites(zeroscope)
    assert {site.channels for site in sites} == {640, 1280}
    embeddings = motion_inversion_v1.new_embeddings(sites, num_frames=32, device="meta")
    assert sum(embedding.numel() for embedding in embeddings.values()) == 307_200
