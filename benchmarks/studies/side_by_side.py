"""Many small runs on one GPU, side by side.

A step of a small backbone is some hundred kernels of a few microseconds each, so a run by itself
leaves a GPU idle, waiting for Python. Here a whole step (show, augment, forward, backward,
optimiser) is one CUDA graph, and several runs take their steps beside each other, each graph on a
stream of its own. Models, first weights, optimisers, rates and clips are those of
`kinema.recognition.finetune` by the same recipe, up to the rounding of a GPU, bilinear resizing and
the draws of dropout and of mirroring. On a CPU the same steps are taken one by one, without graphs,
which is how this is tested.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import RESULT, Cell
from drawn import Drawn, draw, plan_key, to_device
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.files import replacing
from kinema.motion_prompt import from_canonical
from kinema.recognition import Recipe
from kinema.recognition.data import SPRITES
from kinema.recognition.learner import new_learner
from kinema.recognition.model import BACKBONE, new_model, prompt_diagnostics, save_weights
from kinema.recognition.schedule import relative_rate
from kinema.recognition.scores import score

# Steps that wait in a stream's queue while Python looks after other streams.
_CHUNK, _CHUNKS_AHEAD = 8, 3
_TEST_BATCH = 20
# What a graph has in it; runs that are equal in these share one.
_OF_A_GRAPH = (
    "backbone", "backbone_sizes", "front_end", "pathways", "normalisation",
    "normalisation_arguments", "penalty", "trains", "num_frames", "size", "optimiser",
    "weight_decay", "gradient_clip", "batch_size", "num_epochs", "dataset",
)  # fmt: skip


class Machine:
    """Takes the steps of runs of one kind, one run after another."""

    def __init__(self, recipe: Recipe, drawn: Drawn, bank: Tensor) -> None:
        assert recipe.optimiser == "adamw"
        assert recipe.ema_decay is None
        self.kind = kind_of(recipe)
        self.device = bank.device
        self.on_gpu = self.device.type == "cuda"
        self.recipe = recipe
        self.model = new_model(recipe, num_classes=len(drawn.classes), start="").to(self.device)
        self.rate = torch.zeros((), device=self.device)
        self.optimiser = self._optimiser()
        self.mean, self.std = (
            torch.tensor(each, device=self.device).view(3, 1, 1) * 255
            for each in (self.model.prompt.mean, self.model.prompt.std)
        )
        # Long enough for all runs of the kind: folds differ in their number of clips.
        self.max_steps = 4 * len(drawn.train["labels"])
        self.bank = torch.empty_like(bank)
        self.train = self._buffers(drawn.train, self.max_steps)
        self.test = self._buffers(drawn.test, 4 * len(drawn.test["labels"]) + _TEST_BATCH)
        self.rates = torch.zeros(self.max_steps, device=self.device)
        self.metrics = torch.zeros(self.max_steps, 3, device=self.device)
        self.logits = torch.zeros(len(self.test["labels"]), len(drawn.classes), device=self.device)
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.tested = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.attention: Tensor | None = None
        self.graphs: tuple[Any, Any] | None = None
        if self.on_gpu:
            self.stream = torch.cuda.Stream()
            self.graphs = self._capture(bank, drawn)

    def load(self, recipe: Recipe, drawn: Drawn, bank: Tensor) -> None:
        """Begin a run: first weights, nothing learned by the optimiser, its clips."""
        state = _first_weights(recipe, len(drawn.classes))
        self.num_steps, self.num_tests = (len(each["labels"]) for each in (drawn.train, drawn.test))
        assert self.num_steps <= self.max_steps
        per_epoch = self.num_steps // recipe.num_epochs
        rates = [relative_rate(recipe, step / per_epoch) for step in range(self.num_steps)]
        with self._streamed():
            for name, value in self.model.state_dict().items():
                value.copy_(state[name])
            for moments in self.optimiser.state.values():
                for value in moments.values():
                    value.zero_()
            self.bank.copy_(bank)
            for buffers, given in ((self.train, drawn.train), (self.test, drawn.test)):
                for name, values in given.items():
                    buffers[name][: len(values)] = torch.from_numpy(values).to(self.device)
            self.rates[: self.num_steps] = torch.tensor(rates, device=self.device)
            self.step.zero_()
            self.tested.zero_()
        self.done = 0

    def advance(self, count: int) -> None:
        """Take so many steps more, or put them into the queue."""
        for _ in range(min(count, self.num_steps - self.done)):
            if self.graphs is None:
                self._take_step()
            else:
                with self._streamed():
                    self.graphs[0].replay()
            self.done += 1

    def evaluate(self) -> None:
        """Predict all test clips, or put that into the queue."""
        if self.graphs is None:
            self.model.eval()
        for _ in range(0, self.num_tests, _TEST_BATCH):
            if self.graphs is None:
                self._test_step()
            else:
                with self._streamed():
                    self.graphs[1].replay()
        if self.graphs is None:
            self.model.train()

    def found(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and labels of the test clips; loss, variation and share right of each step."""
        if self.on_gpu:
            self.stream.synchronize()
        return (
            self.logits[: self.num_tests].float().cpu(),
            self.test["labels"][: self.num_tests].cpu(),
            self.metrics[: self.num_steps].cpu(),
        )

    def _optimiser(self) -> torch.optim.AdamW:
        groups = []
        for group in new_learner(self.model, self.recipe).optimizer.param_groups:
            lr: Tensor = torch.zeros((), device=self.device)
            kept = {"params": group["params"], "weight_decay": group["weight_decay"]}
            groups.append(kept | {"lr": lr, "highest_lr": group["highest_lr"]})
        return torch.optim.AdamW(groups, lr=self.rate, capturable=self.on_gpu, fused=True)

    def _buffers(self, given: dict[str, np.ndarray], length: int) -> dict[str, Tensor]:
        return {
            name: torch.zeros(
                length,
                *values.shape[1:],
                dtype=torch.from_numpy(values[:0]).dtype,
                device=self.device,
            )
            for name, values in given.items()
        }

    def _shown(self, rows: dict[str, Tensor]) -> Tensor:
        """The clips of a step, normalised, in the layout of the backbone."""
        batch, time = rows["frames"].shape
        frames = self.bank[rows["frames"].flatten()].float()
        if "boxes" in rows:
            boxes = rows["boxes"].repeat_interleave(time, dim=0, output_size=batch * time)
            size = [batch * time, 3, self.recipe.size, self.recipe.size]
            grid = F.affine_grid(boxes, size, align_corners=False)
            frames = F.grid_sample(frames, grid, align_corners=False, padding_mode="border")
        clip = ((frames - self.mean) / self.std).unflatten(0, (batch, time))
        return from_canonical(clip, self.model.prompt.layout)

    def _take_step(self) -> None:
        rows = {name: values.index_select(0, self.step)[0] for name, values in self.train.items()}
        rate = self.rates.index_select(0, self.step)[0]
        for group in self.optimiser.param_groups:
            group["lr"].copy_(rate * group["highest_lr"])
        self.optimiser.zero_grad(set_to_none=True)
        output = self.model(self._shown(rows), labels=rows["labels"])
        output.loss.backward()
        if self.recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.optimiser.step()
        right = (output.logits.argmax(dim=1) == rows["labels"]).float().mean()
        metrics = torch.stack((output.loss, output.variation, right)).detach()
        self.metrics.index_copy_(0, self.step, metrics[None])
        self.attention = output.attention.detach()
        self.step += 1

    @torch.no_grad()
    def _test_step(self) -> None:
        places = self.tested * _TEST_BATCH + torch.arange(_TEST_BATCH, device=self.device)
        rows = {name: values.index_select(0, places) for name, values in self.test.items()}
        logits = self.model(self._shown(rows)).logits
        self.logits.index_copy_(0, places, logits)
        self.tested += 1

    def _capture(self, bank: Tensor, drawn: Drawn) -> tuple[Any, Any]:
        graphs = []
        for step, training in ((self._take_step, True), (self._test_step, False)):
            self.model.train(training)
            # All that is made at the first use, such as the optimiser's state, must be there.
            torch.cuda.synchronize()
            with self._streamed():
                for _ in range(3):
                    step()
            self.stream.synchronize()
            self.optimiser.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                step()
            graphs.append(graph)
        self.model.train()
        return graphs[0], graphs[1]

    def _streamed(self) -> Any:
        return torch.cuda.stream(self.stream if self.on_gpu else None)


