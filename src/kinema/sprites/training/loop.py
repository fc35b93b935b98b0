"""The training loop: checkpointed, resumable to the same losses, the same for every stage.

All randomness of a step is drawn from a seed of that step, so a run that is killed and resumed
goes through exactly the steps of a run that was not.
"""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from kinema.errors import InputError
from kinema.files import filling, output_folder, replacing, save_tensors
from kinema.interruption import interruptions
from kinema.precision import computing_in
from kinema.sprites.training.recipe import Recipe

CHECKPOINT = "checkpoint.safetensors"
LOSSES = "losses.jsonl"
_Tensors = tuple[Tensor, ...] | list[Tensor]


class Stage(Protocol):
    """One stage of the training."""

    trained: nn.Module
    """Everything that is trained, in one module; what needs no gradient is frozen."""

    rates: Mapping[str, float]
    """For parameters that learn at another rate than the rest: their share of it, by name."""

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step on a batch drawn from the global random state."""
        ...

    def sample(self, averaged: nn.Module, path: Path) -> None:
        """Write a picture of what the averaged weights make, to look at during training."""
        ...

    def export(self, averaged: nn.Module, folder: Path) -> None:
        """Write the averaged weights as diffusers and transformers folders."""
        ...


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: a linear rise, a level, a fall to zero; see `Recipe`."""
    if step < recipe.num_warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.num_warmup_steps
    if recipe.num_decay_steps:
        left = (recipe.num_steps - step) / recipe.num_decay_steps
        return recipe.learning_rate * max(0.0, min(1.0, left))
    passed = (step - recipe.num_warmup_steps) / max(1, recipe.num_steps - recipe.num_warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, passed)))


def _moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Return the rule of an exponential moving average that forgets its beginning.

    With the full decay from the start, the average of a short run would still be mostly the
    untrained weights, and temporal layers are born as zeros.
    """

    @torch.no_grad()
    def update(averages: _Tensors, values: _Tensors, count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averages, values, weight)

    return update


def _attention_kernels(device: str) -> AbstractContextManager[None]:
    """Return the context in which attention is trained.

    On a CPU the fused kernel's backward pass took, at these sizes, more than half of a step;
    written out, attention made the whole step 1.8 times faster (`docs/log.md`).
    """
    if device != "cpu":
        return nullcontext()
    return cast("AbstractContextManager[None]", sdpa_kernel([SDPBackend.MATH]))


def train(stage: Stage, recipe: Recipe, folder: str | Path) -> int:
    """Train a stage in `folder`, from its checkpoint where there is one; return the steps done.

    Losses go to `losses.jsonl`, pictures to `samples/`, the result to `export/`. SIGTERM and
    SIGINT write a checkpoint before they end the run.

    Args:
        stage: what to train.
        recipe: its settings; those of the checkpoint must be the same, but for the run's length
            while the learning rate has not begun to fall.
        folder: of this run.

    Raises:
        InputError: the checkpoint is of another recipe.
        KeyboardInterrupt: the run was interrupted; its checkpoint is written.
    """
    folder = output_folder(folder)
    device = next(stage.trained.parameters()).device.type
    parameters = [value for value in stage.trained.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        _groups(stage),
        lr=recipe.learning_rate,
        betas=(0.9, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    averaged = AveragedModel(
        stage.trained, multi_avg_fn=_moving_average(recipe.ema_decay), use_buffers=False
    )
    # Now, since the tree may have moved on by the time a long run is saved.
    commit = commit_of_tree()
    step = _resume(folder, recipe, stage.trained, averaged, optimizer)
    with (
        interruptions() as interrupted,
        _attention_kernels(device),
        (folder / LOSSES).open("a") as log,
        tqdm(
            total=recipe.num_steps, initial=step, desc=recipe.stage, unit="step", disable=None
        ) as bar,
    ):
        before = time.monotonic()
        while step < recipe.num_steps and not interrupted.is_set():
            torch.manual_seed(recipe.seed * 1_000_003 + step)
            rate = learning_rate(recipe, step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            with computing_in(recipe.precision, device):
                loss = stage.loss(step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
            optimizer.step()
            averaged.update_parameters(stage.trained)
            step += 1
            now = time.monotonic()
            entry = {
                "step": step,
                "loss": loss.item(),
                "gradient_norm": norm.item(),
                "seconds": now - before,
                "device": device,
            }
            before = now
            log.write(json.dumps(entry) + "\n")
            log.flush()
            bar.set_postfix(loss=f"{loss.item():.4f}")
            bar.update()
            if step % recipe.steps_between_checkpoints == 0:
                _save(folder, recipe, step, commit, stage.trained, averaged, optimizer)
                stage.sample(averaged.module, folder / "samples" / f"{step:06d}.png")
        _save(folder, recipe, step, commit, stage.trained, averaged, optimizer)
    if interrupted.is_set():
        raise KeyboardInterrupt
    # All at once: what is half written must not pass for a finished stage.
    with filling(folder / "export") as temporary:
        stage.export(averaged.module, temporary)
        for part in temporary.iterdir():
            shutil.rmtree(folder / "export" / part.name, ignore_errors=True)
    return step


def _groups(stage: Stage) -> list[dict[str, Any]]:
    """Return the optimiser's groups: what learns, by its share of the learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in stage.trained.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(stage.rates.get(name, 1.0), []).append(parameter)
    return [{"params": members, "share": share} for share, members in groups.items()]


