from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.errors import InputError
from kinema.motion_inversion import Motion, Origin, find_sites, generate
from kinema.motion_inversion.denoising import default_size
from kinema.motion_inversion.origin import attentions_of
from kinema.motion_inversion.parameters import new_embeddings
from kinema.motion_inversion.sites import denoiser
from tests.motion_inversion.clip import PROMPT
from tests.motion_inversion.tiny import TINY

FAST = {"num_steps": 2, "num_frames": 4}


def _motion(pipe: Any, *, seed: int = 0, latents: bool = False) -> Motion:
    model = denoiser(pipe)
    generator = torch.Generator().manual_seed(seed)
    tensors = new_embeddings(find_sites(model), num_frames=4, latent_size=(8, 8))
    origin = Origin(type(model).__name__, attentions_of(model), 4, (8, 8))
    return Motion(
        {name: torch.randn(t.shape, generator=generator) for name, t in tensors.items()},
        origin,
        torch.randn(6, 4, 8, 8, generator=generator) if latents else None,
    )


def test_without_a_motion_it_is_the_pipeline(pipe: Any):
    latents = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(7))[None]
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        PROMPT,
        num_frames=4,
        num_inference_steps=2,
        guidance_scale=5.0,
        latents=latents,
        output_type="pt",
    ).frames[0]
    found = generate(pipe, PROMPT, seed=7, guidance=5.0, **FAST)
    assert found.shape == (4, 3, 64, 64)
    assert torch.equal(found, expected)


def test_the_same_seed_is_the_same_pixels_and_another_is_not(pipe: Any):
    motion = _motion(pipe, latents=True)
    arguments = {"motion": motion, "noise": "blend", "num_steps": 2}
    first = generate(pipe, PROMPT, seed=1, **arguments)
    assert torch.equal(generate(pipe, PROMPT, seed=1, **arguments), first)
    assert not torch.equal(generate(pipe, PROMPT, seed=2, **arguments), first)
    assert first.min() >= 0
    assert first.max() <= 1
    assert not denoiser(pipe)._forward_pre_hooks


