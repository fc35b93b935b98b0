import contextlib
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion import Motion, Origin, Site, attach, find_sites
from kinema.motion_inversion.attachment import Attachment
from kinema.motion_inversion.origin import Attentions, attentions_of
from kinema.motion_inversion.parameters import (
    QUERY_KEY,
    VALUE,
    VALUE_DIRECTIONS,
    VALUE_SCORES,
    new_embeddings,
    site_value,
)
from kinema.motion_inversion.positions import ClipTime
from kinema.motion_inversion.usage import Usage
from tests.motion_inversion.tiny import LATENT_SIZE, TINY, Tiny, each_tiny, output

UNET3D, UNET_MOTION, *_ = TINY


@functools.cache
def _sites(tiny: Tiny) -> list[Site]:
    return find_sites(tiny.model(torch.float32))


@functools.cache
def _attentions(tiny: Tiny) -> Attentions:
    return attentions_of(tiny.model(torch.float32))


def _motion(
    tiny: Tiny = UNET3D,
    *,
    seed: int = 0,
    num_frames: int = 5,
    latents: bool = False,
    **form: Any,
) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    tensors = new_embeddings(_sites(tiny), num_frames=num_frames, latent_size=LATENT_SIZE, **form)
    origin = Origin(
        model_class=tiny.kind,
        attentions=_attentions(tiny),
        num_frames=num_frames,
        latent_size=LATENT_SIZE,
        model_id="some/model",
        frames_per_second=8.0,
        source_sha256="ab" * 32,
        prompt="a car turns",
        settings={"num_steps": 3, "noise_levels": [0.0, 1.0]},
        seed=seed,
    )
    return Motion(
        {name: torch.randn(t.shape, generator=generator) for name, t in tensors.items()},
        origin,
        torch.randn(4, num_frames, *LATENT_SIZE, generator=generator) if latents else None,
    )


def _same(a: Motion, b: Motion) -> bool:
    return a.tensors.keys() == b.tensors.keys() and all(
        torch.equal(tensor, b.tensors[name]) for name, tensor in a.tensors.items()
    )


def _values(motion: Motion, mode: str) -> dict[str, Tensor]:
    """What each site would add, in full."""
    values = {}
    for site in _sites(UNET3D):
        value = site_value(
            motion.tensors,
            site,
            mode=mode,
            num_frames=motion.num_frames,
            grid=site.grid(LATENT_SIZE),
        )
        assert value is not None
        values[site.name] = value
    return values


def test_saving_and_loading_keeps_everything(tmp_path: Path):
    motion = _motion(latents=True)
    motion.save(tmp_path / "car.safetensors")
    again = Motion.load(tmp_path / "car.safetensors")
    assert _same(motion, again)
    assert again.origin == motion.origin
    assert again.inverted_latents is not None
    assert torch.equal(again.inverted_latents, motion.inverted_latents)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "car.safetensors"
    ).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.safetensors",
        "car.safetensors",
    ]


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path):
    motion = _motion()
    motion.save(tmp_path / "full.safetensors")
    motion.save(tmp_path / "half.safetensors", dtype=torch.float16)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full
    again = Motion.load(tmp_path / "half.safetensors")
    for name, tensor in again.tensors.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, motion.tensors[name], atol=2e-3, rtol=1e-3)


def test_the_header_is_json_that_says_where_it_came_from(tmp_path: Path):
    _motion().save(tmp_path / "car.safetensors")
    with safe_open(tmp_path / "car.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["kinema_motion"])
    assert header["prompt"] == "a car turns"
    assert header["model_class"] == "UNet3DConditionModel"
    assert header["fingerprint"] == _motion().origin.fingerprint
    assert header["fingerprint"] != _motion(UNET_MOTION).origin.fingerprint


def test_a_preview_lies_beside_it(tmp_path: Path):
    _motion().save(tmp_path / "car.safetensors", preview=torch.rand(5, 3, 16, 16))
    assert (tmp_path / "car.gif").read_bytes().startswith(b"GIF8")


def test_a_preview_of_a_faster_clip_than_a_gif_can_show(tmp_path: Path):
    motion = _motion()
    fast = dataclasses.replace(
        motion, origin=dataclasses.replace(motion.origin, frames_per_second=124.0)
    )
    fast.save(tmp_path / "car.safetensors", preview=torch.rand(5, 3, 16, 16))
    assert (tmp_path / "car.gif").read_bytes().startswith(b"GIF8")
    assert Motion.load(tmp_path / "car.safetensors").origin.frames_per_second == 124.0


@pytest.mark.parametrize("form", ["full", "low-rank", "none"])
def test_arithmetic_is_that_of_the_embeddings(form: str):
    a, b = _motion(value=form), _motion(seed=1, value=form)
    mixed = 0.5 * a + b * 2 - a
    if form != "none":
        for name, value in _values(mixed, "debiased").items():
            expected = 2 * _values(b, "debiased")[name] - 0.5 * _values(a, "debiased")[name]
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)
    for name, tensor in mixed.tensors.items():
        if name.startswith(QUERY_KEY):
            expected = 2 * b.tensors[name] - 0.5 * a.tensors[name]
            torch.testing.assert_close(tensor, expected, atol=1e-5, rtol=1e-5)
    assert mixed.origin.history[0] == "times 0.5"


