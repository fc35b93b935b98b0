"""The fine-tuning loop.

It stands on accelerate's `Accelerator`, not on transformers' `Trainer`. Both give mixed precision,
accumulation of gradients and many processes. But the `Trainer` pickles its optimiser and random
states, into a folder that a kill may leave half written, keeps no average of weights, and would
need optimiser, schedule, order of clips and loss replaced: more code than this loop.

A step draws all its randomness (dropout) from a seed of its own, clips are augmented by seed, epoch
and index, and the order of clips is a function of seed and epoch. So a run that is killed and goes
on from its checkpoint passes through exactly the steps of a run that was not.
"""

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from kinema.datasets import ClipLoader, collate
from kinema.datasets.clip_dataset import seeded
from kinema.errors import InputError
from kinema.files import output_folder, replacing
from kinema.interruption import interruptions
from kinema.motion_prompt import from_canonical
from kinema.recognition.checkpoint import (
    CHECKPOINT,
    Progress,
    load_checkpoint,
    save_checkpoint,
)
from kinema.recognition.data import find_clips
from kinema.recognition.evaluation import check_test_size, score_together
from kinema.recognition.journal import Journal
from kinema.recognition.learner import new_learner
from kinema.recognition.model import check_batch_norm, new_model, prompt_diagnostics, save_weights
from kinema.recognition.order import Order
from kinema.recognition.processes import new_accelerator
from kinema.recognition.recipe import Recipe
from kinema.recognition.run import SUMMARY, Run, describe_run, forget_weights
from kinema.recognition.schedule import relative_rate
from kinema.recognition.summary import summary_of


