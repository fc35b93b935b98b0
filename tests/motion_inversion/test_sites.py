import pytest
import torch

from kinema.errors import InputError
from kinema.motion_inversion.parameters import QUERY_KEY, VALUE, new_embeddings
from kinema.motion_inversion.sites import LAYOUTS, denoiser, find_sites, plain_model
from tests.motion_inversion.tiny import LATENT_SIZE, TINY, Tiny, each_tiny, output


def _zeroscope() -> torch.nn.Module:
    """The U-Net of cerspense/zeroscope_v2_576w, by its published configuration."""
    from diffusers import UNet3DConditionModel

    with torch.device("meta"):
        return UNet3DConditionModel(
            act_fn="silu",
            attention_head_dim=64,
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=1024,
            down_block_types=(
                "CrossAttnDownBlock3D",
                "CrossAttnDownBlock3D",
                "CrossAttnDownBlock3D",
                "DownBlock3D",
            ),
            downsample_padding=1,
            in_channels=4,
            layers_per_block=2,
            mid_block_scale_factor=1,
            norm_eps=1e-05,
            norm_num_groups=32,
            out_channels=4,
            sample_size=32,
            up_block_types=(
                "UpBlock3D",
                "CrossAttnUpBlock3D",
                "CrossAttnUpBlock3D",
                "CrossAttnUpBlock3D",
            ),
        )


def _animatediff() -> torch.nn.Module:
    """Stable Diffusion 1.5 with guoyww/animatediff-motion-adapter-v1-5-2, as published."""
    from diffusers import UNetMotionModel

    with torch.device("meta"):
        return UNetMotionModel(
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=768,
            layers_per_block=2,
            motion_max_seq_length=32,
            motion_num_attention_heads=8,
            norm_num_groups=32,
            num_attention_heads=8,
            sample_size=64,
            use_motion_mid_block=True,
        )


def _numbers(tensors: dict[str, torch.Tensor], kind: str) -> int:
    return sum(tensor.numel() for name, tensor in tensors.items() if name.startswith(kind))