def test_sums_of_unlike_forms_are_their_full_sum():
    a, b = _motion(), _motion(seed=1, value="low-rank")
    coarse = _motion(seed=2, value="coarse", coarse_factor=2)
    total = a + b + coarse
    for name, value in _values(total, "raw").items():
        parts = [_values(motion, "raw")[name] for motion in (a, b, coarse)]
        torch.testing.assert_close(value, sum(parts), atol=1e-5, rtol=1e-5)


def test_low_ranks_add_up_on_the_finer_grid_and_are_compressed_again():
    a = _motion(value="low-rank", rank=2)
    coarse = {
        name: tensor[::2, ::2] if name.startswith(VALUE_SCORES) else tensor
        for name, tensor in _motion(seed=1, value="low-rank", rank=3).tensors.items()
    }
    b = dataclasses.replace(a, tensors=coarse)
    for total in (a + b, b + a):
        ranks = {len(t) for name, t in total.tensors.items() if name.startswith(VALUE_DIRECTIONS)}
        assert ranks == {5}
        for name, value in _values(total, "raw").items():
            parts = [_values(motion, "raw")[name] for motion in (a, b)]
            torch.testing.assert_close(value, sum(parts), atol=1e-5, rtol=1e-5)
    # Two motions of rank 2 that share their directions are of rank 2 together.
    assert (a + 2 * a).compressed(2).num_numbers == a.num_numbers
    for name, value in _values((a + 2 * a).compressed(2), "raw").items():
        torch.testing.assert_close(value, 3 * _values(a, "raw")[name], atol=1e-4, rtol=1e-4)


def test_query_keys_of_places_add_up_and_go_with_those_for_all():
    a, b = _motion(query_key_grid=True), _motion(seed=1)
    total = a + b
    both = {name.partition("/")[0] for name in total.only("query_key").tensors}
    assert both == {"query_key", "query_key_grid"}
    model, inputs = UNET3D.model(torch.float32), UNET3D.inputs(torch.float32)
    with a.on(model, value="raw"), b.on(model, value="raw"):
        expected = output(model, inputs)
    with total.on(model, value="raw"):
        torch.testing.assert_close(output(model, inputs), expected, atol=1e-4, rtol=1e-4)
    twice = a + a
    name = next(name for name in a.tensors if name.startswith("query_key_grid/"))
    torch.testing.assert_close(twice.tensors[name], 2 * a.tensors[name])
    assert twice.reversed().tensors[name].equal(twice.tensors[name].flip(-2))


def test_a_sum_keeps_what_only_one_of_them_has():
    motion = _motion()
    total = motion.only("query_key") + motion.only("value")
    assert _same(
        Motion(dict(sorted(total.tensors.items())), total.origin),
        Motion(dict(sorted(motion.tensors.items())), motion.origin),
    )


@pytest.mark.parametrize("form", ["full", "coarse", "low-rank"])
def test_reversed_turns_velocities_round(form: str):
    motion = _motion(value=form, latents=True)
    backwards = motion.reversed()
    for name, value in _values(motion, "debiased").items():
        turned = _values(backwards, "debiased")[name]
        # Changes from frame to frame come last first, and change their sign.
        torch.testing.assert_close(turned[:, :, 1:], -value[:, :, 1:].flip(2))
        # Equation 5 keeps frame 1, now the clip's last.
        torch.testing.assert_close(turned[:, :, 0], _values(motion, "raw")[name][:, :, -1])
    for name, tensor in motion.tensors.items():
        if name.startswith(QUERY_KEY):
            assert torch.equal(backwards.tensors[name], tensor.flip(1))
    assert motion.inverted_latents is not None
    assert torch.equal(backwards.inverted_latents, motion.inverted_latents.flip(1))
    assert _same(backwards.reversed(), motion)


