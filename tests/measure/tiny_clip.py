"""A CLIP of random weights, with a processor of its own, made without a network."""

import torch
from transformers import CLIPConfig, CLIPModel, CLIPProcessor

from kinema.measure import ClipEmbedder
from kinema.sprites.tokenizer import build_tokenizer


def tiny_clip() -> ClipEmbedder:
    # Not CLIPImageProcessor, which asks for torchvision before it falls back on this one.
    from transformers import CLIPImageProcessorPil

    tokenizer = build_tokenizer()
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    layers |= {"num_hidden_layers": 2, "projection_dim": 12}
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **layers,
                **special,
                "pad_token_id": tokenizer.pad_token_id,
                "vocab_size": len(tokenizer),
                "max_position_embeddings": tokenizer.model_max_length,
            },
            vision_config={**layers, "image_size": 24, "patch_size": 8},
            projection_dim=12,
        )
    )
    # As initialised, every picture has nearly the same embedding, and a test would see nothing.
    for parameter in model.parameters():
        parameter.data.mul_(3).add_(0.1 * torch.randn_like(parameter))
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)
    return ClipEmbedder(model.eval(), CLIPProcessor(pictures, tokenizer))
