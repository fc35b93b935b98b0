"""Put a motion on a pipeline that it fits."""

from typing import TYPE_CHECKING, Any

from kinema.motion_inversion.attachment import Attachment
from kinema.motion_inversion.origin import attentions_of, check_same_model, model_class_of
from kinema.motion_inversion.parameters import named_module
from kinema.motion_inversion.sites import Site, denoiser, find_sites
from kinema.motion_inversion.usage import Usage

if TYPE_CHECKING:
    from kinema.motion_inversion.motion import Motion


def attach(
    target: Any,
    motion: "Motion",
    *,
    strength: float = 1.0,
    query_key: float | None = None,
    value: str = "centred",
    value_strength: float | None = None,
    window: tuple[float, float] = (0.0, 1.0),
    branch: str = "both",
) -> Attachment:
    """Put a motion on a pipeline, or on its denoiser, until `detach`; others stay on.

    Args:
        target: a diffusers pipeline or model of the motion's class.
        motion: to put on; its length and grid follow those of the video being made.
        strength: factor of both embeddings; 0 leaves them out.
        query_key: factor of the query-key embeddings instead of `strength`.
        value: "raw", "debiased", "debiased-zero", "centred" or "none"
            (`kinema.motion_inversion.debias`).
        value_strength: factor of the value embeddings instead of `strength`.
        window: from which share of the sampling steps, up to but without which.
        branch: of classifier-free guidance, "both" or "conditional".

    Raises:
        InputError: the model does not fit the motion, cannot take it as it is set up, a motion on
            it needs other positions (`kinema.motion_inversion.positions`), or an argument makes
            no sense.
    """
    usage = Usage(
        query_key_strength=strength if query_key is None else query_key,
        value_strength=strength if value_strength is None else value_strength,
        value=value,
        window=window,
        branch=branch,
    )
    return Attachment(
        target,
        motion.tensors,
        sites_of(motion, target),
        usage,
        clip_time=motion.origin.clip_time,
    )


def sites_of(motion: "Motion", target: Any) -> list[Site]:
    """The attentions of a pipeline or model that a motion belongs to.

    Raises:
        InputError: the model does not fit the motion; the first difference is named.
    """
    model = denoiser(target)
    check_same_model(
        motion.origin,
        model_class=model_class_of(model),
        attentions=attentions_of(model),
        where="this is a",
    )
    paths = {named_module(name) for name in motion.tensors}
    return [
        site
        for site in find_sites(model, blocks="all")
        if site.name in paths or site.block in paths
    ]