def _seen(motion: Motion, model: Any, num_frames: int) -> dict[str, Tensor]:
    """What queries and keys of each block are shifted by, together with the model's positions."""
    given: dict[str, Tensor] = {}
    seen: dict[str, Tensor] = {}

    def look(module: Any, args: tuple[Tensor, ...], *, block: str, projected: bool) -> None:
        if projected:
            # What diffusers' own block adds to what its attentions see.
            positions = model.get_submodule(block).pos_embed.pe[0, :num_frames]
            seen[block] = args[0] - given[block] + positions
        else:
            given[block] = args[0]

    hooks = []
    for site in _sites(UNET_MOTION):
        attention = model.get_submodule(site.name)
        for module, projected in ((attention, False), (attention.to_q, True)):
            watch = functools.partial(look, block=site.block, projected=projected)
            hooks.append(module.register_forward_pre_hook(watch))
    with motion.on(model):
        output(model, UNET_MOTION.inputs(torch.float32, num_frames=num_frames))
    for hook in hooks:
        hook.remove()
    return seen


def _drawn_out(lines: Tensor) -> Tensor:
    """`(..., N, C)` with the mean of both neighbours between any two frames."""
    out = lines.new_empty(*lines.shape[:-2], 2 * lines.shape[-2] - 1, lines.shape[-1])
    out[..., ::2, :] = lines
    out[..., 1::2, :] = (lines[..., 1:, :] + lines[..., :-1, :]) / 2
    return out


@pytest.mark.parametrize("form", ["all", "grid", "both"])
def test_the_positions_of_a_model_turn_round_and_stretch_with_its_motion(form: str):
    motion = _motion(UNET_MOTION, query_key_grid=form == "grid")
    if form == "both":
        motion = motion + _motion(UNET_MOTION, query_key_grid=True, seed=1)
    model: Any = UNET_MOTION.model(torch.float32)
    num_frames = motion.num_frames
    longer = 2 * num_frames - 1
    seen = _seen(motion, model, num_frames)
    for changed, frames, expected in (
        (motion.reversed(), num_frames, {k: v.flip(-2) for k, v in seen.items()}),
        (motion.reversed().reversed(), num_frames, seen),
        (motion, longer, {k: _drawn_out(v) for k, v in seen.items()}),
        (motion.resampled(longer), longer, {k: _drawn_out(v) for k, v in seen.items()}),
        (motion.resampled(longer).resampled(num_frames), num_frames, seen),
        (
            motion.resampled(longer).reversed(),
            longer,
            {k: _drawn_out(v).flip(-2) for k, v in seen.items()},
        ),
    ):
        found = _seen(changed, model, frames)
        assert found.keys() == seen.keys() != set()
        for block, lines in found.items():
            torch.testing.assert_close(lines, expected[block], atol=1e-5, rtol=0)
    backwards = motion.reversed()
    for name, tensor in motion.tensors.items():  # debiased only when used
        assert torch.equal(backwards.tensors[name], tensor.flip(-2))


@pytest.mark.parametrize("num_frames", [5, 8])
def test_positions_change_once_whatever_the_number_of_motions(num_frames: int):
    model = UNET_MOTION.model(torch.float32)
    inputs = UNET_MOTION.inputs(torch.float32, num_frames=num_frames)
    a, b = _motion(UNET_MOTION), _motion(UNET_MOTION, seed=1)

    def made(*motions: Motion, **usage: Any) -> Tensor:
        with contextlib.ExitStack() as stack:
            for motion in motions:
                stack.enter_context(motion.on(model, **usage))
            return output(model, inputs)

    together = made(a + b)
    for same in (
        made(a, b),
        made(a, 0.25 * b, 0.75 * b),
        made(a.resampled(8) + b.resampled(8)) if num_frames == 8 else together,
        made((a + b).resampled(8)) if num_frames == 8 else together,
        made((a + b).reversed().reversed()),
    ):
        torch.testing.assert_close(same, together, atol=1e-4, rtol=1e-4)
    backwards = made((a + b).reversed())
    assert not torch.allclose(backwards, together, atol=1e-3)
    for same in (made(a.reversed(), b.reversed()), made(a.reversed() + b.reversed())):
        torch.testing.assert_close(same, backwards, atol=1e-4, rtol=1e-4)
    # The strength is of the embeddings alone.
    turned = a.reversed()
    torch.testing.assert_close(made(turned, strength=0.5), made(0.5 * turned), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made(0.5 * turned), made((0.5 * a).reversed()), atol=1e-5, rtol=1e-5)
    assert torch.equal(made(turned, strength=0), made())


