"""The steps of a run, each a CUDA graph: show, augment, forward, backward, optimiser.

On a CPU the same steps are taken without graphs.
"""

import json
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from drawn import Drawn
from quicken import quicken
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.motion_prompt import from_canonical
from kinema.recognition import Recipe
from kinema.recognition.learner import new_learner
from kinema.recognition.model import new_model
from kinema.recognition.schedule import relative_rate

_TEST_BATCH = 20
# What a graph has in it; runs that are equal in these share one.
_OF_A_GRAPH = (
    "backbone", "backbone_sizes", "front_end", "pathways", "normalisation",
    "normalisation_arguments", "penalty", "trains", "num_frames", "size", "optimiser",
    "learning_rate", "prompt_learning_rate", "precision", "weight_decay", "gradient_clip",
    "batch_size", "num_epochs", "dataset",
)  # fmt: skip


class Stepper:
    """Takes the steps of runs of one kind, one run after another.

    Args:
        recipe: of any run of the kind.
        drawn: what that run sees.
        bank: all frames, (F, 3, H, W) uint8, on the device where the steps are taken.
    """

    def __init__(self, recipe: Recipe, drawn: Drawn, bank: Tensor) -> None:
        assert recipe.optimiser == "adamw"
        assert recipe.ema_decay is None
        assert recipe.test_size in (None, recipe.size)
        self.kind = kind_of(recipe)
        self.device = bank.device
        self.on_gpu = self.device.type == "cuda"
        self.recipe = recipe
        self.model = new_model(recipe, num_classes=len(drawn.classes), start="").to(self.device)
        if not self.on_gpu:
            quicken(self.model)
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
            self.graphs = self._capture()

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
        """Logits (N, K) and labels (N,) of test clips; (S, 3) loss, variation, share right."""
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
        return torch.optim.AdamW(groups, capturable=self.on_gpu, fused=True)

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
        if "boxes" not in rows:
            frames = self.bank[rows["frames"].flatten()].float()
        elif self.on_gpu:
            boxes = rows["boxes"].repeat_interleave(time, dim=0, output_size=batch * time)
            frames = _cropped(self.bank[rows["frames"].flatten()], boxes, self.recipe.size)
        else:
            frames = torch.cat(
                [
                    crop(self.bank, each, box, self.recipe.size)
                    for each, box in zip(rows["frames"], rows["boxes"], strict=True)
                ]
            )
        clip = ((frames - self.mean) / self.std).unflatten(0, (batch, time))
        return from_canonical(clip, self.model.prompt.layout)

    def _take_step(self) -> None:
        rows = {name: values.index_select(0, self.step)[0] for name, values in self.train.items()}
        rate = self.rates.index_select(0, self.step)[0]
        for group in self.optimiser.param_groups:
            group["lr"].copy_(rate * group["highest_lr"])
        self.optimiser.zero_grad(set_to_none=True)
        with self._precision():
            output = self.model(self._shown(rows), labels=rows["labels"])
        output.loss.backward()
        if self.recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.optimiser.step()
        right = (output.logits.argmax(dim=1) == rows["labels"]).float().mean()
        metrics = torch.stack((output.loss, output.variation, right)).detach().float()
        self.metrics.index_copy_(0, self.step, metrics[None])
        self.attention = output.attention.detach()
        self.step += 1

    @torch.no_grad()
    def _test_step(self) -> None:
        places = self.tested * _TEST_BATCH + torch.arange(_TEST_BATCH, device=self.device)
        rows = {name: values.index_select(0, places) for name, values in self.test.items()}
        with self._precision():
            logits = self.model(self._shown(rows)).logits
        self.logits.index_copy_(0, places, logits.float())
        self.tested += 1

    def _precision(self) -> Any:
        halved = self.recipe.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=halved, cache_enabled=False)

    def _capture(self) -> tuple[Any, Any]:
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


def crop(bank: Tensor, frames: Tensor, box: Tensor, size: int) -> Tensor:
    """One clip's box of its frames, as float, without touching what lies beside it.

    Frames are as large as the largest of the data set, so most of a frame is not shown; to make
    all of it float took a tenth of a step.

    Args:
        bank: (F, 3, H, W) uint8.
        frames: (T + 1) indices into it.
        box: (2, 3), the affine map from the crop to the frame, which does not turn it.
        size: of the crop, in pixels.

    Returns:
        (T + 1, 3, size, size) float32 in [0, 255].
    """
    box, slices = box.clone(), []
    for row, length in ((0, bank.shape[3]), (1, bank.shape[2])):
        scale, shift = float(box[row, row]), float(box[row, 2])
        low, high = (
            ((shift + side * abs(scale) + 1) * length - 1) / 2 for side in (-1, 1)
        )  # in pixels, of which the outermost are sampled between
        first, last = max(0, math.floor(low) - 1), min(length, math.ceil(high) + 2)
        slices.append(slice(first, last))
        box[row, row] = scale * length / (last - first)
        box[row, 2] = ((shift + 1) * length - 2 * first) / (last - first) - 1
    across, down = slices
    part = bank[:, :, down, across][frames]
    return _cropped(part, box.expand(len(frames), 2, 3), size)


def _cropped(frames: Tensor, boxes: Tensor, size: int) -> Tensor:
    grid = F.affine_grid(boxes, [len(frames), 3, size, size], align_corners=False)
    return F.grid_sample(frames.float(), grid, align_corners=False, padding_mode="border")


def kind_of(recipe: Recipe) -> str:
    """What runs have in common that the same graph can take the steps of."""
    settings = {name: getattr(recipe, name) for name in _OF_A_GRAPH}
    arguments = recipe.dataset_arguments
    settings["classes"] = arguments.get("classes")
    return json.dumps(settings, default=str)


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
