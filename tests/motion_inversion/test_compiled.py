"""Frozen layers under torch.compile: the same output, the same motion, and nothing left behind."""

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd

from kinema.motion_inversion import find_sites, invert, learner
from kinema.motion_inversion.compiled import compiled_layers
from kinema.motion_inversion.layers import layers_of
from kinema.motion_inversion.recompute import recomputing
from tests.motion_inversion.clip import PROMPT, QUICK, moving_square
from tests.motion_inversion.tiny import TINY, Tiny, output


def own_forwards(model: nn.Module) -> dict[str, Any]:
    return {name: layer.__dict__.get("forward") for name, layer in layers_of(model).items()}


@pytest.fixture(autouse=True)
def fresh() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.kind)
def test_layers_without_temporal_attention_are_compiled_and_come_back(tiny: Tiny) -> None:
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    base, before, graphs = output(model, inputs), own_forwards(model), []

    def counting(graph: torch.fx.GraphModule, examples: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    with compiled_layers(model, backend=counting), recomputing(model):
        torch.testing.assert_close(output(model, inputs), base)
    assert own_forwards(model) == before
    assert graphs
    with compiled_layers(model, backend=counting):
        changed = [name for name, own in own_forwards(model).items() if own is not before[name]]
    sites = [site.name for site in find_sites(model, blocks="all")]
    assert changed
    assert not any(site.startswith(f"{name}.") for site in sites for name in changed)
    with compiled_layers(model, on=False):
        assert own_forwards(model) == before


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so_once() -> None:
    tried = []

    def failing(graph: torch.fx.GraphModule, examples: Any) -> Any:
        tried.append(graph)
        raise RuntimeError("no C++ compiler\nfor miles")

    tiny = TINY[0]
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    base = output(model, inputs)
    tries = []

    def twice() -> list[torch.Tensor]:
        found = []
        for _ in range(2):
            found.append(output(model, inputs))
            tries.append(len(tried))
        return found

    said = "could not compile the model's layers, which go on without"
    with compiled_layers(model, backend=failing), pytest.warns(UserWarning, match=said) as told:
        found = twice()
    assert tries[1] == tries[0] > 0
    assert len(told) == 1
    assert all(torch.equal(each, base) for each in found)


def test_a_backward_pass_that_cannot_be_compiled_is_not_either() -> None:
    def failing(graph: torch.fx.GraphModule, examples: Any) -> Any:
        raise RuntimeError("no room for it")

    backend = aot_autograd(fw_compiler=lambda graph, examples: graph.forward, bw_compiler=failing)
    tiny = TINY[0]
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    given = inputs["sample"].requires_grad_()
    model(**inputs).sample.sum().backward()
    expected, given.grad = given.grad, None
    with compiled_layers(model, backend=backend), pytest.warns(UserWarning, match="go on without"):
        model(**inputs).sample.sum().backward()
    torch.testing.assert_close(given.grad, expected)


def test_a_layer_that_has_no_room_says_so() -> None:
    def full(graph: torch.fx.GraphModule, examples: Any) -> Any:
        def call(*given: Any) -> Any:
            raise torch.OutOfMemoryError("no room")

        return call

    tiny = TINY[0]
    model, inputs = tiny.model(torch.float32), tiny.inputs(torch.float32)
    with compiled_layers(model, backend=full), pytest.raises(torch.OutOfMemoryError):
        output(model, inputs)


def test_a_motion_is_learned_through_compiled_layers(
    pipelines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipelines["animatediff"]
    given = {"prompt": PROMPT, "progress": False}
    plain = invert(pipe, moving_square(), settings=QUICK, **given)
    monkeypatch.setattr(learner, "compiled_layers", partial(compiled_layers, backend="aot_eager"))
    settings = dataclasses.replace(QUICK, compile_layers=True, gradient_checkpointing=True)
    compiled = invert(pipe, moving_square(), settings=settings, **given)
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(compiled.tensors[name], tensor, atol=1e-4, rtol=1e-3)
    assert compiled.origin.settings["compile_layers"]
    assert "compile_layers" not in plain.origin.settings