def test_positions_change_where_one_of_several_motions_asks_for_it():
    model = UNET_MOTION.model(torch.float32)
    inputs = UNET_MOTION.inputs(torch.float32, batch_size=4)
    a, b = _motion(UNET_MOTION).reversed(), _motion(UNET_MOTION, seed=1).reversed()
    with (a + b).on(model):
        everywhere = output(model, inputs)
    with b.on(model):
        only_b = output(model, inputs)
    with a.on(model, branch="conditional"), b.on(model):
        found = output(model, inputs)
    torch.testing.assert_close(found[:2], only_b[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[2:], everywhere[2:], atol=1e-4, rtol=1e-4)


def test_positions_that_do_not_agree_are_refused():
    model = UNET_MOTION.model(torch.float32)
    motion = _motion(UNET_MOTION)
    backwards, longer = motion.reversed(), motion.resampled(8)
    other = _motion(UNET_MOTION, num_frames=8)
    for first, second, sentence in (
        (motion, backwards, "needs the positions of 5 frames backwards and .* those of 5 frames,"),
        (other, longer, "needs the positions of 5 frames and .* those of 8 frames,"),
    ):
        with first.on(model), pytest.raises(InputError, match=sentence), second.on(model):
            pass
        # No query-key embeddings, no word on what queries and keys see.
        with first.on(model), second.only("value").on(model), second.on(model, query_key=0):
            output(model, UNET_MOTION.inputs(torch.float32))
    with pytest.raises(InputError, match="positions of 5 frames and one with those of 5 frames b"):
        motion + backwards
    with pytest.raises(InputError, match="positions of 8 frames and one with those of 5 frames,"):
        other - longer
    values = motion.only("value")
    assert (values + backwards).origin.clip_time == backwards.origin.clip_time
    assert (backwards + values).origin.clip_time == backwards.origin.clip_time
    assert not model._forward_pre_hooks
    # Text-to-video models show their attentions no positions.
    total = _motion() + _motion(seed=1).reversed()
    with total.on(UNET3D.model(torch.float32)):
        pass


def test_a_file_keeps_the_time_of_the_clip_and_older_ones_have_it_inside(tmp_path: Path):
    model: Any = UNET_MOTION.model(torch.float32)
    motion = _motion(UNET_MOTION)
    path = tmp_path / "car.safetensors"
    motion.save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["kinema_motion"])
    assert not {"clip_frames", "backwards"} & header.keys()
    changed = motion.reversed().resampled(8)
    changed.save(path)
    again = Motion.load(path)
    assert again.origin == changed.origin
    assert again.origin.clip_time == ClipTime(5, backwards=True)
    # As files were written before: positions within the embeddings, and no word of them.
    older = dataclasses.replace(
        changed, origin=dataclasses.replace(changed.origin, clip_frames=None, backwards=False)
    )
    for name, tensor in changed.tensors.items():
        if name.startswith(QUERY_KEY):
            positions = changed.origin.clip_time.shift(8, tensor)
            assert positions is not None
            older = dataclasses.replace(older, tensors={**older.tensors, name: tensor + positions})
    older.save(path)
    inputs = UNET_MOTION.inputs(torch.float32, num_frames=8)
    with changed.on(model):
        expected = output(model, inputs)
    with Motion.load(path).on(model):
        torch.testing.assert_close(output(model, inputs), expected, atol=1e-4, rtol=1e-4)


def test_resampled_is_another_length_of_the_same_path():
    motion = _motion(latents=True)
    longer = motion.resampled(9)
    assert longer.num_frames == 9
    assert longer.inverted_latents is None
    for name, tensor in motion.tensors.items():
        found = longer.tensors[name]
        assert found.shape[-2] == 9
        torch.testing.assert_close(found[..., ::2, :], tensor)
        between = (tensor[..., 1:, :] + tensor[..., :-1, :]) / 2
        torch.testing.assert_close(found[..., 1::2, :], between)
    # Half as fast: what changes from one frame to the next is half.
    name = next(name for name in motion.tensors if name.startswith(VALUE))
    steps = longer.tensors[name].diff(dim=2)[:, :, :2].sum(2)
    torch.testing.assert_close(steps, motion.tensors[name].diff(dim=2)[:, :, 0])


