import logging

import pytest
import torch
from torch.nn import functional as F
from transformers import TimesformerConfig, TimesformerForVideoClassification

from kinema.backbones import backbone, facts_of, set_num_frames, set_size, timesformer
from kinema.errors import InputError
from tests.backbones.test_catalogue import clip_of
from tests.backbones.tiny import tiny, tiny_transformer

SMALL = {"size": 16, "width": 16, "depth": 2, "num_heads": 2, "patch_size": 8}


def test_the_base_model_has_the_published_size():
    with torch.device("meta"):
        model = timesformer()
    assert sum(value.numel() for value in model.parameters()) == 121_566_352
    assert model.config.num_frames == 8
    assert (model.config.num_attention_heads, model.config.intermediate_size) == (12, 3072)


def test_it_is_transformers_own_model_bit_for_bit():
    config = TimesformerConfig(
        image_size=16,
        patch_size=8,
        num_frames=4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=5,
    )
    torch.manual_seed(0)
    theirs = TimesformerForVideoClassification(config).eval()
    torch.manual_seed(0)
    ours = timesformer(5, num_frames=4, **SMALL).eval()
    clip = clip_of(4)
    assert torch.equal(ours(clip).logits, theirs(clip).logits)
    facts = facts_of(theirs)
    assert (facts.layout, facts.num_frames, facts.size) == ("BTCHW", 4, 16)


