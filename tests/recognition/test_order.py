"""The order of training clips, over epochs, processes and interruptions."""

import pytest

from kinema.datasets import SpritesActions
from kinema.errors import InputError
from kinema.recognition.order import Order

CLIPS = 23


def clips(epoch: int = 0) -> SpritesActions:
    dataset = SpritesActions(
        CLIPS, num_frames=2, size=16, mean=(0, 0, 0), std=(1, 1, 1), training=True
    )
    dataset.set_epoch(epoch)
    return dataset


def test_an_epoch_sees_each_clip_at_most_once_and_nearly_all() -> None:
    order = Order(clips(), batch_size=2, accumulation=2, seed=0)
    batches = list(order)
    assert len(batches) == len(order) == 2 * order.num_steps == 10
    seen = [index for batch in batches for index in batch]
    assert len(set(seen)) == len(seen) == 20
    assert set(seen) <= set(range(CLIPS))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def batches(seed: int, epoch: int) -> list[list[int]]:
        return list(Order(clips(epoch), batch_size=4, seed=seed))

    assert batches(0, 0) == batches(0, 0)
    assert len({str(batches(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("accumulation", [1, 3])
def test_two_processes_see_together_what_one_sees_with_a_doubled_batch(accumulation: int) -> None:
    shared = {"accumulation": accumulation, "seed": 5}
    one = list(Order(clips(), batch_size=2, **shared))
    first, second = (
        list(Order(clips(), batch_size=1, process=process, num_processes=2, **shared))
        for process in (0, 1)
    )
    assert [a + b for a, b in zip(first, second, strict=True)] == one


@pytest.mark.parametrize("process", [0, 1])
def test_an_epoch_goes_on_at_any_step(process: int) -> None:
    order = Order(clips(), batch_size=2, accumulation=2, seed=3, process=process, num_processes=2)
    whole = list(order)
    order.first_step = 1
    assert list(order) == whole[2:]
    assert len(order) == len(whole) - 2


def test_too_few_clips_for_a_step() -> None:
    with pytest.raises(InputError, match=r"24 clips .* there are 23"):
        Order(clips(), batch_size=4, accumulation=3, seed=0, num_processes=2)