@pytest.mark.parametrize("form", [{}, {"query_key_grid": True}])
@pytest.mark.parametrize("tiny", [UNET3D, UNET_MOTION], ids=lambda tiny: tiny.kind)
def test_resampling_first_or_on_the_model_is_the_same(tiny: Tiny, form: dict[str, Any]):
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32, num_frames=8)
    motion = _motion(tiny, **form)
    with motion.on(model):
        found = output(model, inputs)
    with motion.resampled(8).on(model):
        torch.testing.assert_close(output(model, inputs), found, atol=1e-5, rtol=1e-5)


def test_only_one_kind():
    motion = _motion()
    names = {name.partition("/")[0] for name in motion.only("query_key").tensors}
    assert names == {"query_key"}
    low_rank = _motion(value="low-rank").only("value")
    assert {name.partition("/")[0] for name in low_rank.tensors} == {
        "value_scores",
        "value_directions",
    }
    with pytest.raises(InputError, match=r"kind is 'key'; expected one of query_key, value"):
        motion.only("key")
    with pytest.raises(InputError, match="has no value embeddings"):
        motion.only("query_key").only("value")


@each_tiny
def test_on_uses_it_and_leaves_no_trace(tiny: Tiny):
    model = tiny.model(torch.float32)
    inputs = tiny.inputs(torch.float32)
    base, motion = output(model, inputs), _motion(tiny)
    with motion.on(model, strength=0.5, value="centred", value_strength=2):
        found = output(model, inputs)
    assert torch.equal(output(model, inputs), base)
    usage = Usage(query_key_strength=0.5, value_strength=2, value="centred")
    attachment = Attachment(model, motion.tensors, find_sites(model), usage)
    assert torch.equal(output(model, inputs), found)
    attachment.detach()
    assert not torch.allclose(found, base)


def test_strengths_and_modes_are_apart():
    model = UNET3D.model(torch.float32)
    inputs = UNET3D.inputs(torch.float32)
    motion = _motion()

    def made(motion: Motion, **usage: Any) -> Tensor:
        with motion.on(model, **usage):
            return output(model, inputs)

    keys, values = motion.only("query_key"), motion.only("value")
    assert torch.equal(made(motion, value="none"), made(keys))
    assert torch.equal(made(motion, query_key=0), made(values))
    assert torch.equal(made(motion, value_strength=0), made(keys))
    torch.testing.assert_close(made(motion, strength=0.5), made(0.5 * motion))
    assert torch.equal(made(motion, strength=0.5, query_key=1, value_strength=1), made(motion))


def test_a_motion_is_taken_off_when_the_block_fails():
    model = UNET3D.model(torch.float32)
    with pytest.raises(RuntimeError, match="by chance"), _motion().on(model):
        raise RuntimeError("by chance")
    assert not model._forward_pre_hooks


def test_a_motion_of_another_model_is_refused_with_the_first_difference():
    motion = _motion()
    with pytest.raises(InputError, match=r"learned on a UNet3D.*this is a UNetMotionModel"):
        attach(UNET_MOTION.model(torch.float32), motion)
    wider = dict(motion.origin.attentions)
    name = list(wider)[3]
    wider[name] = (24, 16, 4)
    other = dataclasses.replace(motion, origin=dataclasses.replace(motion.origin, attentions=wider))
    sentence = f"with 24 channels at {name}, and this is a UNet3DConditionModel with 8"
    model = UNET3D.model(torch.float32)
    with pytest.raises(InputError, match=sentence):
        attach(model, other)
    more = {**motion.origin.attentions, "down_blocks.9.attn1": (1, 1, 1)}
    other = dataclasses.replace(motion, origin=dataclasses.replace(motion.origin, attentions=more))
    with pytest.raises(InputError, match=r"attention at down_blocks\.9\.attn1"):
        attach(model, other)
    fewer = {k: v for k, v in motion.origin.attentions.items() if k != name}
    other = dataclasses.replace(motion, origin=dataclasses.replace(motion.origin, attentions=fewer))
    with pytest.raises(InputError, match=f"without a temporal attention at {name}"):
        attach(model, other)
    assert not model._forward_pre_hooks