def kind_of(recipe: Recipe) -> str:
    """What runs have in common that the same graph can take the steps of."""
    settings = {name: getattr(recipe, name) for name in _OF_A_GRAPH}
    arguments = recipe.dataset_arguments
    settings["classes"] = arguments.get("classes")
    return json.dumps(settings, default=str)


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
        machines: list[Machine | None] = [None] * width
        working: list[_Work | None] = [None] * width
        failures: list[str] = []
        while jobs or any(working):
            for place, work in enumerate(working):
                if work is None:
                    job = _next_job(jobs, machines, place)
                    if job is None:
                        continue
                    try:
                        working[place] = _begin(job, machines, place, banks, device)
                        jobs.remove(job)
                    except RuntimeError as error:
                        # The other kinds of runs need not wait for this one to be mended.
                        failures.append(f"{job.cell.name}: {error}")
                        print(failures[-1], flush=True)
                        jobs = [each for each in jobs if each.kind != job.kind]
                elif work.go_on():
                    print(work.finish(folder), flush=True)
                    working[place] = None
            if jobs and not any(working) and all(_is_stranded(job, jobs) for job in jobs):
                failures.append(f"{len(jobs)} runs wait for a start that failed")
                break
    if failures:
        raise SystemExit("\n".join(failures))


@dataclass(frozen=True)
class _Job:
    """A cell that waits, the kind of machine it needs, and what it will see when that is drawn."""

    cell: Cell
    kind: str
    drawn: "Future[Drawn]"

    @property
    def is_ready(self) -> bool:
        start = self.cell.recipe.start
        return self.drawn.done() and (not start or (Path(start) / BACKBONE).exists())


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


