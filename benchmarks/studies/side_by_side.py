"""Many small runs on one GPU, side by side.

A step of a small backbone is some hundred kernels of a few microseconds each, so a run by itself
leaves a GPU idle, waiting for Python. Here a whole step (show, augment, forward, backward,
optimiser) is one CUDA graph, and several runs take their steps beside each other, each graph on a
stream of its own. Models, first weights, optimisers, rates and clips are those of
`kinema.recognition.finetune` by the same recipe, up to the rounding of a GPU, bilinear resizing and
the draws of dropout and of mirroring. On a CPU the same steps are taken one by one, without graphs,
which saves the decoding (`--drawn`), and is how this is tested.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from cells import RESULT, Cell
from drawn import Drawn, draw, plan_key, to_device
from stepper import Stepper, kind_of
from torch import Tensor

from kinema.files import replacing
from kinema.recognition.data import SPRITES
from kinema.recognition.model import BACKBONE, prompt_diagnostics, save_weights
from kinema.recognition.scores import score

# Steps that wait in a stream's queue while Python looks after other streams.
_CHUNK, _CHUNKS_AHEAD = 8, 3
_PAUSE = 0.02  # seconds


def run_side_by_side(
    cells: Sequence[Cell],
    folder: Path,
    *,
    data: Path | None,
    device: str,
    width: int,
    num_processes: int,
) -> None:
    """Run the cells that are not finished; each writes its result where `run_cell` would.

    A cell whose recipe starts from the folder of another waits for it.

    Args:
        cells: of a study.
        folder: of the runs.
        data: small copies of the videos, decoded by `drawn.decode_all`; None for sprites.
        device: "cuda", or "cpu" to try it.
        width: runs beside each other.
        num_processes: that draw what runs see.
    """
    pool = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"))
    with pool:
        jobs = _jobs(pool, cells, folder, data)
        banks: dict[Path, Tensor] = {}
        steppers: list[Stepper | None] = [None] * width
        working: list[_Work | None] = [None] * width
        failures: list[str] = []
        while jobs or any(working):
            for place, work in enumerate(working):
                if work is None:
                    job = _next_job(jobs, steppers, place)
                    if job is None:
                        continue
                    try:
                        working[place] = _begin(job, steppers, place, banks, device)
                        jobs.remove(job)
                    except RuntimeError as error:
                        # The other kinds of runs need not wait for this one to be mended.
                        failures.append(f"{job.cell.name}: {error}")
                        print(failures[-1], flush=True)
                        jobs = [each for each in jobs if each.kind != job.kind]
                elif work.go_on():
                    print(work.finish(folder), flush=True)
                    working[place] = None
            if not any(working):
                if jobs and not any(job.has_start for job in jobs):
                    failures.append(f"{len(jobs)} runs wait for a start that failed")
                    break
                # Clips are still drawn, in other processes: leave them the processor.
                time.sleep(_PAUSE)
    if failures:
        raise SystemExit("\n".join(failures))


@dataclass(frozen=True)
class _Job:
    """A cell that waits, the kind of stepper it needs, and what it will see when that is drawn."""

    cell: Cell
    kind: str
    drawn: "Future[Drawn]"

    @property
    def has_start(self) -> bool:
        start = self.cell.recipe.start
        return not start or (Path(start) / BACKBONE).exists()

    @property
    def is_ready(self) -> bool:
        return self.drawn.done() and self.has_start


def _jobs(
    pool: ProcessPoolExecutor, cells: Sequence[Cell], folder: Path, data: Path | None
) -> list[_Job]:
    drawing: dict[str, Future[Drawn]] = {}
    jobs = []
    for cell in cells:
        if (folder / cell.name / RESULT).exists():
            continue
        # Sprites stand beside videos as the start of a study of videos.
        root = None if cell.recipe.dataset == SPRITES else data
        key = plan_key(cell.recipe, root)
        if key not in drawing:
            drawing[key] = pool.submit(draw, cell.recipe, root, folder / "drawn")
        jobs.append(_Job(cell, kind_of(cell.recipe), drawing[key]))
    return jobs


def _next_job(jobs: list[_Job], steppers: Sequence[Stepper | None], place: int) -> _Job | None:
    """A job that can begin: of the stepper's kind, else of the kind that has most left to do."""
    stepper = steppers[place]
    ready = [job for job in jobs if job.is_ready]
    left = Counter(job.kind for job in ready)
    if not left:
        return None
    kind = None if stepper is None else stepper.kind
    if kind not in left:
        held = Counter(each.kind for each in steppers if each is not None)
        kind = max(left, key=lambda each: left[each] / (1 + held[each]))
    return next(job for job in ready if job.kind == kind)


