"""Backbones by name, and transformers' families among them."""

import logging

import pytest
import torch
from safetensors.torch import save_file

from kinema.backbones import (
    FACTS,
    backbone,
    catalogue,
    facts_of,
    slowfast_r50,
    timesformer,
    x3d_s,
)
from kinema.errors import InputError
from tests.backbones.tiny import TRANSFORMERS, tiny_transformer

every_transformer = pytest.mark.parametrize("name", TRANSFORMERS)


def clip_of(num_frames, *, size=16, seed=0):
    return torch.randn(2, num_frames, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [64, 112])
@pytest.mark.parametrize("name", ["slowfast_r50", "x3d_s", "timesformer"])
def test_small_ones_for_a_laptop_train_on_16_small_frames(name, size):
    sizes = {"width": 16, "depths": (1, 1, 1, 1)}
    if name == "timesformer":
        sizes = {"width": 64, "depth": 1}
    torch.manual_seed(0)
    model = backbone(name, num_classes=6, num_frames=16, size=size, **sizes)
    facts = facts_of(model)
    assert (facts.num_frames, facts.size, facts.num_classes) == (16, size, 6)
    assert facts.num_parameters < 2_000_000
    clip = torch.randn(2, 16, 3, size, size)
    output = model(clip if facts.layout == "BTCHW" else clip.transpose(1, 2))
    logits = getattr(output, "logits", output)
    assert logits.shape == (2, 6)
    logits.logsumexp(1).sum().backward()
    head = model.get_submodule(facts.head)
    assert head.weight.grad.abs().max() > 0


def test_sizes_reach_the_model():
    small = x3d_s(num_classes=6, width=8, depths=(1, 1, 2, 1), head_width=64, size=64)
    assert small.blocks[5].proj.in_features == 64
    assert len(small.blocks[3].res_blocks) == 2
    assert small.blocks[5].pool.pool.size == 2
    fast = slowfast_r50(width=16, width_ratio=4, frame_ratio=8, num_frames=16, size=112)
    assert fast.blocks[0].multipathway_blocks[1].conv.out_channels == 4
    assert (fast.frame_ratio, fast.blocks[5].size) == (8, 4)


def test_a_name_and_its_function_make_the_same_model():
    torch.manual_seed(3)
    by_name = backbone("x3d_s", num_classes=4, width=8, depths=(1, 1, 1, 1))
    torch.manual_seed(3)
    by_function = x3d_s(num_classes=4, width=8, depths=(1, 1, 1, 1))
    for key, value in by_function.state_dict().items():
        assert torch.equal(by_name.state_dict()[key], value)


@every_transformer
def test_a_folder_of_save_pretrained_gives_the_same_logits(tmp_path, name):
    model = tiny_transformer(name)
    model.save_pretrained(tmp_path)
    clip = clip_of(4)
    expected = model(clip).logits
    for loaded in (
        backbone(str(tmp_path), num_classes=5),
        backbone(name, num_classes=5, weights=tmp_path),
    ):
        assert type(loaded) is type(model)
        assert torch.equal(loaded.eval()(clip).logits, expected)


@every_transformer
def test_a_head_of_another_size_starts_afresh_and_says_so(tmp_path, caplog, name):
    model = tiny_transformer(name)
    model.save_pretrained(tmp_path / "weights")
    with caplog.at_level(logging.WARNING, logger="kinema"):
        loaded = backbone(name, num_classes=3, weights=tmp_path / "weights")
    assert [r.getMessage() for r in caplog.records if r.name.startswith("kinema")] == [
        "weights has a head for 5 classes and this model one for 3: classifier starts afresh"
    ]
    assert loaded.config.num_labels == 3
    assert loaded.classifier.weight.shape[0] == 3
    assert loaded.classifier.weight.abs().max() > 0
    state = model.state_dict()
    for key, value in loaded.state_dict().items():
        if not key.startswith("classifier."):
            assert torch.equal(value, state[key]), key