def finetune(
    recipe: Recipe,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Fine-tune a video classifier; return the summary of the run.

    `folder` gets `backbone.safetensors` and `prompt.safetensors` (what was learned), `run.json`
    (recipe and classes), `metrics.jsonl` (a line a step), `epochs.jsonl` (a line an epoch, with
    what the prompt has become), `summary.json`, `checkpoint.safetensors`, and TensorBoard's log
    where TensorBoard is installed. On a CPU a run that was killed and resumed gives the same
    weights, bit for bit. Started by `torchrun` or `accelerate launch`, all processes train one
    model; `folder` must then be the same for all.

    Args:
        recipe: the settings.
        folder: of the run.
        data: folder of the videos; sprites need none.
        resume: go on from the checkpoint in `folder`, if there is one.
        device: "cpu", "cuda", or None for a GPU where there is one.
        progress: show a bar.

    Raises:
        InputError: the recipe asks for what is not there or does not fit together, `folder` holds
            a run and `resume` is false, or a checkpoint of another recipe or other clips and it is
            true; or the loss is not finite any more.
        KeyboardInterrupt: the run was interrupted, by SIGINT or SIGTERM; its checkpoint is
            written.
    """
    folder = Path(folder)
    if (folder / CHECKPOINT).exists() and not resume:
        raise InputError(f"{folder} holds a run; go on with it by --resume or give another folder")
    accelerator = new_accelerator(
        device, precision=recipe.precision, accumulation=recipe.accumulation
    )
    training = _FineTuning(recipe, data, accelerator)
    training.open(output_folder(folder))
    with interruptions() as interrupted:
        training.run(interrupted, progress=progress)
    return training.finish()


class _FineTuning:
    """A run as it goes: what is read, what learns, what is written down."""

    def __init__(self, recipe: Recipe, data: str | Path | None, accelerator: Any) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        self.root = None if data is None else str(data)
        self.source = find_clips(recipe, data, training=True)
        self.classes = self.source.classes
        torch.manual_seed(recipe.seed)
        self.model = new_model(recipe, num_classes=len(self.classes))
        check_batch_norm(self.model, batch_size=recipe.batch_size)
        check_test_size(self.model, recipe)
        self.test_recipe = replace(recipe, num_views=1, num_crops=1)
        self.clips = self.source.dataset(self.model.prompt)
        self.test_clips = None
        if recipe.epochs_between_tests:
            to_test = find_clips(self.test_recipe, data, training=False)
            self.test_clips = to_test.dataset(self.model.prompt)
        self.order = Order(
            self.clips,
            batch_size=recipe.batch_size,
            accumulation=recipe.accumulation,
            seed=recipe.seed,
            process=accelerator.process_index,
            num_processes=accelerator.num_processes,
        )
        self.loader = ClipLoader(
            self.clips,
            batch_sampler=self.order,
            num_workers=recipe.num_workers,
            collate_fn=collate,
            persistent_workers=recipe.num_workers > 0,
            pin_memory=accelerator.device.type == "cuda",
            # Else every epoch would draw a number from the global generator.
            generator=torch.Generator().manual_seed(recipe.seed),
        )
        self.num_steps = recipe.num_epochs * self.order.num_steps
        self.model.to(accelerator.device)
        self.learner = new_learner(self.model, recipe)
        self.begun = Progress(
            step=0,
            recipe=recipe.as_dict(),
            num_processes=accelerator.num_processes,
            num_clips=len(self.clips),
            clips=self.source.digest(),
        )

    def open(self, folder: Path) -> None:
        """Go on from the checkpoint of `folder`, or start there."""
        self.folder = folder
        self.step = load_checkpoint(folder, self.learner, self.begun)
        self.journal = None
        if self.accelerator.is_main_process:
            if not self.step:
                forget_weights(folder)
            describe_run(Run(folder, self.recipe, self.classes, self.root))
            self.journal = Journal(folder, step=self.step)
        self.parallel, self.optimiser = self.accelerator.prepare(self.model, self.learner.optimizer)

    def run(self, interrupted: threading.Event, *, progress: bool) -> None:
        """Train to the end, or until a signal came."""
        recipe, per_epoch = self.recipe, self.order.num_steps
        show = progress and self.accelerator.is_main_process
        bar = tqdm(
            total=self.num_steps,
            initial=self.step,
            desc="finetune",
            unit="step",
            disable=None if show else True,
        )
        with bar:
            while self.step < self.num_steps:
                epoch, first_step = divmod(self.step, per_epoch)
                self.clips.set_epoch(epoch)
                self.order.first_step = first_step
                batches = iter(self.loader)
                for _ in range(first_step, per_epoch):
                    line, attention = self._take_step(batches)
                    stop = self._shall_stop(interrupted)
                    if self.journal:
                        self.journal.add_step(line)
                    bar.set_postfix(loss=f"{line['loss']:.4f}")
                    bar.update()
                    if self.step % per_epoch == 0:
                        self._end_epoch(epoch, attention)
                    if self.step % recipe.steps_between_checkpoints == 0 or stop:
                        self._save()
                    if stop:
                        raise KeyboardInterrupt
        self._save()

    def finish(self) -> dict[str, Any]:
        """Write what was learned and return the summary, which the main process writes."""
        from accelerate.utils import broadcast_object_list

        summary: dict[str, Any] = {}
        if self.journal:
            self.journal.close()
            save_weights(self.learner.kept, self.folder)
            summary = summary_of(
                self.folder,
                self.model,
                num_steps=self.step,
                num_clips=len(self.clips),
                num_missing_clips=self.source.num_missing,
                num_classes=len(self.classes),
                num_processes=self.accelerator.num_processes,
                device=self.accelerator.device.type,
            )
            with replacing(self.folder / SUMMARY) as path:
                path.write_text(json.dumps(summary, indent=2) + "\n")
        # The others have no journal to read; they wait here for what the main process says.
        (summary,) = broadcast_object_list([summary])
        return summary

    def _take_step(self, batches: Iterator[dict[str, Any]]) -> tuple[dict[str, Any], Tensor]:
        """Take one optimiser step; return its line for the journal, and its attention maps."""
        recipe, accelerator = self.recipe, self.accelerator
        began, waited = time.monotonic(), 0.0
        epoch = self.step / self.order.num_steps
        stream = seeded(recipe.seed, self.step, accelerator.process_index)
        torch.manual_seed(stream.initial_seed())
        rate = relative_rate(recipe, epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = group["highest_lr"] * rate
        # Loss, variation, share of right clips: means over the batches of the step.
        means = torch.zeros(3, device=accelerator.device)
        for _ in range(recipe.accumulation):
            before = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - before
            clip = batch["pixel_values"].to(accelerator.device, non_blocking=True)
            labels = batch["labels"].to(accelerator.device, non_blocking=True)
            with accelerator.accumulate(self.parallel):
                output = self.parallel(
                    from_canonical(clip, self.model.prompt.layout), labels=labels
                )
                accelerator.backward(output.loss)
                if accelerator.sync_gradients and recipe.gradient_clip is not None:
                    accelerator.clip_grad_norm_(self.model.parameters(), recipe.gradient_clip)
                self.optimiser.step()
                self.optimiser.zero_grad()
            right = (output.logits.argmax(dim=1) == labels).float().mean()
            found = torch.stack((output.loss, output.variation, right)).detach()
            means += found / recipe.accumulation
        if self.learner.averaged is not None:
            self.learner.averaged.update_parameters(self.model)
        self.step += 1
        loss, variation, top1 = accelerator.reduce(means, "mean").tolist()
        if not math.isfinite(loss):
            raise InputError(
                f"the loss of step {self.step} is {loss}: training diverged; give a smaller "
                "learning_rate"
            )
        line = {
            "step": self.step,
            "epoch": epoch,
            "loss": loss,
            "variation": variation,
            "top1": top1,
            "learning_rate": recipe.learning_rate * rate,
            "seconds": time.monotonic() - began,
            "seconds_waited": waited,
        }
        return line, output.attention.detach()

    def _shall_stop(self, interrupted: threading.Event) -> bool:
        # All processes stop at the same step, whichever of them a signal has reached.
        wishes = torch.tensor(float(interrupted.is_set()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(wishes, "sum"))

    def _end_epoch(self, epoch: int, attention: Tensor) -> None:
        """Test, where it is time to, and write the line of the epoch."""
        from accelerate.utils import gather_object

        every, last = self.recipe.epochs_between_tests, epoch + 1 == self.recipe.num_epochs
        line: dict[str, Any] = {"step": self.step, "epoch": epoch + 1}
        if every and (last or (epoch + 1) % every == 0):
            line |= self._test()
        # Those met since the run was last started, by any process.
        errors = self.clips.errors + (self.test_clips.errors if self.test_clips else [])
        line["broken_clips"] = sorted(set(gather_object(errors)))
        if self.journal:
            names = ("loss", "variation", "top1")
            line |= self.journal.means(names, num_steps=self.order.num_steps)
            line |= prompt_diagnostics(self.model, attention)
            self.journal.add_epoch(line)

    def _test(self) -> dict[str, float]:
        """Score what would be kept now on the test clips."""
        assert self.test_clips is not None
        scores = score_together(
            self.learner.kept, self.test_clips, self.test_recipe, accelerator=self.accelerator
        )
        self.model.train()
        return {
            "test_top1": scores.top1,
            "test_mean_class_accuracy": scores.mean_class_accuracy,
        }

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.folder, self.learner, replace(self.begun, step=self.step))