def authors_state(model):
    """The state dict of a TimeSformer under its authors' names, written down the other way round:
    their module tree, walked in the order of `timesformer/models/vit.py`."""
    state = model.state_dict()
    own = {
        "cls_token": "timesformer.embeddings.cls_token",
        "pos_embed": "timesformer.embeddings.position_embeddings",
        "time_embed": "timesformer.embeddings.time_embeddings",
    }
    modules = {
        "patch_embed.proj": "timesformer.embeddings.patch_embeddings.projection",
        "norm": "timesformer.layernorm",
        "head": "classifier",
    }
    for i in range(model.config.num_hidden_layers):
        block, layer = f"blocks.{i}", f"timesformer.encoder.layer.{i}"
        modules |= {
            f"{block}.norm1": f"{layer}.layernorm_before",
            f"{block}.attn.qkv": f"{layer}.attention.attention.qkv",
            f"{block}.attn.proj": f"{layer}.attention.output.dense",
            f"{block}.temporal_norm1": f"{layer}.temporal_layernorm",
            f"{block}.temporal_attn.qkv": f"{layer}.temporal_attention.attention.qkv",
            f"{block}.temporal_attn.proj": f"{layer}.temporal_attention.output.dense",
            f"{block}.temporal_fc": f"{layer}.temporal_dense",
            f"{block}.norm2": f"{layer}.layernorm_after",
            f"{block}.mlp.fc1": f"{layer}.intermediate.dense",
            f"{block}.mlp.fc2": f"{layer}.output.dense",
        }
    for theirs, ours in modules.items():
        own |= {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias")}
    assert set(own.values()) == set(state)
    return {name: state[ours] for name, ours in own.items()}


def slow_timesformer(state, clip, *, heads):
    """Divided space-time attention after arXiv 2102.05095, patch by patch, on the authors' names.

    clip: `(T, 3, H, W)`.
    """

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attend(tokens, name):
        q, k, v = linear(tokens, f"{name}.qkv").chunk(3, dim=-1)
        width = q.shape[-1] // heads
        mixed = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = (q[:, part] @ k[:, part].T) / width**0.5
            mixed.append(scores.softmax(-1) @ v[:, part])
        return linear(torch.cat(mixed, -1), f"{name}.proj")

    weight = state["patch_embed.proj.weight"]
    side = weight.shape[-1]
    num_frames, _, height, width = clip.shape
    places = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
    tokens = torch.stack(
        [
            torch.stack(
                [
                    (weight * clip[t, :, y : y + side, x : x + side]).sum((1, 2, 3))
                    + state["patch_embed.proj.bias"]
                    + state["pos_embed"][0, 1 + place]
                    + state["time_embed"][0, t]
                    for place, (y, x) in enumerate(places)
                ]
            )
            for t in range(num_frames)
        ]
    )
    first = state["cls_token"][0, 0] + state["pos_embed"][0, 0]
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    for i in range(depth):
        block = f"blocks.{i}"
        in_time = [
            linear(
                attend(norm(tokens[:, place], f"{block}.temporal_norm1"), f"{block}.temporal_attn"),
                f"{block}.temporal_fc",
            )
            for place in range(len(places))
        ]
        tokens = tokens + torch.stack(in_time, 1)
        in_space = [
            attend(norm(torch.cat([first[None], frame]), f"{block}.norm1"), f"{block}.attn")
            for frame in tokens
        ]
        first = first + torch.stack([frame[0] for frame in in_space]).mean(0)
        tokens = tokens + torch.stack([frame[1:] for frame in in_space])
        both = torch.cat([first[None], tokens.flatten(0, 1)])
        hidden = F.gelu(linear(norm(both, f"{block}.norm2"), f"{block}.mlp.fc1"))
        both = both + linear(hidden, f"{block}.mlp.fc2")
        first, tokens = both[0], both[1:].reshape(tokens.shape)
    return linear(norm(first, "norm"), "head")


def authors_file(model, path, *, prefix="model."):
    state = {f"{prefix}{name}": value for name, value in authors_state(model).items()}
    torch.save({"model_state": state, "epoch": 15, "cfg": "TRAIN: x"}, path)
    return path


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_the_authors_file_loads_and_gives_what_the_paper_says(tmp_path, prefix):
    source = tiny_transformer("timesformer").double()
    path = authors_file(source, tmp_path / "TimeSformer.pyth", prefix=prefix)
    model = timesformer(5, weights=path, num_heads=2).double().eval()
    assert (model.config.num_frames, model.config.image_size) == (4, 16)
    clip = clip_of(4).double()
    logits = model(clip).logits
    assert torch.equal(logits, source(clip).logits)
    slow = torch.stack([slow_timesformer(authors_state(source), one, heads=2) for one in clip])
    torch.testing.assert_close(logits, slow, rtol=1e-10, atol=1e-12)
    assert logits.std() > 1e-3


def test_the_authors_file_for_other_classes_frames_and_size(tmp_path, caplog):
    source = tiny_transformer("timesformer")
    path = authors_file(source, tmp_path / "a.pyth")
    with caplog.at_level(logging.WARNING, logger="kinema"):
        model = timesformer(3, weights=path, num_heads=2, num_frames=8, size=32)
    assert "a.pyth has a head for 5 classes and this model one for 3" in caplog.text
    assert "took 4 frames and now takes 8" in caplog.text
    assert "took crops of 16 and now takes 32" in caplog.text
    facts = facts_of(model)
    assert (facts.num_frames, facts.size, facts.num_classes) == (8, 32, 3)
    assert model(clip_of(8, size=32)).logits.shape == (2, 3)


def test_a_file_of_another_width_does_not_tell_its_heads(tmp_path):
    path = authors_file(tiny_transformer("timesformer"), tmp_path / "a.pyth")
    with pytest.raises(InputError, match=r"how many heads its attention of 16 .*give num_heads"):
        timesformer(5, weights=path)


def test_a_folder_in_half_precision_is_read_in_full(tmp_path):
    tiny_transformer("timesformer").to(torch.bfloat16).save_pretrained(tmp_path)
    kept = timesformer(5, weights=tmp_path)
    assert {each.dtype for each in kept.parameters()} == {torch.float32}


def test_another_file_is_refused(tmp_path):
    torch.save({"model_state": tiny("x3d").state_dict()}, tmp_path / "x3d.pyth")
    with pytest.raises(
        InputError, match=r"does not fit a TimeSformer: .*projection.weight is miss"
    ):
        timesformer(5, weights=tmp_path / "x3d.pyth")
    path = authors_file(tiny_transformer("timesformer"), tmp_path / "a.pyth")
    with pytest.raises(InputError, match=r"cls_token is \(1, 1, 16\) there and \(1, 1, 32\) here"):
        timesformer(5, weights=path, width=32, num_heads=2)


def test_a_folder_keeps_its_frames_unless_asked(tmp_path, caplog):
    source = tiny_transformer("timesformer")
    source.save_pretrained(tmp_path)
    kept = timesformer(5, weights=tmp_path).eval()
    assert torch.equal(kept(clip_of(4)).logits, source(clip_of(4)).logits)
    with caplog.at_level(logging.WARNING, logger="kinema"):
        longer = timesformer(5, weights=tmp_path, num_frames=8, size=32, dropout=0.5)
    assert (longer.config.num_frames, longer.config.image_size) == (8, 32)
    assert longer.config.hidden_dropout_prob == 0.5
    assert "its time embeddings are resized" in caplog.text
    longer.save_pretrained(tmp_path / "longer")
    again = timesformer(5, weights=tmp_path / "longer").eval()
    clip = clip_of(8, size=32)
    assert torch.equal(again(clip).logits, longer.eval()(clip).logits)


def test_sizes_beside_a_folder_must_be_its_own(tmp_path):
    tiny_transformer("timesformer").save_pretrained(tmp_path)
    assert timesformer(5, weights=tmp_path, width=16).config.hidden_size == 16
    with pytest.raises(InputError, match=r"width is 32; .* has 16: leave it out"):
        timesformer(5, weights=tmp_path, width=32)


@pytest.mark.parametrize("num_frames", [2, 3, 8, 9])
def test_other_frames_give_what_transformers_interpolates_at_run_time(num_frames):
    model, theirs = tiny_transformer("timesformer"), tiny_transformer("timesformer")
    theirs.config.num_frames = num_frames
    set_num_frames(model, num_frames)
    assert model.timesformer.embeddings.time_embeddings.shape[1] == num_frames
    clip = clip_of(num_frames)
    assert torch.equal(model(clip).logits, theirs(clip).logits)


@pytest.mark.parametrize("size", [24, 32, 40])
def test_another_size_gives_what_transformers_interpolates_at_run_time(size):
    model, theirs = tiny_transformer("timesformer"), tiny_transformer("timesformer")
    theirs.config.image_size = size
    set_size(model, size)
    clip = clip_of(4, size=size)
    assert torch.equal(model(clip).logits, theirs(clip).logits)
    places = model.timesformer.embeddings.position_embeddings
    assert places.shape[1] == 1 + (size // 8) ** 2
    assert torch.equal(places[:, 0], theirs.timesformer.embeddings.position_embeddings[:, 0])


@pytest.mark.parametrize("name", ["videomae", "x3d_s"])
def test_other_backbones_cannot_be_resized(name):
    small = {"width": 8, "depth": 1} if name == "videomae" else {"width": 8}
    size = {"patch_size": 8, "num_heads": 2} if name == "videomae" else {}
    model = backbone(name, num_classes=3, num_frames=4, size=32, **small, **size)
    with pytest.raises(InputError, match="only a TimeSformer can be resized"):
        set_size(model, 64)


def test_the_same_frames_change_nothing_and_say_nothing(caplog):
    model = tiny_transformer("timesformer")
    before = model.timesformer.embeddings.time_embeddings
    with caplog.at_level(logging.WARNING, logger="kinema"):
        set_num_frames(model, 4)
        set_size(model, 16)
    assert model.timesformer.embeddings.time_embeddings is before
    assert caplog.records == []


def test_a_frozen_embedding_stays_frozen_when_resized():
    model = tiny_transformer("timesformer").requires_grad_(False)
    set_num_frames(model, 6)
    assert not model.timesformer.embeddings.time_embeddings.requires_grad


def test_space_only_attention_has_no_time_to_resize():
    config = TimesformerConfig(
        image_size=16, patch_size=8, num_frames=4, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, attention_type="space_only",
    )  # fmt: skip
    model = TimesformerForVideoClassification(config)
    set_num_frames(model, 6)
    assert model.config.num_frames == 6


@pytest.mark.parametrize("name", ["videomae", "vivit", "vjepa2"])
def test_the_others_cannot_change_their_frames(name):
    model = tiny_transformer(name)
    with pytest.raises(InputError, match=r"num_frames is 8; this .* is built for 4: build it with"):
        set_num_frames(model, 8)
    assert facts_of(model).num_frames == 4


def test_frames_and_sizes_that_cannot_be_are_refused():
    model = tiny_transformer("timesformer")
    with pytest.raises(InputError, match="num_frames is 0; expected 1 or more"):
        set_num_frames(model, 0)
    with pytest.raises(InputError, match="size is 20; expected a multiple of the patch size, 8"):
        set_size(model, 20)


def test_it_is_made_by_name_too():
    with torch.device("meta"):
        model = backbone("timesformer", num_classes=67, num_frames=16, width=128, depth=3)
    assert model.config.num_frames == 16
    assert model.config.num_hidden_layers == 3
    assert (model.config.num_attention_heads, model.config.intermediate_size) == (2, 512)
    assert model.classifier.out_features == 67
