import dataclasses
import logging
import pickle
from random import Random

import pytest
import torch
from safetensors.torch import save_file

from kinema.backbones import load_weights, weights, x3d_xs
from kinema.backbones.facts import facts_of
from kinema.backbones.weights import with_weights
from kinema.errors import InputError
from tests.backbones.tiny import TINY, clip_for, tiny

every_backbone = pytest.mark.parametrize("name", TINY)


def save(model, path, *, key="model_state"):
    state = model.state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({key: state} if key else state, path)
    return path


@every_backbone
@pytest.mark.parametrize(
    ("file", "key"), [("a.pyth", "model_state"), ("a.pt", None), ("a.safetensors", None)]
)
def test_weights_load_from_every_kind_of_file(tmp_path, caplog, name, file, key):
    model, other = tiny(name).eval(), tiny(name, seed=1).eval()
    load_weights(other, save(model, tmp_path / file, key=key), head=other.head)
    clip = clip_for(model)
    assert torch.equal(model(clip), other(clip))
    assert caplog.records == []


@every_backbone
def test_a_head_of_another_size_starts_afresh_and_says_so(tmp_path, caplog, name):
    source, target = tiny(name), tiny(name, seed=1, num_classes=3)
    head = {k: v.clone() for k, v in target.state_dict().items() if k.startswith(target.head)}
    with caplog.at_level(logging.WARNING):
        load_weights(target, save(source, tmp_path / "a.pyth"), head=target.head)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"a.pyth has a head for 5 classes and this model one for 3: {target.head} starts afresh"
    )
    for key, value in target.state_dict().items():
        expected = head[key] if key in head else source.state_dict()[key]
        assert torch.equal(value, expected), key


def test_another_width_is_refused_with_the_first_key_and_both_shapes(tmp_path):
    path = save(tiny("x3d"), tmp_path / "a.pyth")
    model = tiny("x3d", width=16)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    message = r"blocks.0.conv.conv_t.weight is \(8, 3, 1, 3, 3\) there and \(16, 3, 1, 3, 3\) here"
    with pytest.raises(InputError, match=message):
        load_weights(model, path, head=model.head)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_head_of_another_width_is_a_mismatch(tmp_path):
    path = save(tiny("x3d"), tmp_path / "a.pyth")
    with pytest.raises(InputError, match=r"blocks.5.pool.post_conv.weight is \(32, .* and \(48,"):
        load_weights(tiny("x3d", head_width=48, num_classes=3), path, head="blocks.5.proj")


def test_another_architecture_is_refused_by_the_first_missing_key(tmp_path):
    path = save(tiny("slowfast"), tmp_path / "a.pyth")
    message = r"blocks.0.conv.conv_t.weight is missing there and \(8, 3, 1, 3, 3\) here"
    with pytest.raises(InputError, match=message):
        load_weights(tiny("x3d"), path, head="blocks.5.proj")


def test_a_tensor_left_over_is_refused_by_name(tmp_path):
    path = save(tiny("x3d", depths=(1, 2, 1, 2)), tmp_path / "a.pyth")
    message = r"blocks.4.res_blocks.1.branch2.conv_a.weight is \(144, 64, 1, 1, 1\) there and miss"
    with pytest.raises(InputError, match=message):
        load_weights(tiny("x3d"), path, head="blocks.5.proj")


def test_files_without_batch_counts_load(tmp_path):
    model = tiny("x3d")
    state = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "old.pt")
    load_weights(model, tmp_path / "old.pt", head=model.head)


class Payload:
    ran = False

    def __reduce__(self):
        return exec, ("from tests.backbones.test_weights import Payload; Payload.ran = True",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no file of weights"),
        (b"not weights", "cannot be read as weights alone"),
        (pickle.dumps(Payload(), protocol=2), "cannot be read as weights alone"),
    ],
)
def test_a_file_that_is_no_weights_is_refused_and_never_run(tmp_path, content, message):
    path = tmp_path / "a.pyth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        x3d_xs(weights=path)
    assert "\n" not in str(refusal.value)
    assert not Payload.ran


def test_pickled_code_beside_the_weights_is_never_run(tmp_path):
    path = tmp_path / "a.pyth"
    torch.save({"model_state": tiny("x3d").state_dict(), "config": Payload()}, path)
    with pytest.raises(InputError, match="weights_only=False"):
        load_weights(tiny("x3d"), path, head="blocks.5.proj")
    assert not Payload.ran


def test_broken_safetensors_and_other_content_are_refused(tmp_path):
    broken = tmp_path / "a.safetensors"
    broken.write_bytes(b"1234")
    with pytest.raises(InputError, match="is no file of weights"):
        x3d_xs(weights=broken)
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        x3d_xs(weights=tmp_path / "list.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path, suffix):
    whole = save(tiny("x3d"), tmp_path / f"whole{suffix}").read_bytes()
    random = Random(0)
    path = tmp_path / f"damaged{suffix}"
    for _ in range(100):
        content = bytearray(whole[: random.randrange(len(whole))])
        content[random.randrange(300) % max(len(content), 1)] ^= 255
        path.write_bytes(content)
        with pytest.raises(InputError) as refusal:
            weights.read_state(path)
        assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused():
    with pytest.raises(InputError, match="no file of weights k600; expected a path or 'k400'"):
        x3d_xs(weights="k600")


def test_k400_takes_what_the_table_says(tmp_path, monkeypatch):
    source = tiny("x3d")
    url = save(source, tmp_path / "X3D.pyth").as_uri()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    facts = dataclasses.replace(facts_of("x3d_s"), url=url)
    model = with_weights(tiny("x3d", seed=1), "k400", facts)
    assert (tmp_path / "hub" / "checkpoints" / "X3D.pyth").is_file()
    assert all(
        torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items()
    )


def test_no_weights_means_no_reading(monkeypatch):
    monkeypatch.setattr(weights, "load_weights", None)
    model = tiny("x3d")
    assert with_weights(model, None, facts_of("x3d_s")) is model
