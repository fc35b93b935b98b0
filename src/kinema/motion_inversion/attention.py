"""How embeddings enter a model: through the processors of its temporal attentions, and only so.

With x what an attention sees, normed and with any positional embedding: queries and keys are
projected from x plus the query-key embedding, values from x plus the value embedding (equation 3
of arXiv 2403.20193). Adding before the projection, not after it, is right with biases, LoRAs and
offloaded weights alike, and no dearer: two additions against three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.motion_inversion.sites import Site


@dataclass(eq=False)
class Shift:
    """What one motion adds at one attention in the current call of the model.

    Attributes:
        query_key: `(1, N, C)`, or `(H*W, N, C)`, or None.
        value: `(H*W, N, C)` or None.
        positions: `(N, C)` or None, for queries and keys: from the positions that the model has
            put on to those of the clip (`kinema.motion_inversion.positions`).
        batch_size: how many videos the model was called with.
        skipped: how many of them, from the first, stay as they are.
    """

    query_key: Tensor | None = None
    value: Tensor | None = None
    positions: Tensor | None = None
    batch_size: int = 1
    skipped: int = 0

    def clear(self) -> None:
        """Add nothing."""
        self.query_key = self.value = self.positions = None


class MotionAttention:
    """An attention processor that adds the shifts of any number of motions.

    Without a shift to add it calls the processor that was there before, so that nothing at all
    differs from the model as it was.

    Args:
        original: that processor; by default a new one of the only kind that is replaced, for
            diffusers, which makes processors anew by their class where it loads an IP-Adapter.
    """

    def __init__(self, original: Any = None) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.original = AttnProcessor2_0() if original is None else original
        self.shifts: list[Shift] = []

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Attend over the frames of hidden_states `(B*H*W, N, C)`; the same shape comes back."""
        for_queries, for_values = hidden_states, hidden_states
        turned: Shift | None = None
        for shift in self.shifts:
            if shift.query_key is not None:
                for_queries = _plus(for_queries, shift.query_key, shift)
            if shift.value is not None:
                for_values = _plus(for_values, shift.value, shift)
            if shift.positions is not None and (turned is None or shift.skipped < turned.skipped):
                turned = shift
        # Motions agree on the positions, which change once, however many motions there are.
        if turned is not None and turned.positions is not None:
            for_queries = _plus(for_queries, turned.positions, turned)
        if for_queries is hidden_states and for_values is hidden_states:
            return self.original(
                attn, hidden_states, encoder_hidden_states, attention_mask, temb, *args, **kwargs
            )
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(for_queries), attn.to_k(for_queries), attn.to_v(for_values))
        )
        if attn.norm_q is not None:
            query = attn.norm_q(query)
        if attn.norm_k is not None:
            key = attn.norm_k(key)
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).flatten(2).to(query.dtype)
        output = attn.to_out[1](attn.to_out[0](attended))
        if attn.residual_connection:
            output = output + hidden_states
        return output / attn.rescale_output_factor


def check_attention(model: nn.Module, site: Site) -> None:
    """Refuse an attention whose embeddings would not be seen, or not as learned.

    Raises:
        InputError: in one sentence, what stands in the way and how to undo it.
    """
    from diffusers.models.attention_processor import AttnProcessor2_0

    attention: Any = model.get_submodule(site.name)
    block = type(model.get_submodule(site.block)).__name__
    if block == "FreeNoiseTransformerBlock":
        raise InputError(
            f"{site.block} is a {block}, which attends window by window and would begin the motion "
            "anew in each; call disable_free_noise() on the pipeline first"
        )
    if getattr(attention, "fused_projections", False):
        raise InputError(
            f"the projections of {site.name} are fused, and a motion shifts queries, keys and "
            "values apart; call unfuse_qkv_projections() on the model first"
        )
    processor = attention.processor
    if not isinstance(processor, MotionAttention) and type(processor) is not AttnProcessor2_0:
        raise InputError(
            f"{site.name} runs through {type(processor).__name__}; expected AttnProcessor2_0, the "
            "one that diffusers begins with: disable xformers and attention slicing, or set it "
            "with set_attn_processor(AttnProcessor2_0())"
        )


def put_on(model: nn.Module, sites: Sequence[Site]) -> list[Shift]:
    """Give every site a shift of its own, empty yet, behind a `MotionAttention`."""
    shifts = []
    for site in sites:
        attention: Any = model.get_submodule(site.name)
        if not isinstance(attention.processor, MotionAttention):
            attention.set_processor(MotionAttention(attention.processor))
        shifts.append(Shift())
        attention.processor.shifts.append(shifts[-1])
    return shifts


def take_off(model: nn.Module, sites: Sequence[Site], shifts: Sequence[Shift]) -> None:
    """Undo `put_on`; an attention with no shift left gets back the very processor it had."""
    for site, shift in zip(sites, shifts, strict=True):
        attention: Any = model.get_submodule(site.name)
        processor = attention.processor
        if not isinstance(processor, MotionAttention):
            continue  # someone put another processor there since: it is theirs, and stays
        if shift in processor.shifts:
            processor.shifts.remove(shift)
        if not processor.shifts:
            attention.set_processor(processor.original)


def check_still_on(model: nn.Module, sites: Sequence[Site], shifts: Sequence[Shift]) -> None:
    """Notice processors that were replaced since, as loading an IP-Adapter does.

    Raises:
        InputError: the first site that lost its shift.
    """
    for site, shift in zip(sites, shifts, strict=True):
        processor = model.get_submodule(site.name).processor
        if not isinstance(processor, MotionAttention) or shift not in processor.shifts:
            raise InputError(
                f"the attention processor of {site.name} was replaced while a motion was attached; "
                "load adapters and set processors first, then attach the motion"
            )


def _plus(x: Tensor, embedding: Tensor, shift: Shift) -> Tensor:
    """Add an embedding to every video of x `(B*H*W, N, C)` but those that are skipped."""
    videos = x.unflatten(0, (shift.batch_size, -1))
    embedding = embedding.to(x)
    if shift.skipped == 0:
        return (videos + embedding).flatten(0, 1)
    kept, shifted = videos[: shift.skipped], videos[shift.skipped :]
    return torch.cat([kept, shifted + embedding]).flatten(0, 1)