def _begin(
    job: _Job,
    steppers: list[Stepper | None],
    place: int,
    banks: dict[Path, Tensor],
    device: str,
) -> "_Work":
    drawn = job.drawn.result()
    if drawn.frames not in banks:
        banks[drawn.frames] = to_device(drawn.frames, torch.device(device))
    bank, stepper = banks[drawn.frames], steppers[place]
    if stepper is None or stepper.kind != job.kind:
        steppers[place] = None  # gives its memory back before another takes some
        stepper = steppers[place] = Stepper(job.cell.recipe, drawn, bank)
    return _Work(job.cell, stepper, drawn, bank)


class _Work:
    """A run on its stepper."""

    def __init__(self, cell: Cell, stepper: Stepper, drawn: Drawn, bank: Tensor) -> None:
        self.cell, self.stepper, self.drawn = cell, stepper, drawn
        self.began = time.monotonic()
        self.marks: list[Any] = []
        self.is_evaluated = False
        stepper.load(cell.recipe, drawn, bank)

    def go_on(self) -> bool:
        """Put steps into the queue where it has room; return whether all is done."""
        stepper = self.stepper
        self.marks = [mark for mark in self.marks if not mark.query()]
        if self.is_evaluated:
            return not self.marks
        if len(self.marks) < _CHUNKS_AHEAD:
            stepper.advance(_CHUNK)
            if stepper.done == stepper.num_steps:
                stepper.evaluate()
                self.is_evaluated = True
            if stepper.on_gpu:
                mark = torch.cuda.Event()
                mark.record(stepper.stream)
                self.marks.append(mark)
        return False

    def finish(self, folder: Path) -> str:
        """Write the result, and the weights where they are to be kept; return a line about it."""
        run = folder / self.cell.name
        run.mkdir(parents=True, exist_ok=True)
        stepper, recipe = self.stepper, self.cell.recipe
        logits, labels, metrics = stepper.found()
        scores = score(logits.softmax(dim=1), labels).as_dict()
        assert stepper.attention is not None
        epochs = metrics.unflatten(0, (recipe.num_epochs, -1)).mean(dim=1)
        learned = prompt_diagnostics(stepper.model, stepper.attention)
        shares = getattr(stepper.model.prompt, "shares", None)
        if shares is not None:
            mixed = shares.detach().softmax(dim=0).tolist()
            learned |= {f"prompt_share_{part}": share for part, share in enumerate(mixed)}
        result = {
            **self.cell.of,
            "accuracy": scores["top1"],
            "num_test_clips": len(labels),
            "class_accuracy": dict(zip(self.drawn.classes, scores["class_accuracy"], strict=True)),
            "learned": learned,
            "losses": [round(value, 4) for value in epochs[:, 0].tolist()],
            "training_accuracy": [round(value, 4) for value in epochs[:, 2].tolist()],
            "seconds": time.monotonic() - self.began,
            "recipe": recipe.as_dict(),
        }
        if self.cell.keep:
            save_weights(stepper.model, run)
        with replacing(run / RESULT) as path:
            path.write_text(json.dumps(result, indent=2) + "\n")
        return f"{self.cell.name}: {result['accuracy']:.1%} in {result['seconds']:.0f} s"
