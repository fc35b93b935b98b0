"""Between images and videos: the text encoder gets back the words of motion.

A picture says nothing about motion, so the image stage teaches the text encoder to forget those
words: in what it makes of a caption, "moving left" and "moving right" then differ by less than a
hundredth of what "star" and "circle" differ by, and no video model reads one from the other.
"""

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.sprites.scenes import sample_captions, sample_scenes
from kinema.sprites.tokenizer import MAX_TOKENS, build_tokenizer
from kinema.sprites.training.exports import load_export
from kinema.sprites.training.recipe import Recipe
from kinema.sprites.words import MOTIONS, parse_caption
from kinema.video import colour_map, write_image

_TURN = 0.7
"""Share of a motion's code in what sums a caption up: sine of the angle by which it turns."""


class MotionWordsStage:
    """Train the text encoder to tell each motion, and to keep all else as it was.

    A word of motion gets a code of its own, drawn from what the encoder's last normalisation can
    give, and so does a motion as a whole. At the place of a word the hidden state is to be its
    code. Where the text has ended it is to be what it was, turned towards the code of the motion:
    there, as in CLIP, the encoder sums up the sentence, and half of what a U-Net's cross-attention
    looks at lies there. Everywhere else it is to be what it was. The words of motion come last and
    the encoder is causal, so what images are made from can stay.
    """

    rates: Mapping[str, float] = {}

    def __init__(self, recipe: Recipe, runs: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.tokenizer = build_tokenizer()
        self.before = load_export(runs, "text-to-image", "text_encoder").to(device)
        self.trained = copy.deepcopy(self.before).requires_grad_(True)
        (self._normalise,) = (
            module
            for name, module in self.before.named_modules()
            if name.endswith("final_layer_norm")
        )
        generator = torch.Generator().manual_seed(recipe.seed)
        self.codes = self._codes(generator)
        width = self.before.config.hidden_size
        self.whole = torch.randn(len(MOTIONS), width, generator=generator).to(device)

    def _codes(self, generator: torch.Generator) -> Tensor:
        """Return a code for each token, `(num_tokens, 96)`; NaN for all but words of motion."""
        width = self.before.config.hidden_size
        codes = torch.full((len(self.tokenizer), width), torch.nan, device=self.device)
        words = sorted({word for said in MOTIONS.values() for word in re.findall(r"\w+", said)})
        drawn = torch.randn(len(words), width, generator=generator).to(self.device)
        places = self.tokenizer.convert_tokens_to_ids([f"{word}</w>" for word in words])
        codes[places] = self._normalise(drawn)
        return codes

    def _summed_up(self, states: Tensor, tokens: Tensor, captions: list[str]) -> Tensor:
        """Turn the hidden states (B, L, 96) after the end of a text towards its motion's code."""
        scale, shift = self._normalise.weight, self._normalise.bias
        plain = (states - shift) / scale
        turned = states.clone()
        for row, caption in enumerate(captions):
            motion = parse_caption(caption).motion if caption else None
            if motion:
                code = self.whole[list(MOTIONS).index(motion)]
                ended = tokens[row] == self.tokenizer.eos_token_id
                mixed = (1 - _TURN**2) ** 0.5 * plain[row, ended] + _TURN * code
                turned[row, ended] = self._normalise(mixed)
        return turned

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; see `Stage`."""
        seed = self.recipe.seed * 10_000_019 + step
        scenes = sample_scenes(self.recipe.batch_size, seed=seed)
        captions = sample_captions(scenes, seed=seed, motion_share=self.recipe.motion_share)
        dropped = torch.rand(len(captions)) < self.recipe.caption_dropout
        captions = ["" if drop else text for text, drop in zip(captions, dropped, strict=True)]
        tokens = self._tokens(captions)
        with torch.no_grad():
            before = self._summed_up(self.before(tokens).last_hidden_state, tokens, captions)
        codes = self.codes[tokens]
        target = torch.where(codes.isnan(), before, codes)
        return F.mse_loss(self.trained(tokens).last_hidden_state.float(), target.float())

    def _tokens(self, captions: list[str]) -> Tensor:
        encoded = self.tokenizer(captions, padding="max_length", max_length=MAX_TOKENS)
        return torch.tensor(encoded.input_ids, device=self.device)

    @torch.no_grad()
    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of how far apart captions of any two motions are; see `Stage`."""
        distances = distances_of_motions(averaged)
        write_image(path, colour_map(distances / distances.max().clamp(min=1e-12))[0])

    @torch.no_grad()
    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights; see `Stage`."""
        averaged.half().save_pretrained(folder / "text_encoder")  # type: ignore[operator]


@torch.no_grad()
def distances_of_motions(text_encoder: nn.Module) -> Tensor:
    """Return how far apart a text encoder puts captions of different motions.

    Returns:
        `(1, M, M)`: between the hidden states of one appearance under each of the M motions.
    """
    captions = [f"a red star on a grey background, {said}" for said in MOTIONS.values()]
    encoded = build_tokenizer()(captions, padding="max_length", max_length=MAX_TOKENS)
    device = next(text_encoder.parameters()).device
    tokens = torch.tensor(encoded.input_ids, device=device)
    states = text_encoder(tokens).last_hidden_state.float().flatten(1)
    return torch.cdist(states, states, compute_mode="donot_use_mm_for_euclid_dist")[None]
