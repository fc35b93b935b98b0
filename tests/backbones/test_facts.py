import dataclasses

import pytest
import torch

from kinema.backbones import FACTS, facts_of
from kinema.errors import InputError
from tests.backbones.tiny import ZOO


@pytest.mark.parametrize("name", FACTS)
def test_the_table_tells_what_the_model_is(name):
    facts = facts_of(name)
    with torch.device("meta"):
        model = ZOO[name]()
    assert model.num_frames == facts.num_frames
    assert model.layout == facts.layout
    assert model.head == facts.head
    head = model.get_submodule(facts.head)
    assert (head.in_features, head.out_features) == (facts.head_width, facts.num_classes)
    assert sum(value.numel() for value in model.parameters()) == facts.num_parameters


def test_the_table_holds_every_backbone_and_cannot_be_written_to():
    assert set(FACTS) == set(ZOO)
    with pytest.raises(dataclasses.FrozenInstanceError):
        FACTS["x3d_s"].size = 1


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="'x3d_l' is not known; expected one of slowfast_r50, x3d"):
        facts_of("x3d_l")
