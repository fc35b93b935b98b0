import dataclasses

import pytest
import torch
from torch import nn

from kinema.backbones import (
    FACTS,
    X3D,
    BackboneFacts,
    backbone,
    facts_of,
    known_facts,
    num_frames_of,
)
from kinema.backbones.transformer import FAMILIES
from kinema.errors import InputError
from tests.backbones.tiny import TINY, TRANSFORMERS, ZOO, tiny, tiny_transformer


@pytest.mark.parametrize("name", FACTS)
def test_the_table_tells_what_the_model_is(name):
    facts = facts_of(name)
    with torch.device("meta"):
        model = backbone(name, num_classes=facts.num_classes)
    found = facts_of(model)
    for field in (
        *("num_frames", "size", "layout", "mean", "std", "head", "head_width", "num_classes"),
        *("frame_ratio", "num_parameters"),
    ):
        assert getattr(found, field) == getattr(facts, field), field
    head = model.get_submodule(facts.head)
    assert (head.in_features, head.out_features) == (facts.head_width, facts.num_classes)
    assert sum(value.numel() for value in model.parameters()) == facts.num_parameters


def test_parameter_counts_are_the_published_ones():
    counts = {name: facts_of(name).num_parameters for name in ("slowfast_r50", "x3d_s", "x3d_m")}
    assert counts == {"slowfast_r50": 34_566_488, "x3d_s": 3_794_274, "x3d_m": 3_794_274}
    assert facts_of("timesformer").num_parameters == 121_566_352


@pytest.mark.parametrize("name", ZOO)
def test_the_functions_of_the_zoo_are_built_as_the_table_says(name):
    with torch.device("meta"):
        model = ZOO[name]()
    facts = facts_of(name)
    assert (model.num_frames, model.size) == (facts.num_frames, facts.size)
    assert (model.layout, model.head) == (facts.layout, facts.head)


def test_the_table_holds_every_backbone_and_cannot_be_written_to():
    assert set(FACTS) == set(ZOO) | set(TRANSFORMERS)
    assert set(FAMILIES) == set(TRANSFORMERS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        FACTS["x3d_s"].size = 1


@pytest.mark.parametrize("name", TINY)
def test_facts_of_a_module_are_its_own(name):
    facts = facts_of(tiny(name, num_frames=12, size=48, num_classes=7))
    assert (facts.num_frames, facts.size, facts.num_classes) == (12, 48, 7)
    assert facts.layout == "BCTHW"
    assert facts.frame_ratio == (4 if name == "slowfast" else None)
    assert facts.url is None


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_facts_of_a_transformers_module_come_from_its_configuration(name):
    model = tiny_transformer(name, num_frames=8, size=32, num_classes=7)
    facts = facts_of(model)
    assert (facts.num_frames, facts.size, facts.num_classes) == (8, 32, 7)
    assert (facts.layout, facts.head) == ("BTCHW", "classifier")
    assert facts.head_width == model.classifier.in_features
    assert facts.num_parameters == sum(value.numel() for value in model.parameters())
    assert (facts.mean, facts.std) == (FACTS[name].mean, FACTS[name].std)
    assert facts.hub_id is None


def test_the_ratio_of_a_slowfasts_frames_is_its_own():
    assert facts_of(tiny("slowfast", frame_ratio=8, num_frames=16)).frame_ratio == 8


def test_a_subclass_is_known_and_another_module_is_not():
    class Mine(type(tiny("x3d"))):
        pass

    assert facts_of(Mine(3, num_frames=5)).num_frames == 5
    assert known_facts(nn.Linear(2, 2)) is None
    assert num_frames_of(nn.Linear(2, 2)) is None
    with pytest.raises(InputError, match=r"a Linear is not in the table .* BackboneFacts\("):
        facts_of(nn.Linear(2, 2))


def test_a_head_that_was_taken_away_leaves_its_sizes_open():
    model = tiny("x3d")
    model.blocks[5].proj = nn.Identity()
    facts = facts_of(model)
    assert (facts.head_width, facts.num_classes) == (None, None)


def test_facts_of_ones_own_need_two_numbers():
    facts = BackboneFacts(num_frames=16, size=112, head="fc")
    assert facts.clip_format == {
        "layout": "BCTHW",
        "mean": (0.45, 0.45, 0.45),
        "std": (0.225, 0.225, 0.225),
    }


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="'x3d_l' is not known; expected one of slowfast_r50, x3d"):
        facts_of("x3d_l")


def test_a_class_of_another_library_is_not_taken_for_ours():
    """PySlowFast has an X3D and a SlowFast too, built otherwise."""
    for name in ("X3D", "SlowFast"):
        foreign = type(name, (nn.Linear,), {"__module__": "slowfast.models"})(2, 2)
        assert known_facts(foreign) is None
        assert num_frames_of(foreign) is None
        with pytest.raises(InputError, match="not in the table"):
            facts_of(foreign)

    class Ours(X3D):
        """A subclass in a user's own module is one of ours still."""

    assert facts_of(Ours(num_classes=3, width=8, depths=(1, 1, 1, 1))).layout == "BCTHW"
