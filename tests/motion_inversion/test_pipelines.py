import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, PNDMScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from kinema.errors import InputError
from kinema.motion_inversion import invert, load_pipeline
from kinema.motion_inversion.objective import training_scheduler
from kinema.sprites import animatediff
from tests.motion_inversion.clip import PROMPT, QUICK, moving_square


@pytest.fixture(scope="module")
def image_pipeline(untrained_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image pipeline with the scheduler of Stable Diffusion 1.5."""
    from diffusers import UNet2DConditionModel

    parts = animatediff(weights=untrained_weights).components
    folder = tmp_path_factory.mktemp("image")
    StableDiffusionPipeline(
        vae=parts["vae"],
        text_encoder=parts["text_encoder"],
        tokenizer=CLIPTokenizer.from_pretrained(untrained_weights / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(untrained_weights / "unet"),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def test_a_motion_adapter_brings_the_noise_schedule_that_it_was_trained_on(
    image_pipeline: Path, untrained_weights: Path
):
    pipe = load_pipeline(image_pipeline, adapter=untrained_weights / "motion_adapter", device="cpu")
    config = pipe.scheduler.config
    assert type(pipe.scheduler).__name__ == "DDIMScheduler"
    assert (config.beta_schedule, config.timestep_spacing) == ("linear", "linspace")
    assert (config.clip_sample, config.steps_offset) == (False, 1)
    assert (config.beta_start, config.beta_end) == (0.00085, 0.012)
    betas = training_scheduler(pipe.scheduler).betas
    torch.testing.assert_close(betas, torch.linspace(0.00085, 0.012, 1000))


def test_a_pipeline_of_its_own_keeps_its_scheduler(image_pipeline: Path):
    pipe = load_pipeline(image_pipeline, device="cpu")
    assert isinstance(pipe, DiffusionPipeline)
    assert pipe.scheduler.config.beta_schedule == "scaled_linear"


def test_what_is_no_pipeline_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no pipeline could be loaded from"):
        load_pipeline(tmp_path, device="cpu")
    with pytest.raises(InputError, match="which has its own; leave it out"):
        load_pipeline("sprites", adapter="some/adapter", device="cpu")
    with pytest.raises(InputError, match="device is 'abacus'"):
        load_pipeline("sprites", device="abacus")
    for device in ("meta", "xpu"):
        with pytest.raises(InputError, match=f"device is {device}; expected cpu, cuda or mps"):
            load_pipeline("sprites", device=device)
    with pytest.raises(InputError, match="device is cuda:99, and the number of such GPUs"):
        load_pipeline("sprites", device="cuda:99")


@pytest.mark.parametrize("damage", ["a file cut off", "a class that is not known"])
def test_a_damaged_pipeline_is_refused(damage: str, image_pipeline: Path, tmp_path: Path):
    shutil.copytree(image_pipeline, tmp_path, dirs_exist_ok=True)
    if damage == "a file cut off":
        weights = tmp_path / "text_encoder" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        index = tmp_path / "model_index.json"
        index.write_text(index.read_text().replace("StableDiffusionPipeline", "NoSuchPipeline"))
    with pytest.raises(InputError, match="no pipeline could be loaded from"):
        load_pipeline(tmp_path, device="cpu")


@pytest.mark.parametrize("name", ["sprites", "sprites-animatediff"])
def test_what_is_learned_on_an_embedded_model_names_it(name: str):
    pipe = load_pipeline(name, device="cpu")
    motion = invert(pipe, moving_square(), prompt=PROMPT, settings=QUICK, progress=False)
    assert motion.origin.model_id == name
