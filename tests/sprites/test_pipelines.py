"""The embedded pipelines behave as any pipeline of their classes does."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    DDIMInverseScheduler,
    DPMSolverMultistepScheduler,
    TextToVideoSDPipeline,
)
from diffusers.models.attention_processor import AttnProcessor

from kinema.errors import InputError
from kinema.sprites import animatediff, text_to_video
from tests.sprites.weights import write_untrained_weights

CAPTION = "a small red ring on a striped background, growing"
MAKERS = {TextToVideoSDPipeline: text_to_video, AnimateDiffPipeline: animatediff}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(params=list(MAKERS), ids=lambda kind: kind.__name__)
def pipeline(request: pytest.FixtureRequest, weights: Path):
    made = MAKERS[request.param](weights=weights)
    assert type(made) is request.param
    made.set_progress_bar_config(disable=True)
    return made


def frames_of(pipeline, **options) -> torch.Tensor:
    settings = {
        "prompt": CAPTION,
        "num_inference_steps": 2,
        "num_frames": 4,
        "generator": torch.Generator().manual_seed(0),
        "output_type": "pt",
    }
    return pipeline(**(settings | options)).frames


def test_frames_are_64_pixels_a_side(pipeline) -> None:
    assert frames_of(pipeline).shape == (1, 4, 3, 64, 64)


def test_the_usual_size_is_sixteen_frames_of_64_pixels(pipeline) -> None:
    output = pipeline("a star", num_inference_steps=1, output_type="pt")
    assert output.frames.shape == (1, 16, 3, 64, 64)


def test_a_seed_gives_the_same_video(pipeline) -> None:
    other = frames_of(pipeline, generator=torch.Generator().manual_seed(1))
    assert torch.equal(frames_of(pipeline), frames_of(pipeline))
    assert not torch.equal(frames_of(pipeline), other)


def test_prompt_negative_prompt_and_guidance_matter(pipeline) -> None:
    plain = frames_of(pipeline, guidance_scale=4.0)
    assert not torch.equal(plain, frames_of(pipeline, prompt="a star", guidance_scale=4.0))
    assert not torch.equal(plain, frames_of(pipeline, negative_prompt="grey", guidance_scale=4.0))
    assert not torch.equal(plain, frames_of(pipeline, guidance_scale=1.0))


def test_latents_may_be_given(pipeline) -> None:
    latents = torch.randn(1, 6, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    first, second = (frames_of(pipeline, latents=latents.clone(), generator=None) for _ in range(2))
    assert torch.equal(first, second)


def test_other_schedulers_take_its_config(pipeline) -> None:
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    assert torch.isfinite(frames_of(pipeline, num_inference_steps=3)).all()
    inverse = DDIMInverseScheduler.from_config(pipeline.scheduler.config)
    assert inverse.config.prediction_type == "v_prediction"


def test_attention_processors_can_be_replaced(pipeline) -> None:
    before = frames_of(pipeline)
    assert any("temp" in name or "motion" in name for name in pipeline.unet.attn_processors)
    pipeline.unet.set_attn_processor(AttnProcessor())
    torch.testing.assert_close(frames_of(pipeline), before, atol=1e-3, rtol=1e-3)


def test_it_is_saved_and_loaded_unchanged(pipeline, tmp_path: Path) -> None:
    before = frames_of(pipeline)
    pipeline.save_pretrained(tmp_path)
    loaded = type(pipeline).from_pretrained(tmp_path, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(frames_of(loaded), before)


def test_several_prompts_are_sampled_at_once(pipeline) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    frames = frames_of(pipeline, prompt=[CAPTION, "a star"], generator=generators)
    assert frames.shape == (2, 4, 3, 64, 64)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights"):
        text_to_video(weights=tmp_path / "none")
    (tmp_path / "unet3d").mkdir()
    with pytest.raises(InputError, match="are missing"):
        animatediff(weights=tmp_path)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer/tokenizer.json", Path.unlink),
        ("tokenizer/tokenizer_config.json", Path.unlink),
        ("tokenizer/tokenizer.json", cut_short),
        ("scheduler/scheduler_config.json", Path.unlink),
        ("vae/diffusion_pytorch_model.safetensors", cut_short),
        ("text_encoder/model.safetensors", cut_short),
        ("text_encoder/config.json", Path.unlink),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_weights_that_cannot_be_read_are_named(
    file: str, change: Callable[[Path], None], weights: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(weights, tmp_path / "weights")
    change(broken / file)
    with pytest.raises(InputError, match=file.partition("/")[0]) as caught:
        text_to_video(weights=broken)
    assert "\n" not in str(caught.value)
