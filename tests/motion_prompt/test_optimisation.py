import pytest
import torch
from torch import nn

from kinema.errors import InputError
from kinema.motion_prompt import Gamma, MotionPrompt, parameter_groups, with_motion_prompt


def model_with_prompt():
    return with_motion_prompt(nn.Sequential(nn.Conv3d(3, 2, 1), nn.BatchNorm3d(2), nn.Flatten()))


def names_in(group, model):
    return {name for name, p in model.named_parameters() if any(p is q for q in group["params"])}


def test_m_and_n_are_a_group_without_weight_decay_and_with_their_own_learning_rate():
    model = model_with_prompt()
    backbone, prompt = parameter_groups(model, lr=0.01, prompt_lr=0.1, weight_decay=1e-4)
    assert names_in(prompt, model) == {"prompt.normalisation.m", "prompt.normalisation.n"}
    assert (prompt["name"], prompt["lr"], prompt["weight_decay"]) == ("motion_prompt", 0.1, 0.0)
    assert (backbone["name"], backbone["lr"], backbone["weight_decay"]) == ("backbone", 0.01, 1e-4)


def test_every_parameter_is_in_exactly_one_group_even_shared_or_frozen():
    model = model_with_prompt()
    model.again = model.prompt
    model.tied = model.backbone[0]
    model.backbone[1].bias.requires_grad_(False)
    grouped = [id(p) for group in parameter_groups(model, lr=0.1) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_the_prompts_learning_rate_is_the_backbones_unless_given():
    assert [group["lr"] for group in parameter_groups(model_with_prompt(), lr=0.3)] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Linear(2, 2), ["backbone"]),
        (MotionPrompt(), ["motion_prompt"]),
        (MotionPrompt(normalisation=Gamma()), []),
        (
            nn.ModuleList([nn.ModuleList([MotionPrompt()]), nn.Linear(1, 1)]),
            ["backbone", "motion_prompt"],
        ),
    ],
)
def test_only_groups_with_something_in_them_are_given(model, names):
    assert [group["name"] for group in parameter_groups(model, lr=0.1)] == names


def test_an_optimiser_takes_the_groups_and_decays_the_backbone_only():
    model = model_with_prompt()
    optimiser = torch.optim.SGD(parameter_groups(model, lr=1.0, weight_decay=0.5))
    weight = model.backbone[0].weight.detach().clone()
    m = model.prompt.normalisation.m.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    torch.testing.assert_close(model.backbone[0].weight.detach(), weight / 2)
    assert torch.equal(model.prompt.normalisation.m.detach(), m)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lr": -0.1}, "^lr is -0.1"),
        ({"lr": float("nan")}, "^lr is nan"),
        ({"lr": 0.1, "prompt_lr": -1.0}, "^prompt_lr is -1.0"),
        ({"lr": 0.1, "weight_decay": -1e-4}, "^weight_decay is -0.0001"),
    ],
)
def test_a_negative_rate_is_refused(settings, says):
    with pytest.raises(InputError, match=says):
        parameter_groups(model_with_prompt(), **settings)