def test_motions_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match=r"learned on a UNet3D.*UNetMotionModel"):
        _motion() + _motion(UNET_MOTION)
    with pytest.raises(InputError, match=r"5 frames and one of 7.*resampled"):
        _motion() + _motion().resampled(7)
    with pytest.raises(InputError, match="num_frames is 1"):
        _motion().resampled(1)
    with pytest.raises(TypeError):
        _motion() * "a lot"  # type: ignore[operator]
    with pytest.raises(TypeError):
        _motion() + 1  # type: ignore[operator]


def test_files_that_hold_no_motion_are_refused(tmp_path: Path):
    path = tmp_path / "car.safetensors"
    with pytest.raises(InputError, match="there is no motion"):
        Motion.load(path)
    _motion().save(path)
    whole = path.read_bytes()
    for kept in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match="no safetensors file, or only part of one"):
            Motion.load(path)
    path.write_bytes(b"\x89PNG and so on" * 100)
    with pytest.raises(InputError, match="no safetensors file"):
        Motion.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="without the header 'kinema_motion'"):
        Motion.load(path)
    for header, sentence in (
        ("not json", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 9}', "of format 9"),
        ('{"format": 1}', "does not say where the motion came from"),
    ):
        save_file({"weight": torch.zeros(2)}, path, metadata={"kinema_motion": header})
        with pytest.raises(InputError, match=sentence):
            Motion.load(path)