def _next_job(jobs: list[_Job], machines: Sequence[Machine | None], place: int) -> _Job | None:
    """A job that can begin: of the machine's kind, else of the kind that has most left to do."""
    machine = machines[place]
    ready = [job for job in jobs if job.is_ready]
    left = Counter(job.kind for job in ready)
    if not left:
        return None
    kind = None if machine is None else machine.kind
    if kind not in left:
        held = Counter(each.kind for each in machines if each is not None)
        kind = max(left, key=lambda each: left[each] / (1 + held[each]))
    return next(job for job in ready if job.kind == kind)


def _is_stranded(job: _Job, jobs: Sequence[_Job]) -> bool:
    return job.drawn.done() and not any(each.is_ready for each in jobs)


def _begin(
    job: _Job,
    machines: list[Machine | None],
    place: int,
    banks: dict[Path, Tensor],
    device: str,
) -> "_Work":
    drawn = job.drawn.result()
    if drawn.frames not in banks:
        banks[drawn.frames] = to_device(drawn.frames, torch.device(device))
    bank, machine = banks[drawn.frames], machines[place]
    if machine is None or machine.kind != job.kind:
        machines[place] = None  # gives its memory back before another takes some
        machine = machines[place] = Machine(job.cell.recipe, drawn, bank)
    return _Work(job.cell, machine, drawn, bank)


class _Work:
    """A run on its machine."""

    def __init__(self, cell: Cell, machine: Machine, drawn: Drawn, bank: Tensor) -> None:
        self.cell, self.machine, self.drawn = cell, machine, drawn
        self.began = time.monotonic()
        self.marks: list[Any] = []
        self.is_evaluated = False
        machine.load(cell.recipe, drawn, bank)

    def go_on(self) -> bool:
        """Put steps into the queue where it has room; return whether all is done."""
        machine = self.machine
        self.marks = [mark for mark in self.marks if not mark.query()]
        if self.is_evaluated:
            return not self.marks
        if len(self.marks) < _CHUNKS_AHEAD:
            machine.advance(_CHUNK)
            if machine.done == machine.num_steps:
                machine.evaluate()
                self.is_evaluated = True
            if machine.on_gpu:
                mark = torch.cuda.Event()
                mark.record(machine.stream)
                self.marks.append(mark)
        return False

    def finish(self, folder: Path) -> str:
        """Write the result, and the weights where they are to be kept; return a line about it."""
        run = folder / self.cell.name
        run.mkdir(parents=True, exist_ok=True)
        machine, recipe = self.machine, self.cell.recipe
        logits, labels, metrics = machine.found()
        scores = score(logits.softmax(dim=1), labels).as_dict()
        assert machine.attention is not None
        epochs = metrics.unflatten(0, (recipe.num_epochs, -1)).mean(dim=1)
        learned = prompt_diagnostics(machine.model, machine.attention)
        shares = getattr(machine.model.prompt, "shares", None)
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
            save_weights(machine.model, run)
        with replacing(run / RESULT) as path:
            path.write_text(json.dumps(result, indent=2) + "\n")
        return f"{self.cell.name}: {result['accuracy']:.1%} in {result['seconds']:.0f} s"


@lru_cache(maxsize=512)
def _weights_of(settings: str, num_classes: int) -> dict[str, Tensor]:
    recipe = Recipe(**json.loads(settings))
    torch.manual_seed(recipe.seed)
    return new_model(recipe, num_classes=num_classes).state_dict()


def _first_weights(recipe: Recipe, num_classes: int) -> dict[str, Tensor]:
    """As `finetune` draws or reads them."""
    settings = recipe.as_dict()
    # What changes nothing in them, so that folds share theirs.
    settings["dataset_arguments"], settings["penalty"] = {}, 1.0
    return _weights_of(json.dumps(settings, sort_keys=True), num_classes)