def test_zeroscope_has_the_sites_and_the_numbers_of_the_paper():
    sites = find_sites(_zeroscope())
    assert [site.name for site in sites] == [
        f"{level}.temp_attentions.{layer}.transformer_blocks.0.attn{which}"
        for level, layers in (("down_blocks.2", 2), ("up_blocks.1", 3))
        for layer in range(layers)
        for which in (1, 2)
    ]
    assert {site.channels for site in sites} == {1280}
    assert {site.grid((320 // 8, 576 // 8)) for site in sites} == {(10, 18)}
    tensors = new_embeddings(sites, num_frames=32, latent_size=(40, 72), device="meta")
    assert _numbers(tensors, QUERY_KEY) == 204_800
    assert _numbers(tensors, VALUE) == 73_728_000


def test_a_coarse_or_low_rank_motion_is_a_file_one_can_mail():
    sites = find_sites(_zeroscope())
    numbers = {
        form: _numbers(
            new_embeddings(sites, num_frames=24, latent_size=(40, 72), value=form, device="meta"),
            "value",
        )
        for form in ("full", "coarse", "low-rank", "none")
    }
    # 10x18 places become 3x5; rank 8 keeps 8 directions and 8 scores a place and frame.
    assert numbers == {
        "full": 10 * 180 * 24 * 1280,
        "coarse": 10 * 15 * 24 * 1280,
        "low-rank": 10 * 8 * (180 * 24 + 1280),
        "none": 0,
    }
    # With the query-keys of five blocks and the clip's own noise, in float16.
    numbers_in_file = numbers["low-rank"] + 5 * 24 * 1280 + 4 * 24 * 40 * 72
    assert 2 * numbers_in_file < 2_000_000


def test_all_of_zeroscope_counts_every_level():
    sites = find_sites(_zeroscope(), blocks="all")
    # transformer_in, down 3 x 2, mid 1, up 3 x 3 blocks, two attentions each.
    assert len(sites) == 2 * (1 + 6 + 1 + 9)
    assert sum(site.block.startswith("mid_block") for site in sites) == 2
    assert {site.grid((41, 71)) for site in sites if "up_blocks.3" in site.block} == {(41, 71)}
    assert {site.grid((41, 71)) for site in sites if "up_blocks.2" in site.block} == {(21, 36)}
    assert {site.grid((41, 71)) for site in sites if "up_blocks.1" in site.block} == {(11, 18)}
    assert {site.grid((41, 71)) for site in sites if "mid" in site.block} == {(6, 9)}


def test_animatediff_has_ten_wide_blocks_on_two_levels():
    sites = find_sites(_animatediff())
    blocks = list(dict.fromkeys(site.block for site in sites))
    assert blocks == [
        f"{level}.motion_modules.{layer}.transformer_blocks.0"
        for level, layers in (
            ("down_blocks.2", 2),
            ("down_blocks.3", 2),
            ("up_blocks.0", 3),
            ("up_blocks.1", 3),
        )
        for layer in range(layers)
    ]
    assert len(sites) == 20
    grids = [site.grid((64, 64)) for site in sites]
    assert grids.count((16, 16)) == grids.count((8, 8)) == 10
    tensors = new_embeddings(sites, num_frames=16, latent_size=(64, 64), device="meta")
    assert _numbers(tensors, QUERY_KEY) == 10 * 16 * 1280
    assert _numbers(tensors, VALUE) == 10 * (256 + 64) * 16 * 1280


@each_tiny
def test_every_grid_is_the_one_that_the_attention_sees(tiny: Tiny):
    # Odd sizes too: a U-Net rounds up where it halves. Latte wants whole patches.
    latent_size = LATENT_SIZE if tiny.kind.startswith("Latte") else (9, 13)
    model = tiny.model(torch.float32)
    seen: dict[str, int] = {}
    sites = find_sites(model, blocks="all")
    for site in sites:
        model.get_submodule(site.name).register_forward_pre_hook(
            lambda module, args, name=site.name: seen.__setitem__(name, len(args[0]))
        )
    output(model, tiny.inputs(torch.float32, batch_size=2, latent_size=latent_size))
    for site in sites:
        height, width = site.grid(latent_size)
        assert seen[site.name] == 2 * height * width


@each_tiny
def test_every_temporal_attention_is_found(tiny: Tiny):
    sites = {site.name for site in find_sites(tiny.model(torch.float32), blocks="all")}
    model = tiny.model(torch.float32)
    seen = set()
    for name, module in model.named_modules():
        if name.endswith(("attn1", "attn2")):
            module.register_forward_pre_hook(
                lambda module, args, kwargs, name=name: (
                    seen.add(name)
                    if args[0].shape[1] == 5 and kwargs.get("encoder_hidden_states") is None
                    else None
                ),
                with_kwargs=True,
            )
    # 5 frames, and no other axis of 5 anywhere: what attends over 5 attends over time. I2VGenXL's
    # encoder of the given image attends over time before the denoiser proper, and is not motion's.
    output(model, tiny.inputs(torch.float32))
    assert sites == {name for name in seen if not name.startswith("image_latents")}


def test_blocks_are_chosen_by_a_regular_expression():
    model = TINY[0].model(torch.float32)
    sites = find_sites(model, blocks=r"up_blocks\.\d+\.temp_attentions\.1")
    assert {site.block for site in sites} == {
        "up_blocks.1.temp_attentions.1.transformer_blocks.0",
        "up_blocks.2.temp_attentions.1.transformer_blocks.0",
    }


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ("up_blocks.(", "is no regular expression"),
        ("left_blocks", "fits no temporal attention of this model.*transformer_in"),
    ],
)
def test_a_pattern_that_finds_nothing_is_refused(blocks: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        find_sites(TINY[0].model(torch.float32), blocks=blocks)


def test_another_class_of_model_is_refused_with_the_supported_ones():
    with pytest.raises(InputError, match=r"denoises with a Linear.*UNet3DConditionModel, I2VGen"):
        find_sites(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="str has no denoiser"):
        denoiser("a model")
    assert len(LAYOUTS) == len(TINY)


def test_a_compiled_model_is_looked_into():
    model = TINY[1].model(torch.float32)
    compiled = torch.compile(model, backend="eager")
    assert plain_model(compiled) is model
    assert find_sites(compiled) == find_sites(model)
