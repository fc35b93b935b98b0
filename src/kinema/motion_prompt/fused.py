"""The motion prompt layer in one pass over memory, forward and backward.

The layer has to read each frame once and to write each prompt once. `FusedPrompt` does so, and
keeps nothing but the clip for the backward pass, which computes the attention again and sums up
the gradients of slope and shift on its way. How depends on the device: `fused_cpu` needs no
compiler, `fused_native` is a loop in C where there is one, `fused_triton` is for GPUs.

A gradient of a gradient takes the formula, which is right and not fast.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from kinema.motion_prompt import fused_cpu, fused_native, fused_triton
from kinema.motion_prompt.difference import working_dtype
from kinema.motion_prompt.fused_formula import Gradients, Prompted, PromptFormula
from kinema.motion_prompt.normalisation import LearnableSigmoid, sigmoid_shift, sigmoid_slope


def can_fuse(normalisation: nn.Module, frames: Tensor) -> TypeGuard[LearnableSigmoid]:
    """Whether one pass can take the formula's place, unnoticed but for its speed.

    It cannot where the operations themselves are looked at: by torch.compile and torch.export,
    by transforms of torch.func, by forward-mode differentiation, by tensor subclasses, by hooks
    on the normalisation.
    """
    if torch.compiler.is_compiling() or _is_traced_or_transformed():
        return False
    if type(normalisation) is not LearnableSigmoid or _has_hooks(normalisation):
        return False
    plain = (Tensor, nn.Parameter)
    scalars = (normalisation.m, normalisation.n)
    if any(type(value) not in plain for value in (frames, *scalars)):
        return False
    if any(scalar.numel() != 1 or scalar.device != frames.device for scalar in scalars):
        return False
    if any(unpack_dual(value).tangent is not None for value in (frames, *scalars)):
        return False
    return frames.device.type == "cpu" or fused_triton.can_run(frames)


def fused_prompt(
    frames: Tensor,
    normalisation: LearnableSigmoid,
    formula: PromptFormula,
    *,
    compiled: bool | None = None,
) -> Prompted:
    """Prompt canonical frames for which `can_fuse` holds.

    Args:
        frames: `(B, T, C, H, W)`, T >= 2, of any strides; floating-point, or 8-bit where the
            formula has a scale.
        normalisation: gives slope and shift; m and n get their gradients through them.
        formula: the settings.
        compiled: use `fused_native` on a CPU; None for large clips only.
    """
    dtype = working_dtype(frames)
    slope = sigmoid_slope(normalisation.m.to(dtype))
    shift = sigmoid_shift(normalisation.n.to(dtype))
    return Prompted(*FusedPrompt.apply(frames, slope, shift, formula, compiled))


class FusedPrompt(torch.autograd.Function):
    """`PromptFormula.reference` as one node of the graph; what it keeps is the clip."""

    @staticmethod
    def forward(
        ctx: Any,
        frames: Tensor,
        slope: Tensor,
        shift: Tensor,
        formula: PromptFormula,
        compiled: bool | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Video, attention and variation of canonical frames."""
        ctx.save_for_backward(frames, slope, shift)
        ctx.formula = formula
        ctx.fast = _fast_pass(frames, compiled)
        ctx.set_materialize_grads(False)
        given = (frames, slope, shift, formula)
        found: Prompted | None = None if ctx.fast is None else ctx.fast.prompt(*given)
        if found is None:
            on_cpu = frames.device.type == "cpu"
            found = fused_cpu.prompt(*given) if on_cpu else formula.reference(*given[:3])
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of frames, slope and shift, computed only where somebody asked."""
        if all(grad is None for grad in grads):
            return None, None, None, None, None
        asked = ctx.needs_input_grad[:3]
        given = (*ctx.saved_tensors, ctx.formula, grads)
        found: Gradients | None = None
        # Of gradients that will be derived again, or that are many at once, as a Jacobian's.
        by_formula = torch.is_grad_enabled() or any(map(_is_batched, grads))
        if ctx.fast is not None and not by_formula:
            found = ctx.fast.prompt_backward(*given, of_frames=asked[0])
        if found is None and (by_formula or given[0].device.type != "cpu"):
            found = _gradients_by_formula(*given, asked=asked)
        if found is None:
            found = fused_cpu.prompt_backward(*given, of_frames=asked[0])
        of_inputs = (grad if needed else None for grad, needed in zip(found, asked, strict=True))
        return *of_inputs, None, None


def _fast_pass(frames: Tensor, compiled: bool | None) -> ModuleType | None:
    """The compiled implementation to try first; it returns None where it cannot."""
    if frames.device.type != "cpu":
        return fused_triton
    return fused_native if fused_native.is_wanted(frames, compiled) else None


def _gradients_by_formula(
    frames: Tensor,
    slope: Tensor,
    shift: Tensor,
    formula: PromptFormula,
    grads: Sequence[Tensor | None],
    *,
    asked: Sequence[bool],
) -> Gradients:
    """The same gradients by autograd, with a graph of their own for `create_graph=True`."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = (frames, slope, shift)
        outputs = formula.reference(*inputs)
        pairs = [(out, grad) for out, grad in zip(outputs, grads, strict=True) if grad is not None]
        found = iter(
            torch.autograd.grad(
                [out for out, _ in pairs],
                [value for value, needed in zip(inputs, asked, strict=True) if needed],
                [grad for _, grad in pairs],
                create_graph=create_graph,
                allow_unused=True,
            )
        )
    return Gradients(*(next(found) if needed else None for needed in asked))


def _is_traced_or_transformed() -> bool:
    # torch.jit and torch.autograd.Function ask the same; there are no other names for it.
    return torch._C._is_tracing() or torch._C._are_functorch_transforms_active()


def _is_batched(grad: Tensor | None) -> bool:
    # As torch.autograd.grad makes them for `is_grads_batched`; what tells them apart is that there
    # is no memory to ask for.
    try:
        _ = None if grad is None else grad.untyped_storage()
    except RuntimeError:
        return True
    return False


def _has_hooks(module: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)
