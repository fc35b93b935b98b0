"""A motion prompt under transformers' own `Trainer`."""

import inspect

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from kinema.motion_prompt import (
    MotionPromptClassifier,
    MotionPromptClassifierOutput,
    parameter_groups,
    trainable,
    with_motion_prompt,
)
from tests.backbones.tiny import tiny, tiny_transformer


@pytest.fixture(autouse=True)
def without_the_datasets_library(monkeypatch):
    """pytest puts tests/ on the path, where tests/datasets passes for the library of that name."""
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)


# Clips of five frames, which a tiny TimeSformer takes with a prompt before it.
ROWS = [
    {
        "pixel_values": torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(index)),
        "labels": index % 5,
    }
    for index in range(6)
]


def settings(folder, **others):
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **{"max_steps": 2, "save_strategy": "no", "learning_rate": 0.01} | others,
    )


def test_labels_give_the_loss_beside_the_same_output():
    model = with_motion_prompt(tiny_transformer("timesformer"))
    clip = torch.stack([ROWS[i]["pixel_values"] for i in range(2)])
    labels = torch.tensor([0, 1])
    plain = model(clip)
    assert isinstance(plain, MotionPromptClassifierOutput)
    labelled = model(pixel_values=clip, labels=labels)
    assert list(labelled) == ["loss", "logits", "variation", "attention"]
    for name in ("logits", "variation", "attention"):
        assert torch.equal(getattr(labelled, name), getattr(plain, name))
    expected = torch.nn.functional.cross_entropy(plain.logits, labels) + plain.variation
    assert torch.equal(labelled.loss, expected)
    assert labelled["loss"] is labelled[0] is labelled.loss


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_steps_of_the_trainer_move_the_prompt_and_the_backbone(tmp_path, accumulation):
    model = with_motion_prompt(tiny_transformer("timesformer"))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    trainer = Trainer(
        model=model,
        args=settings(tmp_path, gradient_accumulation_steps=accumulation),
        train_dataset=ROWS,
    )
    result = trainer.train()
    assert result.global_step == 2
    assert np.isfinite(result.training_loss)
    moved = {name for name, value in model.named_parameters() if not value.equal(before[name])}
    assert {"prompt.normalisation.m", "prompt.normalisation.n"} <= moved
    assert "backbone.timesformer.embeddings.time_embeddings" in moved
    assert "backbone.classifier.weight" in moved


def test_the_trainers_step_is_the_one_written_by_hand(tmp_path):
    model, twin = (with_motion_prompt(tiny_transformer("timesformer")) for _ in range(2))
    arguments = settings(
        tmp_path, max_steps=1, lr_scheduler_type="constant", max_grad_norm=0.0, seed=0
    )
    optimiser = torch.optim.SGD(parameter_groups(model, lr=0.1, prompt_lr=0.5))
    rows = ROWS[:2]
    Trainer(model=model, args=arguments, train_dataset=rows, optimizers=(optimiser, None)).train()
    by_hand = torch.optim.SGD(parameter_groups(twin, lr=0.1, prompt_lr=0.5))
    twin.train()
    clip = torch.stack([row["pixel_values"] for row in rows])
    twin.loss(twin(clip), torch.tensor([0, 1])).backward()
    by_hand.step()
    for (name, found), expected in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, msg=name)


def test_an_evaluation_collects_logits_and_no_attention_maps(tmp_path):
    model = with_motion_prompt(tiny_transformer("timesformer"))
    shapes = []

    def accuracy(prediction):
        shapes.append(prediction.predictions.shape)
        right = prediction.predictions.argmax(-1) == prediction.label_ids
        return {"accuracy": float(right.mean())}

    trainer = Trainer(
        model=model, args=settings(tmp_path), eval_dataset=ROWS, compute_metrics=accuracy
    )
    found = trainer.evaluate()
    assert shapes == [(6, 5)]
    clip = torch.stack([row["pixel_values"] for row in ROWS])
    logits = model.eval()(clip).logits
    labels = torch.tensor([row["labels"] for row in ROWS])
    assert found["eval_accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean())
    assert trainer.predict(ROWS).predictions.shape == (6, 5)


def test_a_checkpoint_of_the_trainer_comes_back(tmp_path):
    model = with_motion_prompt(tiny_transformer("timesformer"))
    trainer = Trainer(
        model=model,
        args=settings(tmp_path, save_strategy="steps", save_steps=1),
        train_dataset=ROWS,
    )
    trainer.train()
    final = {name: value.clone() for name, value in model.state_dict().items()}
    other = with_motion_prompt(tiny_transformer("timesformer"))
    resumed = Trainer(
        model=other,
        args=settings(tmp_path, save_strategy="steps", save_steps=1),
        train_dataset=ROWS,
    )
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, final[name], rtol=1e-5, atol=1e-7)


def test_frozen_norms_stay_frozen_through_a_trainers_steps(tmp_path):
    model = with_motion_prompt(tiny("x3d"))
    trainable(model, "prompt")
    before = {name: value.clone() for name, value in model.named_buffers()}
    rows = [{"pixel_values": torch.randn(3, 5, 32, 32), "labels": index % 5} for index in range(4)]
    Trainer(model=model, args=settings(tmp_path), train_dataset=rows).train()
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_the_trainer_finds_the_names_it_looks_for():
    names = list(inspect.signature(MotionPromptClassifier.forward).parameters)
    assert names == ["self", "pixel_values", "labels"]
    model = with_motion_prompt(tiny("x3d"))
    assert model.config.keys_to_ignore_at_inference == ["variation", "attention"]
