"""The tensors of a motion: their names, their birth, and what a site makes of them.

A motion is a flat dictionary, as a safetensors file is. Blocks own "query_key/<block>"
`(1, N, C)` or "query_key_grid/<block>" `(H, W, N, C)`; attentions own "value/<attention>"
`(H, W, N, C)`, where H and W may be coarser than the attention's grid, or the two factors
"value_scores/<attention>" `(H, W, N, R)` and "value_directions/<attention>" `(R, C)`.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.embedding import at_grid, at_length, debias, low_rank_value
from kinema.motion_inversion.sites import Site

QUERY_KEY = "query_key/"
QUERY_KEY_GRID = "query_key_grid/"
VALUE = "value/"
VALUE_SCORES = "value_scores/"
VALUE_DIRECTIONS = "value_directions/"
_AXES = {QUERY_KEY: 3, QUERY_KEY_GRID: 4, VALUE: 4, VALUE_SCORES: 4, VALUE_DIRECTIONS: 2}
_OF_BLOCKS = (QUERY_KEY, QUERY_KEY_GRID)
VALUE_FORMS = ("full", "coarse", "low-rank", "none")
"""How the value embeddings are kept; `new_embeddings` says what each one means."""


def new_embeddings(
    sites: Iterable[Site],
    *,
    num_frames: int,
    latent_size: tuple[int, int],
    query_key: bool = True,
    query_key_grid: bool = False,
    value: str = "full",
    coarse_factor: int = 4,
    rank: int = 8,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> dict[str, Tensor]:
    """Make embeddings that change nothing yet: zeros, float32.

    Args:
        sites: of `find_sites`.
        num_frames: N.
        latent_size: height and width of the latents.
        query_key: make query-key embeddings.
        query_key_grid: one at every place in place of the published one for all.
        value: "full" for one value at every place, as published; "coarse" for one at every
            `coarse_factor` places in height and in width, bilinear between them; "low-rank" for
            `rank` directions over channels, random at first, and a score on each of them at every
            place and frame, zero at first; "none" for none.
        coarse_factor: 1 or more.
        rank: 1 or more.
        seed: of the directions.
        device: of the tensors; "meta" to count them.

    Raises:
        InputError: an unknown form, a factor or rank below 1, or nothing left to learn.
    """
    if value not in VALUE_FORMS:
        raise InputError(f"value is {value!r}; expected one of {', '.join(VALUE_FORMS)}")
    for name, number in (("coarse_factor", coarse_factor), ("rank", rank)):
        if number < 1:
            raise InputError(f"{name} is {number}; expected 1 or more")
    if not query_key and value == "none":
        raise InputError("query_key is False and value is 'none'; expected one of them to learn")
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for site in sites:
        height, width = site.grid(latent_size)
        if query_key:
            name = (QUERY_KEY_GRID if query_key_grid else QUERY_KEY) + site.block
            places = (height, width) if query_key_grid else (1,)
            tensors[name] = torch.zeros(*places, num_frames, site.channels, device=device)
        if value == "coarse":
            height, width = -(-height // coarse_factor), -(-width // coarse_factor)
        if value in ("full", "coarse"):
            tensors[VALUE + site.name] = torch.zeros(
                height, width, num_frames, site.channels, device=device
            )
        elif value == "low-rank":
            directions = torch.randn(rank, site.channels, generator=generator) / rank**0.5
            tensors[VALUE_SCORES + site.name] = torch.zeros(
                height, width, num_frames, rank, device=device
            )
            tensors[VALUE_DIRECTIONS + site.name] = directions.to(device)
    return tensors


def site_query_key(
    tensors: Mapping[str, Tensor], site: Site, *, num_frames: int, grid: tuple[int, int]
) -> Tensor | None:
    """The query-key embedding of a site; None where there is none.

    Returns:
        `(1, num_frames, C)`, or `(H * W, num_frames, C)` where it differs from place to place.
    """
    found = []
    if QUERY_KEY + site.block in tensors:
        found.append(tensors[QUERY_KEY + site.block])
    if QUERY_KEY_GRID + site.block in tensors:
        found.append(at_grid(tensors[QUERY_KEY_GRID + site.block], grid).flatten(0, 1))
    if not found:
        return None
    return at_length(sum(found[1:], start=found[0]), num_frames)


def site_value(
    tensors: Mapping[str, Tensor], site: Site, *, mode: str, num_frames: int, grid: tuple[int, int]
) -> Tensor | None:
    """The value embedding of a site, `(*grid, num_frames, C)`; None where there is none.

    The length is changed before the debiasing: a motion drawn out over twice the frames changes
    half as much from one to the next.
    """
    if mode == "none":
        return None
    if VALUE + site.name in tensors:
        return at_grid(debias(at_length(tensors[VALUE + site.name], num_frames), mode), grid)
    if VALUE_SCORES + site.name in tensors:
        scores = at_grid(
            debias(at_length(tensors[VALUE_SCORES + site.name], num_frames), mode), grid
        )
        return low_rank_value(scores, tensors[VALUE_DIRECTIONS + site.name])
    return None


def check_embedding(
    name: str, tensor: Tensor, *, num_frames: int, attentions: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a tensor without meaning here.

    Args:
        name: of the tensor.
        tensor: the tensor.
        num_frames: of the motion.
        attentions: all temporal attentions of the model by path, their channels first.

    Raises:
        InputError: a name or a number of axes that there is not, a block or an attention that the
            model has not, another number of frames or channels, NaN or infinity.
    """
    kind = name[: len(name) - len(named_module(name))]
    if kind in ("value_space/", "value_time/"):
        raise InputError(
            f"a tensor {name}, of a form that is no longer read; learn the motion again"
        )
    if _AXES.get(kind) != tensor.ndim:
        raise InputError(
            f"a tensor {name} with {tensor.ndim} axes; expected one of "
            f"{', '.join(f'{kind}<path> with {axes}' for kind, axes in _AXES.items())}"
        )
    path = named_module(name)
    channels = next(
        (
            sizes[0]
            for attention, sizes in attentions.items()
            if path == (attention.rpartition(".")[0] if kind in _OF_BLOCKS else attention)
        ),
        None,
    )
    if channels is None:
        raise InputError(
            f"a tensor {name}, and the model that the motion was learned on has no temporal "
            f"{'block' if kind in _OF_BLOCKS else 'attention'} {path}; learn the motion again"
        )
    frames = num_frames if kind == VALUE_DIRECTIONS else tensor.shape[-2]
    if frames != num_frames:
        raise InputError(
            f"{name} is {frames} frames long, and the motion {num_frames}; learn it again"
        )
    there = channels if kind == VALUE_SCORES else tensor.shape[-1]
    if there != channels:
        raise InputError(
            f"{name} is of {there} channels, and there are {channels} at {path}; learn it again"
        )
    if kind == QUERY_KEY and len(tensor) != 1:
        raise InputError(f"{name} is of {len(tensor)} places; expected 1, which stands for all")
    if not tensor.isfinite().all():
        raise InputError(
            f"{name} holds NaN or infinity; learn the motion again, with a lower learning rate or "
            "in another precision"
        )


def check_factors(tensors: Mapping[str, Tensor]) -> None:
    """See that scores `(H, W, N, R)` and directions `(R, C)` come together, of one rank.

    Raises:
        InputError: one without the other, or of another rank.
    """
    scored, directed = (
        {named_module(name) for name in tensors if name.startswith(kind)}
        for kind in (VALUE_SCORES, VALUE_DIRECTIONS)
    )
    for path in sorted(scored ^ directed):
        raise InputError(
            f"one of the tensors {VALUE_SCORES}{path} and {VALUE_DIRECTIONS}{path} without the "
            "other; expected both factors"
        )
    for path in sorted(scored):
        num_scores = tensors[VALUE_SCORES + path].shape[-1]
        num_directions = len(tensors[VALUE_DIRECTIONS + path])
        if num_scores != num_directions:
            raise InputError(
                f"{num_scores} scores a place on {num_directions} directions of {path}; "
                "expected as many of both"
            )


def named_module(name: str) -> str:
    """The path of the block or attention that a tensor of this name belongs to."""
    return name.partition("/")[2]
