"""The order in which training sees its clips: a function of seed and epoch, and of nothing else."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from kinema.datasets import ClipDataset
from kinema.datasets.loading import EpochSampler
from kinema.errors import InputError


class Order(Sampler[list[int]]):
    """Batches of clip indices for one process, epoch after epoch.

    All processes shuffle alike and take the batches of a step in turn, so P processes see in one
    step what one process with a batch P times as large would see. Clips left over at the end of
    an epoch, too few for a whole step, wait for another epoch.

    Args:
        clips: the data set, which knows its epoch.
        batch_size: clips in a batch of one process.
        accumulation: batches of one process in a step.
        seed: of the run.
        process, num_processes: which of how many this is.

    Attributes:
        num_steps: in an epoch.
        first_step: of the epoch, at which the next iteration begins.

    Raises:
        InputError: the clips do not fill one step.
    """

    def __init__(
        self,
        clips: ClipDataset,
        *,
        batch_size: int,
        accumulation: int = 1,
        seed: int,
        process: int = 0,
        num_processes: int = 1,
    ) -> None:
        self.clips = EpochSampler(clips, seed=seed)
        self.batch_size = batch_size
        self.process, self.num_processes = process, num_processes
        self.batches_per_step = accumulation * num_processes
        clips_per_step = batch_size * self.batches_per_step
        self.num_steps = len(clips) // clips_per_step
        self.first_step = 0
        if not self.num_steps:
            raise InputError(
                f"a step takes {clips_per_step} clips ({batch_size} in a batch, {accumulation} "
                f"batches, {num_processes} processes) and there are {len(clips)} to train on; "
                "make batch_size or accumulation smaller"
            )

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.clips)
        first = self.first_step * self.batches_per_step + self.process
        for batch in range(first, self.num_steps * self.batches_per_step, self.num_processes):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.batches_per_step // self.num_processes
