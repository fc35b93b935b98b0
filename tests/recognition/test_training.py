"""The loop: it learns, a killed run goes on the same, and batches add up the same however split."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from kinema.datasets import VideoDataset
from kinema.errors import InputError
from kinema.lines import read_lines
from kinema.recognition import Recipe, evaluate, finetune, load_model, new_model, read_run
from kinema.recognition import training as loop
from tests.recognition.tiny import CONVOLUTIONAL, MOTIONS, TRANSFORMER, write_recipe

# Adam divides by the size of a gradient, which blows rounding up where it is next to nothing.
PLAIN = replace(TRANSFORMER, optimiser="sgd", learning_rate=0.1)
VIDEOS = replace(TRANSFORMER, dataset="folder", dataset_arguments={})


def run(recipe: Recipe, folder: Path, **options: Any) -> dict[str, Any]:
    return finetune(recipe, folder, device="cpu", **options)


def losses(folder: Path) -> list[float]:
    lines = read_lines(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    parts = {name: folder / f"{name}.safetensors" for name in ("backbone", "prompt")}
    return {
        f"{part}.{name}": value
        for part, path in parts.items()
        if path.exists()
        for name, value in load_file(path).items()
    }


def assert_same(first: Path, second: Path) -> None:
    """The same losses and weights, bit for bit."""
    assert losses(first) == losses(second)
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def command(recipe: Recipe, folder: Path, *options: str) -> list[str]:
    path = write_recipe(recipe, folder.with_suffix(".toml"))
    return ["-m", "kinema", "finetune", str(path), "-o", str(folder), "--device", "cpu", *options]


def signal_to_all(arguments: list[str], number: int, folder: Path) -> None:
    """Send a signal to a run's readers, who do not heed it, then to all; it leaves a checkpoint."""
    process = subprocess.Popen(
        [sys.executable, *arguments], start_new_session=True, stderr=subprocess.PIPE, text=True
    )

    def wait_for(num_steps: int) -> None:
        deadline = time.monotonic() + 100
        while len(read_lines(folder / "metrics.jsonl")) < num_steps:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    wait_for(3)
    readers = psutil.Process(process.pid).children()
    assert readers
    for reader in readers:
        reader.send_signal(number)
    # More than what they had read ahead.
    wait_for(len(read_lines(folder / "metrics.jsonl")) + 20)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert (folder / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("front_end", ["frames", "motion-prompt", "difference"])
def test_the_loss_falls_on_sprites(front_end: str, tmp_path: Path) -> None:
    recipe = replace(
        TRANSFORMER,
        front_end=front_end,
        backbone_sizes={"width": 32, "depth": 1, "num_heads": 2, "patch_size": 4},
        dataset_arguments=TRANSFORMER.dataset_arguments | {"num_clips": 12, "in_memory": True},
        num_epochs=40,
        learning_rate=3e-3,
        epochs_between_tests=40,
    )
    summary = run(recipe, tmp_path)
    seen = losses(tmp_path)
    assert len(seen) == summary["num_steps"] == 120
    assert sum(seen[-6:]) < 0.7 * sum(seen[:6])
    assert 0 <= summary["last_epoch"]["test_top1"] <= 1
    epochs = read_lines(tmp_path / "epochs.jsonl")
    of_each = len(seen) // len(epochs)
    for number, epoch in enumerate(epochs):
        own = seen[number * of_each : (number + 1) * of_each]
        assert epoch["loss"] == pytest.approx(sum(own) / of_each)
    assert [line["epoch"] for line in epochs] == list(range(1, 41))
    assert epochs[0]["loss"] == pytest.approx(sum(seen[:3]) / 3)
    assert [line["epoch"] for line in epochs if "test_top1" in line] == [40]
    prompt_line = {key for key in epochs[0] if key.startswith("prompt_")}
    assert bool(prompt_line) == (front_end == "motion-prompt")
    if prompt_line:
        assert prompt_line >= {
            *("prompt_m", "prompt_n", "prompt_slope", "prompt_shift"),
            *("prompt_attention_at_rest", "prompt_attention_mean", "prompt_attention_std"),
            "prompt_share_above_099",
        }
        assert epochs[-1]["prompt_m"] != pytest.approx(0.1, abs=1e-3)


def test_a_run_killed_in_the_middle_goes_on_to_the_same_weights(
    clips: Path, tmp_path: Path
) -> None:
    """With batch norm, dropout, augmentation, an average and accumulation, and another reader."""
    recipe = replace(
        CONVOLUTIONAL,
        dataset="folder",
        dataset_arguments={},
        num_epochs=4,
        batch_size=2,
        accumulation=2,
        ema_decay=0.9,
        gradient_clip=1.0,
        steps_between_checkpoints=4,
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    data = ("--data", str(clips))
    run(recipe, whole, data=clips)
    process = subprocess.Popen([sys.executable, *command(recipe, killed, *data)])
    metrics = killed / "metrics.jsonl"
    deadline = time.monotonic() + 60
    # Six steps are an epoch: at ten, a checkpoint of eight is written, two steps into the second.
    while len(read_lines(metrics)) < 10:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "backbone.safetensors").exists()
    lost = len(read_lines(metrics))
    assert lost < len(losses(whole)) == 24

    summary = run(replace(recipe, num_workers=1), killed, data=clips, resume=True)
    assert summary["num_steps"] == 24
    assert_same(whole, killed)
    assert read_lines(whole / "epochs.jsonl") == read_lines(killed / "epochs.jsonl")


def test_a_signal_leaves_a_checkpoint_from_which_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(CONVOLUTIONAL, optimiser="sgd", schedule="cosine")
    run(recipe, tmp_path / "whole")
    relative_rate = loop.relative_rate

    def interrupting(recipe: Recipe, epoch: float) -> float:
        if epoch == 0.5:
            os.kill(os.getpid(), signal.SIGTERM)
        return relative_rate(recipe, epoch)

    monkeypatch.setattr(loop, "relative_rate", interrupting)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "cut")
    assert len(losses(tmp_path / "cut")) == 4
    monkeypatch.undo()
    # What a later kill may leave behind: a line of a step after the checkpoint, and half a line.
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 5, "loss": 99.0}\n{"step": 6, "lo')
    run(recipe, tmp_path / "cut", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_signal_to_the_whole_group_leaves_a_checkpoint_too(clips: Path, tmp_path: Path) -> None:
    """As `timeout` and schedulers send it: to the processes that read clips as well."""
    recipe = replace(
        CONVOLUTIONAL, dataset="folder", dataset_arguments={}, num_epochs=500, num_workers=2
    )
    folder = tmp_path / "run"
    signal_to_all(command(recipe, folder, "--data", str(clips)), signal.SIGTERM, folder)


def test_a_signal_to_spawned_readers_too_leaves_a_checkpoint(clips: Path, tmp_path: Path) -> None:
    """Ctrl-C in a terminal, where the system starts processes afresh (macOS; Python 3.14)."""
    recipe = replace(
        CONVOLUTIONAL, dataset="folder", dataset_arguments={}, num_epochs=500, num_workers=1
    )
    folder = tmp_path / "run"
    _, module, *rest = command(recipe, folder, "--data", str(clips))
    script = (
        "if __name__ == '__main__':\n"
        "    import multiprocessing, runpy\n"
        "    multiprocessing.set_start_method('spawn')\n"
        f"    runpy.run_module({module!r}, run_name='__main__')\n"
    )
    (tmp_path / "spawning.py").write_text(script)
    signal_to_all([str(tmp_path / "spawning.py"), *rest], signal.SIGINT, folder)


def test_a_run_that_diverges_stops_and_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    recipe = replace(PLAIN, learning_rate=1e30, front_end="frames")
    with pytest.raises(InputError, match=r"the loss of step \d+ is nan: training diverged"):
        run(recipe, tmp_path)
    assert not (tmp_path / "backbone.safetensors").exists()
    assert all(math.isfinite(loss) for loss in losses(tmp_path))


def test_a_run_begun_anew_has_no_weights_of_the_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CONVOLUTIONAL, tmp_path)
    (tmp_path / "checkpoint.safetensors").unlink()

    def interrupting(recipe: Recipe, epoch: float) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return 1.0

    monkeypatch.setattr(loop, "relative_rate", interrupting)
    with pytest.raises(KeyboardInterrupt):
        run(replace(CONVOLUTIONAL, seed=5), tmp_path)
    with pytest.raises(InputError, match="holds no finished run"):
        evaluate(tmp_path, device="cpu")
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("renamed", ["a class", "a clip", "its class"])
def test_a_run_does_not_go_on_with_other_clips(renamed: str, clips: Path, tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(clips, data)
    recipe = replace(TRANSFORMER, dataset="folder", dataset_arguments={}, num_epochs=1)
    run(recipe, folder, data=data)
    run(recipe, folder, data=data, resume=True)
    before = (folder / "run.json").read_text()
    if renamed == "a class":
        (data / "train" / "up").rename(data / "train" / "aside")
    elif renamed == "a clip":
        (data / "train" / "up" / "0.mp4").rename(data / "train" / "up" / "zero.mp4")
    else:
        (data / "train" / "up" / "0.mp4").rename(data / "train" / "right" / "of_up.mp4")
    with pytest.raises(InputError, match="24 other clips or other classes"):
        run(recipe, folder, data=data, resume=True)
    assert (folder / "run.json").read_text() == before


def test_a_finished_run_that_is_resumed_stays_as_it_is(run_folder: Path) -> None:
    before = weights(run_folder)
    run(TRANSFORMER, run_folder, resume=True)
    after = weights(run_folder)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_two_processes_learn_what_one_learns_with_a_doubled_batch(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    recipe = replace(PLAIN, ema_decay=0.8, epochs_between_tests=1)
    run(recipe, one)
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, "-m", *launch, *command(replace(recipe, batch_size=2), two)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("wrote") == 1
    assert json.loads((two / "summary.json").read_text())["num_processes"] == 2
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    ours, theirs = weights(one), weights(two)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-6)
    for a, b in zip(
        read_lines(one / "epochs.jsonl"), read_lines(two / "epochs.jsonl"), strict=True
    ):
        assert b["test_top1"] == a["test_top1"]
        assert b["top1"] == pytest.approx(a["top1"])


def test_a_broken_test_video_is_counted_in_training_too(clips: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(clips, data)
    (data / "test" / "up" / "broken.mp4").write_text("these are words")
    recipe = replace(VIDEOS, num_epochs=1, epochs_between_tests=1, on_error="skip")
    summary = run(recipe, tmp_path / "run", data=data)
    (said,) = summary["broken_clips"]
    assert "broken.mp4" in said
    assert "test_top1" in summary["last_epoch"]


def test_training_is_watched_in_the_middle_of_clips(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thirty views a test would take longer than the epochs between two."""
    seen: list[tuple[int, ...]] = []
    watched = VideoDataset.__getitem__

    def note(self: VideoDataset, index: int) -> Any:
        item = watched(self, index)
        if not self.training:
            seen.append(tuple(item["pixel_values"].shape))
        return item

    monkeypatch.setattr(VideoDataset, "__getitem__", note)
    recipe = replace(VIDEOS, num_epochs=1, epochs_between_tests=1, num_views=2, num_crops=3)
    run(recipe, tmp_path / "run", data=clips)
    assert set(seen) == {(5, 3, 16, 16)}
    assert evaluate(tmp_path / "run", device="cpu").num_views == 2


def test_what_changes_nothing_of_what_is_learned_may_change_on_resume(tmp_path: Path) -> None:
    run(replace(PLAIN, num_epochs=1), tmp_path)
    before = weights(tmp_path)
    other = replace(PLAIN, num_epochs=1, on_error="skip", epochs_between_tests=1, num_workers=1)
    run(other, tmp_path, resume=True)
    assert read_run(tmp_path).recipe == other
    assert all(torch.equal(weights(tmp_path)[name], value) for name, value in before.items())
    with pytest.raises(InputError, match=r"momentum 0\.9, now 0\.5"):
        run(replace(other, momentum=0.5), tmp_path, resume=True)


def test_two_processes_finish_after_a_single_epoch(tmp_path: Path) -> None:
    """The one that writes no journal has no last epoch to read at the end."""
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    once = replace(CONVOLUTIONAL, num_epochs=1, epochs_between_tests=1)
    result = subprocess.run(
        [sys.executable, "-m", *launch, *command(once, tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    (line,) = read_lines(tmp_path / "run" / "epochs.jsonl")
    assert summary["last_epoch"] == line
    kept = evaluate(tmp_path / "run", device="cpu")
    assert line["test_top1"] == pytest.approx(kept.scores.top1)


def test_all_processes_test_with_the_main_ones_batch_norms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has running statistics of its own clips, and those of one are kept."""
    shared: list[torch.Tensor] = []
    monkeypatch.setattr("accelerate.utils.broadcast", shared.append)
    run(replace(CONVOLUTIONAL, num_epochs=1, epochs_between_tests=1), tmp_path / "run")
    model = load_model(read_run(tmp_path / "run"))
    assert [each.shape for each in shared] == [each.shape for each in model.buffers()]
    assert any(name.endswith("running_mean") for name, _ in model.named_buffers())


def test_accumulated_batches_teach_what_one_large_batch_teaches(tmp_path: Path) -> None:
    recipe = replace(PLAIN, batch_size=6)
    run(recipe, tmp_path / "large")
    run(replace(recipe, batch_size=2, accumulation=3), tmp_path / "small")
    assert losses(tmp_path / "small") == pytest.approx(losses(tmp_path / "large"), rel=1e-5)
    ours, theirs = weights(tmp_path / "large"), weights(tmp_path / "small")
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-6)


def test_the_penalty_is_part_of_the_loss(tmp_path: Path) -> None:
    recipe = replace(TRANSFORMER, num_epochs=1, batch_size=24, learning_rate=0.0)
    first: dict[float, dict[str, Any]] = {}
    for penalty in (0.0, 2.0):
        run(replace(recipe, penalty=penalty), tmp_path / str(penalty))
        first[penalty] = read_lines(tmp_path / str(penalty) / "metrics.jsonl")[0]
    variation = first[0.0]["variation"]
    assert variation > 0
    assert first[2.0]["loss"] - first[0.0]["loss"] == pytest.approx(2 * variation, rel=1e-4)


def test_only_what_shall_learn_does(tmp_path: Path) -> None:
    recipe = replace(CONVOLUTIONAL, trains="prompt", batch_size=1, num_epochs=1)
    start = replace(recipe, learning_rate=0.0)
    run(start, tmp_path / "still")
    run(replace(recipe, prompt_learning_rate=0.05, learning_rate=0.0), tmp_path / "prompt")
    before, after = weights(tmp_path / "still"), weights(tmp_path / "prompt")
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    # Neither the backbone's weights nor the statistics of its batch norms.
    assert changed == {"prompt.normalisation.m", "prompt.normalisation.n"}


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    run(replace(PLAIN, learning_rate=0.0), tmp_path)
    seen = losses(tmp_path)
    assert seen[:6] != seen[6:]
    # Nothing learns, so the same clips come to the same mean.
    assert sum(seen[:6]) == pytest.approx(sum(seen[6:]), rel=1e-5)


def test_the_average_is_what_is_kept(tmp_path: Path) -> None:
    recipe = replace(PLAIN, num_epochs=1, batch_size=12, learning_rate=1.0, schedule="steps")
    run(recipe, tmp_path / "last")
    run(replace(recipe, ema_decay=0.75), tmp_path / "average")
    state = load_file(tmp_path / "average" / "checkpoint.safetensors")
    kept, last = weights(tmp_path / "average"), weights(tmp_path / "last")
    for name, value in kept.items():
        assert torch.equal(state[f"weights.{name}"], last[name])
        assert torch.equal(state[f"average.module.{name}"], value)
    # After two steps 0.75 of the first and 0.25 of the second: velocities v1 and v2 of the SGD.
    name = "backbone.classifier.bias"
    second = state[f"optimizer.{_index_of(name)}.momentum_buffer"]
    torch.testing.assert_close(last[name] - kept[name], -0.75 * second)


def _index_of(name: str) -> int:
    """Place of a parameter of the backbone in the optimiser's state."""
    model = new_model(TRANSFORMER, num_classes=3)
    return [each for each, _ in model.named_parameters() if each.startswith("backbone")].index(name)


def test_the_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    recipe = replace(TRANSFORMER, learning_rate=0.25)
    run(recipe, tmp_path)
    rates = [line["learning_rate"] for line in read_lines(tmp_path / "metrics.jsonl")]
    expected = [0.25 * math.cos(math.pi * step / 24) ** 2 for step in range(12)]
    assert rates == pytest.approx(expected)


def test_the_schedule_scales_the_learning_rate(tmp_path: Path) -> None:
    steps = replace(PLAIN, schedule="steps", num_epochs=1)
    run(replace(steps, learning_rate=0.1), tmp_path / "full")
    halved = replace(steps, learning_rate=0.2, step_epochs=(0,), step_rates=(0.5,))
    run(halved, tmp_path / "halved")
    assert_same(tmp_path / "full", tmp_path / "halved")


def test_the_gradient_is_clipped(tmp_path: Path) -> None:
    recipe = replace(PLAIN, num_epochs=1, batch_size=24, momentum=0.0, weight_decay=0.0)
    run(replace(recipe, learning_rate=0.0), tmp_path / "before")
    run(replace(recipe, learning_rate=1.0, gradient_clip=0.01), tmp_path / "after")
    before, after = weights(tmp_path / "before"), weights(tmp_path / "after")
    moved = torch.cat([(after[name] - value).flatten() for name, value in before.items()])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_testing_on_the_way_changes_nothing(tmp_path: Path) -> None:
    run(CONVOLUTIONAL, tmp_path / "untested")
    run(replace(CONVOLUTIONAL, epochs_between_tests=1), tmp_path / "tested")
    assert_same(tmp_path / "untested", tmp_path / "tested")


def test_a_run_on_videos_skips_a_broken_one_and_says_so(clips: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for subset in ("train", "test"):
        (data / subset).mkdir()
        for motion in MOTIONS:
            (data / subset / motion).symlink_to(clips / subset / motion)
    (data / "train" / "up").unlink()
    (data / "train" / "up").mkdir()
    (data / "train" / "up" / "broken.mp4").write_text("these are words")
    for i in range(3):
        (data / "train" / "up" / f"{i}.mp4").symlink_to(clips / "train" / "up" / f"{i}.mp4")
    recipe = replace(TRANSFORMER, dataset="folder", dataset_arguments={}, num_epochs=1)
    with pytest.raises(InputError, match=r"broken\.mp4"):
        run(recipe, tmp_path / "strict", data=data)
    summary = run(replace(recipe, on_error="skip"), tmp_path / "run", data=data)
    assert len(summary["broken_clips"]) == 1
    assert "broken.mp4" in summary["broken_clips"][0]
    # A finished run that is looked at again meets no clips, and does not forget either.
    again = run(replace(recipe, on_error="skip"), tmp_path / "run", data=data, resume=True)
    assert again["broken_clips"] == summary["broken_clips"]


def test_half_precision_trains(tmp_path: Path) -> None:
    # accelerate settles precision once for a process.
    recipe = replace(TRANSFORMER, precision="bf16", gradient_clip=1.0)
    result = subprocess.run(
        [sys.executable, *command(recipe, tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    seen = losses(tmp_path / "run")
    assert len(seen) == 12
    assert all(math.isfinite(value) for value in seen)
    assert all(value.dtype == torch.float32 for value in weights(tmp_path / "run").values())
    with pytest.raises(InputError, match="another precision"):
        run(recipe, tmp_path / "again")


def test_the_board_gets_the_losses(run_folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run_folder / "tensorboard"))
    board.Reload()
    events = board.Scalars("step/loss")
    assert [event.step for event in events] == list(range(1, 13))
    assert [event.value for event in events] == pytest.approx(losses(run_folder))


def test_what_is_written_is_a_run(run_folder: Path) -> None:
    made = read_run(run_folder)
    assert made.recipe == TRANSFORMER
    assert made.classes == MOTIONS
    model = load_model(made)
    for name, value in weights(run_folder).items():
        assert torch.equal(model.state_dict()[name], value)