def test_tensors_that_cannot_be_used_are_refused(tmp_path: Path):
    motion = _motion()
    name = next(iter(motion.tensors))
    for tensor, sentence in (
        (torch.full_like(motion.tensors[name], float("nan")), "NaN or infinity"),
        (motion.tensors[name][:, :-1], "is 4 frames long, and the motion 5; learn it again"),
        (motion.tensors[name][0], "2 axes; expected one of query_key/<path> with 3"),
    ):
        with pytest.raises(InputError, match=sentence):
            dataclasses.replace(motion, tensors={**motion.tensors, name: tensor})
    embedded = name.partition("/")[2]
    for other, tensor, sentence in (
        ("query_key/no.such", torch.zeros(1, 5, 8), "has no temporal block no.such; learn"),
        ("value/no.attn1", torch.zeros(2, 2, 5, 8), "has no temporal attention no.attn1; learn"),
        (f"value/{embedded}", torch.zeros(2, 2, 5, 8), f"no temporal attention {embedded};"),
        (
            name,
            torch.zeros(1, 5, 99),
            f"is of 99 channels, and there are .* at {embedded};",
        ),
        (name, motion.tensors[name].expand(7, -1, -1), "is of 7 places; expected 1, which stands"),
        ("value_space/x", torch.zeros(2, 2, 3), "of a form that is no longer read; learn the"),
    ):
        with pytest.raises(InputError, match=sentence):
            dataclasses.replace(motion, tensors={**motion.tensors, other: tensor})
    with pytest.raises(InputError, match="a tensor weight with 1 axes"):
        dataclasses.replace(motion, tensors={"weight": torch.zeros(2)})
    with pytest.raises(InputError, match="without embeddings"):
        dataclasses.replace(motion, tensors={})
    with pytest.raises(InputError, match=r"inverted latents of shape \(2,\)"):
        dataclasses.replace(motion, inverted_latents=torch.zeros(2))
    # The same from a file, with its name.
    header = json.dumps({"format": 1, **motion.origin.to_json()})
    tensors = {name: tensor * float("inf") for name, tensor in motion.tensors.items()}
    save_file(tensors, tmp_path / "bad.safetensors", metadata={"kinema_motion": header})
    with pytest.raises(InputError, match=r"bad\.safetensors holds no motion.*NaN or infinity"):
        Motion.load(tmp_path / "bad.safetensors")


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: Any):
    def no_room(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", no_room)
    with pytest.raises(InputError, match=r"cannot write .*car\.safetensors.*No space left"):
        _motion().save(tmp_path / "car.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["tensors", "inverted latents"])
def test_numbers_too_large_for_half_precision_are_not_written(what: str, tmp_path: Path):
    motion = _motion(latents=True)
    if what == "tensors":
        motion = 1e6 * motion
    else:
        motion = dataclasses.replace(motion, inverted_latents=motion.inverted_latents * 1e6)
    with pytest.raises(InputError, match=r"as large as .*e\+06, .* torch.float16; save it as fl"):
        motion.save(tmp_path / "car.safetensors", dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []
    motion.save(tmp_path / "car.safetensors")
    assert _same(Motion.load(tmp_path / "car.safetensors"), motion)


@pytest.mark.parametrize("left_out", [VALUE_SCORES, VALUE_DIRECTIONS])
def test_low_rank_names_come_in_pairs(left_out: str):
    motion = _motion(value="low-rank")
    kept = {name: t for name, t in motion.tensors.items() if not name.startswith(left_out)}
    with pytest.raises(InputError, match=r"without the other; expected both factors"):
        dataclasses.replace(motion, tensors=kept)


def test_scores_and_directions_are_as_many():
    motion = _motion(value="low-rank", rank=3)
    name = next(name for name in motion.tensors if name.startswith(VALUE_DIRECTIONS))
    with pytest.raises(InputError, match=r"3 scores a place on 2 directions of .*attn1; expected"):
        dataclasses.replace(motion, tensors={**motion.tensors, name: motion.tensors[name][:2]})
    with pytest.raises(InputError, match=r"is of 7 channels, and there are \d+ at .*; learn it"):
        dataclasses.replace(motion, tensors={**motion.tensors, name: torch.zeros(3, 7)})


def test_a_motion_of_low_rank_is_compressed_without_loss():
    motion = _motion(value="low-rank", rank=2)
    full = {VALUE + path: value for path, value in _values(motion, "raw").items()}
    kept = {name: t for name, t in motion.tensors.items() if name.startswith(QUERY_KEY)}
    small = Motion({**kept, **full}, motion.origin).compressed(2)
    assert small.num_numbers == motion.num_numbers
    for name, value in _values(small, "centred").items():
        torch.testing.assert_close(value, _values(motion, "centred")[name], atol=1e-5, rtol=1e-4)
    for name, tensor in kept.items():
        assert small.tensors[name] is tensor
    assert small.origin.history == ("compressed to rank 2",)


def test_compressing_leaves_what_is_smaller_and_can_be_done_again():
    motion = _motion(latents=True)
    assert motion.compressed(1000).tensors.keys() == motion.tensors.keys()
    once = motion.compressed(3)
    assert once.num_numbers < motion.num_numbers
    twice = once.compressed(2)
    assert twice.num_numbers < once.num_numbers
    for name, value in _values(motion.compressed(2), "raw").items():
        torch.testing.assert_close(_values(twice, "raw")[name], value, atol=1e-4, rtol=1e-3)
    assert twice.inverted_latents is motion.inverted_latents
    for rank, sentence in ((0, "rank is 0; expected 1 or more"), (1.5, "rank is 1.5; expected a")):
        with pytest.raises(InputError, match=sentence):
            motion.compressed(rank)


def test_the_hub_gets_the_file_and_a_card(tmp_path: Path, monkeypatch: Any):
    uploaded: dict[str, bytes] = {}

    class Api:
        def __init__(self, token: str | None = None) -> None:
            pass

        def create_repo(self, repo_id: str, **kwargs: Any) -> str:
            return f"https://hub/{repo_id}"

        def upload_folder(self, *, folder_path: Path, **kwargs: Any) -> None:
            for file in folder_path.iterdir():
                uploaded[file.name] = file.read_bytes()

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    motion = _motion()
    assert motion.push_to_hub("someone/car-turn") == "https://hub/someone/car-turn"
    assert sorted(uploaded) == ["README.md", "motion.safetensors"]
    assert b"base_model: some/model" in uploaded["README.md"]
    here = dataclasses.replace(motion.origin, model_id=str(tmp_path))
    dataclasses.replace(motion, origin=here).push_to_hub("someone/car-turn")
    assert b"base_model" not in uploaded["README.md"]
    motion.push_to_hub("someone/car-turn")
    (tmp_path / "motion.safetensors").write_bytes(uploaded["motion.safetensors"])
    assert _same(Motion.from_pretrained(tmp_path), motion)


def test_a_name_that_the_hub_does_not_know_is_a_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="there is no folder someone/nothing, and the hub gives"):
        Motion.from_pretrained("someone/nothing")
    with pytest.raises(InputError, match="there is no motion"):
        Motion.from_pretrained(tmp_path)
