"""Batches: worker processes, order and errors."""

import atexit
import os
import signal
import weakref
from collections.abc import Iterator, Sequence
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch import Generator
from torch.utils.data import DataLoader, Sampler

from kinema.datasets.clip_dataset import ClipDataset, Item, seeded
from kinema.errors import InputError

_WORKERS: weakref.WeakSet[BaseProcess] = weakref.WeakSet()
"""Processes that load clips for this one."""


def collate(items: Sequence[Item]) -> dict[str, Any]:
    """Make a batch of items, without those whose clip is broken.

    Returns:
        `pixel_values` `(B, ...)` float32, `labels` `(B,)` int64, `index` `(B,)` int64, and
        `errors`, the sentences of all items. B is below the number of items where clips are
        broken; where all are, it is 0 and `pixel_values` has the shape `(0,)`.
    """
    whole = [item for item in items if item["pixel_values"] is not None]
    pixel_values = [item["pixel_values"] for item in whole]
    return {
        "pixel_values": torch.stack(pixel_values) if whole else torch.empty(0),
        "labels": torch.tensor([item["labels"] for item in whole], dtype=torch.int64),
        "index": torch.tensor([item["index"] for item in whole], dtype=torch.int64),
        "errors": [error for item in items for error in item["errors"]],
    }


class EpochSampler(Sampler[int]):
    """All clips in an order that follows from `seed` and the data set's epoch."""

    def __init__(self, dataset: ClipDataset, *, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        generator = seeded(self.seed, self.dataset.epoch)
        return iter(torch.randperm(len(self.dataset), generator=generator).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, for the data set too."""
        self.dataset.set_epoch(epoch)


class ClipLoader(DataLoader[Item]):
    """A DataLoader that tells the data set of the broken clips its workers met.

    Its workers leave SIGTERM and SIGINT, which schedulers and terminals send to all processes of a
    job, to the process that they work for: that one then has time to write a checkpoint, and stops
    them.
    """

    def __init__(self, dataset: ClipDataset, **settings: Any) -> None:
        super().__init__(dataset, worker_init_fn=_ignore_signals, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        others = set(active_children())
        batches = super().__iter__()
        _WORKERS.update(set(active_children()) - others)
        # Ahead of torch's own, which would wait for each of them first.
        atexit.unregister(_kill_workers)
        atexit.register(_kill_workers)
        for batch in batches:
            if isinstance(self.dataset, ClipDataset):
                self.dataset.record(batch["errors"])
            yield batch


def loader(
    dataset: ClipDataset,
    *,
    batch_size: int,
    num_workers: int | None = None,
    shuffle: bool,
    seed: int = 0,
    drop_last: bool = False,
    batch_norm: bool = False,
    start_method: str | None = None,
) -> ClipLoader:
    """Load batches of clips (see `collate`) in worker processes of one thread each.

    Order and contents follow from seed, epoch (`dataset.set_epoch`) and index, whatever the
    number of workers, and the global generators are left alone. Workers live from epoch to epoch.

    Args:
        dataset: `VideoDataset` or `SpritesActions`.
        batch_size: clips in a batch.
        num_workers: processes; by default one for each core that this process may use. 0 loads
            in this process.
        shuffle: a new order every epoch.
        seed: of the order.
        drop_last: leave out a last batch that is not full.
        batch_norm: the model normalises over its batches in training: refuse batches of one clip.
        start_method: "fork", "spawn" or "forkserver"; by default the system's. "spawn" is for
            processes that already use an accelerator or threads.

    Raises:
        InputError: a number is out of range, there is less than one batch, or a batch would hold
            one clip where `batch_norm` is on.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}, expected 1 or more")
    if num_workers is None:
        num_workers = _num_cores()
    if num_workers < 0:
        raise InputError(f"num_workers is {num_workers}, expected 0 or more")
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}, expected 0 or more and less than 2 to the power of 63")
    size = len(dataset)
    if drop_last and size < batch_size:
        raise InputError(
            f"the data set has {size} clips, not one batch of {batch_size}; make batch_size "
            "smaller or drop_last False"
        )
    if batch_norm and batch_size == 1:
        raise InputError(
            "batch_size is 1, and batch normalisation has nothing to compare one clip with; "
            "expected 2 or more"
        )
    if batch_norm and not drop_last and size % batch_size == 1:
        raise InputError(
            f"{size} clips in batches of {batch_size} leave one clip for the last, and batch "
            "normalisation has nothing to compare it with; set drop_last or another batch_size"
        )
    return ClipLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(dataset, seed=seed) if shuffle else None,
        num_workers=num_workers,
        collate_fn=collate,
        drop_last=drop_last,
        multiprocessing_context=start_method if num_workers else None,
        persistent_workers=num_workers > 0,
        # Else every epoch would draw a number from the global generator.
        generator=Generator().manual_seed(seed),
    )


def _kill_workers() -> None:
    # At exit multiprocessing stops them by SIGTERM, which they ignore, and waits for them. torch
    # would take a worker that is killed for an accident.
    if _WORKERS and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in _WORKERS:
        if worker.is_alive():
            worker.kill()


def _ignore_signals(_: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _num_cores() -> int:
    """Cores that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