def _save(
    folder: Path,
    recipe: Recipe,
    step: int,
    commit: str | None,
    trained: nn.Module,
    averaged: AveragedModel,
    optimizer: torch.optim.Optimizer,
) -> None:
    tensors = {f"weights.{name}": value for name, value in trained.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in averaged.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    metadata = {"step": str(step), "recipe": json.dumps(asdict(recipe))}
    if commit:
        metadata["commit"] = commit
    save_tensors(folder / CHECKPOINT, tensors, metadata)


def _resume(
    folder: Path,
    recipe: Recipe,
    trained: nn.Module,
    averaged: AveragedModel,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load the checkpoint of `folder` and cut the log to its step; return the step, 0 without."""
    path = folder / CHECKPOINT
    if not path.exists():
        (folder / LOSSES).unlink(missing_ok=True)
        return 0
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    try:
        with safe_open(path, "pt") as checkpoint:
            metadata = checkpoint.metadata()
            before = json.loads(metadata["recipe"])
            # A setting that this version has not is another recipe too.
            if before.keys() != asdict(recipe).keys() or not _goes_on(
                Recipe(**before), recipe, step=int(metadata["step"])
            ):
                raise InputError(
                    f"{path} was made with another recipe; give that recipe or another folder"
                )
            for key in checkpoint.keys():  # noqa: SIM118 - not a mapping
                group, _, name = key.partition(".")
                groups[group][name] = checkpoint.get_tensor(key)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}); remove it to begin anew") from error
    trained.load_state_dict(groups["weights"])
    averaged.load_state_dict(groups["average"])
    state = optimizer.state_dict()
    for key, value in groups["optimizer"].items():
        index, name = key.split(".")
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
    step = int(metadata["step"])
    lines = (folder / LOSSES).read_text().splitlines(keepends=True)
    with replacing(folder / LOSSES) as log:
        log.write_text("".join(lines[:step]))
    return step


def _goes_on(before: Recipe, recipe: Recipe, *, step: int) -> bool:
    """Return whether `recipe` would have come to this step exactly as `before` did."""
    if before == recipe:
        return True
    as_long = replace(before, num_steps=recipe.num_steps, num_decay_steps=recipe.num_decay_steps)
    return as_long == recipe and step <= min(before.num_level_steps, recipe.num_level_steps)


def commit_of_tree() -> str | None:
    """Return the commit checked out where Kinema's source lies, None where that is no checkout.

    A copy that was installed within another project's checkout is not of that project's commit.
    """
    source = Path(__file__)
    git = ["git", "-C", str(source.parent)]
    known = [*git, "ls-files", "--error-unmatch", source.name]
    try:
        if subprocess.run(known, capture_output=True, check=False).returncode:
            return None
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git
        return None
    return head.stdout.strip() or None