def test_weights_without_a_head_get_one_and_say_so(tmp_path, caplog):
    model = tiny_transformer("videomae")
    model.videomae.save_pretrained(tmp_path / "headless")
    with caplog.at_level(logging.WARNING, logger="kinema"):
        loaded = backbone("videomae", num_classes=3, weights=tmp_path / "headless")
    assert "headless has no head: classifier starts afresh" in caplog.text
    body = loaded.videomae.state_dict()
    assert all(torch.equal(body[key], value) for key, value in model.videomae.state_dict().items())


def test_weights_that_lack_a_tensor_of_the_backbone_are_refused(tmp_path):
    model = tiny_transformer("vivit")
    model.save_pretrained(tmp_path)
    state = model.state_dict()
    del state["vivit.embeddings.cls_token"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"vivit.embeddings.cls_token is missing there"):
        backbone("vivit", num_classes=5, weights=tmp_path)


def test_vivit_weights_for_other_frames_are_refused_and_videomae_ones_taken(tmp_path):
    tiny_transformer("vivit").save_pretrained(tmp_path / "vivit")
    with pytest.raises(InputError, match=r"position_embeddings is \(1, 9, 16\) there and \(1, 17"):
        backbone(str(tmp_path / "vivit"), num_classes=5, num_frames=8)
    tiny_transformer("videomae").save_pretrained(tmp_path / "videomae")
    model = backbone(str(tmp_path / "videomae"), num_classes=5, num_frames=8)
    assert facts_of(model).num_frames == 8
    assert model(clip_of(8)).logits.shape == (2, 5)


def test_a_file_of_weights_loads_into_a_transformer(tmp_path):
    model = tiny_transformer("videomae")
    path = tmp_path / "videomae.safetensors"
    save_file(model.state_dict(), path)
    loaded = tiny_transformer("videomae", seed=1, weights=path)
    assert loaded.config.num_labels == 5


def test_published_weights_are_asked_for_by_their_hub_id(monkeypatch):
    asked = []
    monkeypatch.setattr(
        catalogue, "pretrained_transformer", lambda source, **_: asked.append(source)
    )
    backbone("videomae", num_classes=5, weights="k400")
    backbone("vjepa2", num_classes=5, weights="ssv2")
    backbone("someone/videomae-large", num_classes=5)
    assert asked == [FACTS["videomae"].hub_id, FACTS["vjepa2"].hub_id, "someone/videomae-large"]


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("x3d_l", {}, "backbone 'x3d_l' is not known; expected one of slowfast_r50, "),
        ("no/such/folder", {}, "is not known; expected one of .* or a folder of save_pretrained"),
        ("x3d_s", {"depth": 3}, "x3d_s has no size 'depth'; expected num_classes, num_frames"),
        ("slowfast_r50", {"width": 12}, "width is 12; expected a multiple of width_ratio"),
        ("videomae", {"hidden": 3}, "videomae has no size 'hidden'; expected width, depth"),
        ("videomae", {"width": 18, "num_heads": 4}, "width is 18; expected a multiple of num_he"),
        ("videomae", {"size": 20}, "size is 20; expected a multiple of the patch size, 16"),
        ("vivit", {"num_frames": 5}, "num_frames is 5; expected a multiple of the frames of a "),
        ("vjepa2", {"num_classes": 0}, "num_classes is 0; expected 1 or more"),
        ("timesformer", {"width": 0}, "is 0; expected 1 or more"),
        ("videomae", {"width": "wide"}, "videomae cannot have these sizes"),
        ("a/b", {"weights": "c"}, "weights is c beside the backbone 'a/b'"),
        ("videomae", {"weights": "nowhere.pt"}, "no file of weights nowhere.pt"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_sentence(name, settings, says):
    with torch.device("meta"), pytest.raises(InputError, match=says) as caught:
        backbone(name, **{"num_classes": 5} | settings)
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot load .*; expected a folder of save_pretrained"):
        backbone(str(tmp_path), num_classes=5)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="holds a model of type 'bert'; expected timesformer, vi"):
        backbone(str(tmp_path), num_classes=5)
    tiny_transformer("vivit").save_pretrained(tmp_path / "vivit")
    with pytest.raises(InputError, match="holds a model of type 'vivit'; expected timesformer"):
        timesformer(5, weights=tmp_path / "vivit")