def test_a_motion_changes_the_video_as_its_arguments_say(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    motion = _motion(pipe)
    plain = generate(pipe, PROMPT, **FAST)
    moved = generate(pipe, PROMPT, motion=motion, **FAST)
    assert not torch.equal(moved, plain)
    assert torch.equal(generate(pipe, PROMPT, motion=motion, strength=0.0, **FAST), plain)
    with motion.on(pipe, value="raw", query_key=0.5, window=(0.0, 0.5), branch="conditional"):
        expected = generate(pipe, PROMPT, **FAST)
    found = generate(
        pipe,
        PROMPT,
        motion=motion,
        value="raw",
        query_key=0.5,
        window=(0.0, 0.5),
        branch="conditional",
        **FAST,
    )
    assert torch.equal(found, expected)
    assert not torch.equal(found, moved)


def test_several_motions_have_weights(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    a, b = _motion(pipe), _motion(pipe, seed=1)
    pair = generate(pipe, PROMPT, motion=[(a, 0.5), (b, 0.25)], **FAST)
    both = generate(pipe, PROMPT, motion=0.5 * a + 0.25 * b, **FAST)
    torch.testing.assert_close(pair, both, atol=1e-3, rtol=0)
    assert torch.equal(
        generate(pipe, PROMPT, motion=[(a, 0.5), (b, 0)], **FAST),
        generate(pipe, PROMPT, motion=[(a, 0.5)], **FAST),
    )
    assert torch.equal(
        generate(pipe, PROMPT, motion=[(a, 0.5)], query_key=1.0, value_strength=0.4, **FAST),
        generate(pipe, PROMPT, motion=a, query_key=0.5, value_strength=0.2, **FAST),
    )


def test_length_and_size_are_the_motions_unless_said(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    motion = _motion(pipe)
    assert generate(pipe, PROMPT, motion=motion, num_steps=1).shape == (4, 3, 64, 64)
    other = generate(pipe, PROMPT, motion=motion, num_steps=1, num_frames=6, size=(64, 128))
    assert other.shape == (6, 3, 64, 128)
    assert generate(pipe, PROMPT, num_steps=1).shape == (16, 3, 64, 64)


def test_the_starting_noise_holds_the_clips_own(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    motion = _motion(pipe, latents=True)
    seen: list[torch.Tensor] = []
    hook = denoiser(pipe).register_forward_pre_hook(lambda module, args: seen.append(args[0][-1]))
    generate(pipe, PROMPT, motion=motion, num_steps=1, noise="blend", noise_share=1.0)
    generate(pipe, PROMPT, motion=motion, num_steps=1, noise="frequency", noise_cutoff=2.0)
    generate(pipe, PROMPT, motion=motion, num_steps=1)
    hook.remove()
    assert motion.inverted_latents is not None
    assert torch.equal(seen[0], motion.inverted_latents)
    torch.testing.assert_close(seen[1], motion.inverted_latents, atol=1e-5, rtol=0)
    assert not torch.allclose(seen[2], motion.inverted_latents)


def test_the_pipelines_own_arguments_go_through(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    plain = generate(pipe, PROMPT, **FAST)
    assert not torch.equal(generate(pipe, PROMPT, negative_prompt="a red circle", **FAST), plain)


def test_the_progress_bar_is_left_as_it_was(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    pipe.set_progress_bar_config(disable=False, desc="mine")
    generate(pipe, PROMPT, **FAST)
    assert pipe._progress_bar_config == {"disable": False, "desc": "mine"}
    pipe.set_progress_bar_config(disable=True)


def test_offloaded_models_take_a_motion(untrained_weights: Any):
    from accelerate import cpu_offload

    from kinema.sprites import animatediff

    pipe = animatediff(weights=untrained_weights)
    motion = _motion(pipe)
    expected = generate(pipe, PROMPT, motion=motion, **FAST)
    # Weights are on no device at all but while their own layer runs.
    cpu_offload(pipe.unet, execution_device="cpu")
    assert any(parameter.is_meta for parameter in pipe.unet.parameters())
    with motion.on(pipe.unet):
        latents = torch.randn(2, 6, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        text = torch.zeros(8, 20, 96)
        offloaded = pipe.unet(latents, torch.tensor(500), encoder_hidden_states=text).sample
    again = animatediff(weights=untrained_weights)
    with motion.on(again.unet):
        plain = again.unet(latents, torch.tensor(500), encoder_hidden_states=text).sample
    assert torch.equal(offloaded, plain)
    assert torch.equal(generate(again, PROMPT, motion=motion, **FAST), expected)


def test_what_cannot_be_made_is_refused(pipelines: dict[str, Any]):
    pipe, other = pipelines["animatediff"], pipelines["text_to_video"]
    motion = _motion(pipe)
    for arguments, sentence in (
        ({"motion": _motion(other)}, "learned on a UNet3DConditionModel and this is a UNetMotion"),
        ({"num_frames": 0}, "num_frames is 0; expected 1 or more"),
        ({"num_frames": "16"}, "num_frames is '16'; expected a whole number"),
        ({"seed": 2**64}, "seed is 18446744073709551616; expected 0 to 18446744073709551615"),
        ({"seed": -1}, "seed is -1; expected 0 to"),
        ({"num_frames": 40}, "num_frames is 40 and this model has positions for 32"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"num_steps": "3"}, "num_steps is '3'; expected a whole number"),
        ({"guidance": "strong"}, "guidance is 'strong'; expected a number"),
        ({"size": (60, 64)}, "size is 60x64"),
        ({"motion": motion, "noise": "blend"}, "kept without inverted latents"),
        ({"noise": "blend"}, "noise is 'blend' without a motion"),
        ({"noise": "pink"}, "noise is 'pink'; expected one of"),
        ({"motion": motion, "strength": "high"}, "strength is 'high'"),
        ({"motion": motion, "value": "blurred"}, "value is 'blurred'"),
        ({"motion": [motion]}, "motion holds a Motion; expected a Motion, or a list of pairs"),
        ({"motion": [(motion, "half")]}, "the weight of a motion is 'half'"),
    ):
        with pytest.raises(InputError, match=sentence):
            generate(pipe, PROMPT, **{**FAST, **arguments})
    with pytest.raises(InputError, match="this is a UNetMotionModel; give its pipeline"):
        generate(pipe.unet, PROMPT)
    assert not denoiser(pipe)._forward_pre_hooks


def test_value_embeddings_are_centred_unless_told_otherwise(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    motion = _motion(pipe)
    arguments = {"motion": motion, "num_steps": 1}
    unasked = generate(pipe, PROMPT, **arguments)
    assert torch.equal(generate(pipe, PROMPT, value="centred", **arguments), unasked)
    assert not torch.equal(generate(pipe, PROMPT, value="debiased", **arguments), unasked)
    assert not torch.equal(generate(pipe, PROMPT, value="raw", **arguments), unasked)
    with motion.on(pipe) as attachment:
        assert attachment.usage.value == "centred"


def test_a_batch_makes_the_videos_that_are_made_alone(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    arguments = {"motion": _motion(pipe, latents=True), "noise": "blend", "num_steps": 2}
    videos = generate(pipe, PROMPT, seed=[1, 2, 1], **arguments)
    assert videos.shape == (3, 4, 3, 64, 64)
    for video, seed in zip(videos, (1, 2, 1), strict=True):
        alone = generate(pipe, PROMPT, seed=seed, **arguments)
        torch.testing.assert_close(video, alone, atol=1e-4, rtol=0)
    one = generate(pipe, [PROMPT], seed=2, **arguments)
    torch.testing.assert_close(one, videos[1:2], atol=1e-4, rtol=0)


def test_the_conditional_branch_of_a_batch_without_guidance_is_all_of_it(pipe: Any):
    arguments: dict[str, Any] = {**FAST, "guidance": 1.0}
    plain = generate(pipe, PROMPT, seed=[1, 2, 3], **arguments)
    arguments |= {"motion": _motion(pipe)}
    moved = generate(pipe, PROMPT, seed=[1, 2, 3], **arguments)
    found = generate(pipe, PROMPT, seed=[1, 2, 3], branch="conditional", **arguments)
    assert torch.equal(found, moved)
    even = generate(pipe, PROMPT, seed=[1, 2], branch="conditional", **arguments)
    for video, same, other in zip(even, moved, plain, strict=False):
        torch.testing.assert_close(video, same, atol=1e-4, rtol=0)
        assert not torch.allclose(video, other, atol=1e-3)


def test_the_conditional_branch_of_a_batch_is_that_of_each_video(pipelines: dict[str, Any]):
    pipe = pipelines["animatediff"]
    arguments = {**FAST, "motion": _motion(pipe), "guidance": 3.0, "branch": "conditional"}
    videos = generate(pipe, PROMPT, seed=[1, 2, 3], **arguments)
    for video, seed in zip(videos, (1, 2, 3), strict=True):
        alone = generate(pipe, PROMPT, seed=seed, **arguments)
        torch.testing.assert_close(video, alone, atol=1e-4, rtol=0)


def _image_to_video() -> Any:
    """A tiny StableVideoDiffusionPipeline."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
    )
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    torch.manual_seed(0)
    return StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D"] * 2
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32,
                projection_dim=8,
                num_hidden_layers=1,
                num_attention_heads=4,
                intermediate_size=37,
                image_size=224,
                patch_size=32,
            )
        ),
        unet=TINY[3].model(torch.float32),
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
    )


def test_a_pipeline_that_takes_an_image_makes_a_video_and_says_what_it_does_not_take():
    pipe = _image_to_video()
    arguments = {"num_steps": 1, "size": (16, 32), "image": Image.new("RGB", (32, 16), "red")}
    video = generate(pipe, None, **arguments)
    assert video.shape == (5, 3, 16, 32)
    ends = {"min_guidance_scale": 1.0, "max_guidance_scale": 1.0}
    assert not torch.equal(generate(pipe, None, **arguments, **ends), video)
    with pytest.raises(InputError, match=r"guidance is 3.0 and .*; give min_guidance_scale and ma"):
        generate(pipe, None, guidance=3.0, **arguments)
    with pytest.raises(InputError, match="prompt is 'a' and a StableVideoDiffusionPipeline takes"):
        generate(pipe, "a", **arguments)
    assert default_size(pipe) == (576, 1024)


def test_unasked_sizes_are_those_of_the_pipelines(pipelines: dict[str, Any]):
    import inspect

    from diffusers import I2VGenXLPipeline, StableVideoDiffusionPipeline

    for kind, index in ((I2VGenXLPipeline, 2), (StableVideoDiffusionPipeline, 3)):
        given = inspect.signature(kind.__call__).parameters
        pipe = SimpleNamespace(components={"unet": TINY[index].model(torch.float32)})
        assert default_size(pipe) == (given["height"].default, given["width"].default)
    assert default_size(pipelines["animatediff"]) == (64, 64)


@pytest.mark.parametrize(
    ("prompt", "seed", "sentence"),
    [
        (["a", "b", "c"], [1, 2], "seed is a list of 2 for 3 videos"),
        (["a"], [1, 2], "prompt is a list of 1 for 2 videos"),
        ([], 0, "prompt is a list of 0"),
        ("a", (), "seed is a list of 0"),
        (None, [0, 1], "seed is a list of 2 and there are no prompts"),
        ("a", None, "seed is None; expected a whole number"),
        ("a", [0, 1.5], "seed is 1.5; expected a whole number"),
        ("a", np.arange(2), r"seed is array\(\[0, 1\]\); expected a whole number"),
    ],
)
def test_lists_that_do_not_go_together_are_refused(
    prompt: Any, seed: Any, sentence: str, pipelines: dict[str, Any]
):
    with pytest.raises(InputError, match=sentence):
        generate(pipelines["animatediff"], prompt, seed=seed, **FAST)
