"""Untrained weights in the form of the shipped ones, for tests of everything around them."""

from pathlib import Path

import torch

from kinema.sprites import models
from kinema.sprites.tokenizer import build_tokenizer


def write_untrained_weights(folder: Path) -> Path:
    """Write every part, untrained, as `kinema sprites ship` would."""
    torch.manual_seed(0)
    image_unet = models.new_image_unet()
    models.inflate(image_unet).half().save_pretrained(folder / "unet3d")
    image_unet.half().save_pretrained(folder / "unet")
    models.new_motion_adapter().half().save_pretrained(folder / "motion_adapter")
    models.new_autoencoder().half().save_pretrained(folder / "vae")
    models.new_text_encoder().half().save_pretrained(folder / "text_encoder")
    build_tokenizer().save_pretrained(folder / "tokenizer")
    models.new_scheduler().save_pretrained(folder / "scheduler")
    (folder / "made.json").write_text('{"commit": null, "stages": {}}')
    return folder
