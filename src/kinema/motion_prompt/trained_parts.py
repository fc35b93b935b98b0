"""What trains, chosen by name: the published variants of where motion prompts are learned."""

from torch import nn

from kinema.errors import InputError
from kinema.motion_prompt.attach import MotionPromptClassifier

PARTS = ("prompt", "backbone", "head")


def trainable(model: MotionPromptClassifier, parts: str) -> list[str]:
    """Let the named parts of a model learn and freeze all others.

    The variants of the paper: a frozen backbone with prompts is "prompt" (or "prompt+head" on a
    backbone for other classes); fine-tuning without them is "all" with `PlainFrames` in the
    prompt's place; prompts that are fixed at their first values while the backbone learns is
    "backbone"; both is "all". To add prompts after fine-tuning, give the fine-tuned backbone to
    `with_motion_prompt`; to add them before, give the one that is yet to be tuned.

    What the backbone has and a classification never uses (V-JEPA 2's predictor) stays frozen.
    Batch norms that are frozen stay in eval mode: their running statistics do not move.

    Args:
        model: a backbone behind a motion prompt, or another front end.
        parts: "prompt", "backbone" (its head included), "head" (the last linear layer alone),
            several joined by "+", or "all".

    Returns:
        The names of the parameters that train, in the model's order.

    Raises:
        InputError: a part is not known, has nothing to learn, or the head is not known.
    """
    chosen = {"prompt", "backbone"} if parts == "all" else set(parts.split("+"))
    if not chosen <= set(PARTS):
        raise InputError(
            f"parts is {parts!r}; expected 'all', or some of {', '.join(PARTS)} joined by '+'"
        )
    modules: list[nn.Module] = [
        model.get_submodule(f"backbone.{head_name(model)}")
        if part == "head"
        else model.get_submodule(part)
        for part in sorted(chosen)
    ]
    chosen_ids = {id(value) for module in modules for value in module.parameters()}
    if model.facts is not None and model.facts.unused is not None:
        # Processes that train together wait for the gradient of all that learns.
        unused = model.get_submodule(f"backbone.{model.facts.unused}")
        chosen_ids -= {id(value) for value in unused.parameters()}
    if not chosen_ids:
        raise InputError(
            f"parts is {parts!r}; the {type(model.prompt).__name__} here has nothing to learn: "
            "train 'backbone' or 'head'"
        )
    for value in model.parameters():
        value.requires_grad_(id(value) in chosen_ids)
    model.train(model.training)
    return [name for name, value in model.named_parameters() if value.requires_grad]


def head_name(model: MotionPromptClassifier) -> str:
    """Name of the linear layer in the backbone that gives the logits.

    Raises:
        InputError: nobody said where it is.
    """
    facts = model.facts
    if facts is None or facts.head is None:
        raise InputError(
            f"where the head of a {type(model.backbone).__name__} is, is not known; say so with "
            "with_motion_prompt(..., facts=BackboneFacts(num_frames=..., size=..., head=...))"
        )
    try:
        model.backbone.get_submodule(facts.head)
    except AttributeError as error:
        raise InputError(
            f"head is {facts.head!r}; the backbone has no module of that name: see its "
            "named_modules()"
        ) from error
    return facts.head
