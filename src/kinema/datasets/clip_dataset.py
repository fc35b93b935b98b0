"""What every torch data set of clips here has: an epoch, randomness made of it, and its errors."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Generator
from torch.utils.data import Dataset

from kinema.errors import InputError

Item = dict[str, Any]


class BrokenClipError(InputError):
    """A clip cannot be decoded; the sentence names file and cause.

    From a worker process torch raises an error anew, with the worker's whole traceback for its
    message. What caller and command line need is the sentence at its end.
    """

    def __init__(self, message: str) -> None:
        _, marker, sentence = message.rpartition(f"{type(self).__name__}: ")
        super().__init__(sentence.strip() if marker else message)


class ClipDataset(Dataset[Item], ABC):
    """Labelled clips whose randomness depends on seed, epoch and index alone.

    Attributes:
        seed: of everything random.
        errors: one sentence for each broken clip met so far; `loader` adds those that its
            worker processes met.
    """

    def __init__(self, *, seed: int) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}, expected 0 or more")
        self.seed = seed
        self.errors: list[str] = []
        # In shared memory, so that worker processes that live on see the next epoch too.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    @abstractmethod
    def __len__(self) -> int:
        """How many clips."""

    @property
    def epoch(self) -> int:
        """The epoch set last, 0 at first."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: order, temporal jitter and augmentation follow from its number."""
        self._epoch.fill_(epoch)

    def record(self, errors: Iterable[str]) -> None:
        """Add sentences to `errors`, each once."""
        self.errors += [error for error in dict.fromkeys(errors) if error not in self.errors]

    def generator(self, index: int) -> Generator:
        """A generator for clip `index` in this epoch."""
        return seeded(self.seed, self.epoch, index)


def seeded(*numbers: int) -> Generator:
    """A generator whose stream is its own for each sequence of whole numbers from 0 up."""
    # NumPy pads with zeros: without their number, (1, 2) would be (1, 2, 0).
    state = np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, np.uint64)[0]
    return Generator().manual_seed(int(state >> np.uint64(1)))
