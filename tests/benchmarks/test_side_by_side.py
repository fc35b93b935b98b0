"""Studies on a GPU train as `finetune` does: the same clips, the same losses. Tried on a CPU."""

import importlib
import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from kinema.motion_prompt import PlainFrames
from kinema.recognition import Recipe, read_recipe
from kinema.recognition.data import find_clips
from kinema.video import write_video

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of the studies by its name, as they import each other."""
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two classes of smooth clips of two shapes, eight to train on and two to test on."""
    generator = torch.Generator().manual_seed(0)
    for subset, count in (("train", 4), ("test", 1)):
        for label in ("left", "right"):
            for number in range(count):
                low = torch.rand(14, 3, 8, 10, generator=generator)
                size = (48, 60) if number % 2 else (60, 48)
                video = F.interpolate(low, size=size, mode="bicubic").clamp(0, 1)
                file = tmp_path / "clips" / subset / label / f"{number}.avi"
                file.parent.mkdir(parents=True, exist_ok=True)
                write_video(file.with_suffix(".mp4"), video, frames_per_second=10)
                file.with_suffix(".mp4").rename(file)
    return tmp_path / "clips"


def recipe(**changes: Any) -> Recipe:
    small = replace(
        read_recipe("ut-interaction-timesformer"),
        dataset="folder",
        dataset_arguments={},
        num_frames=4,
        size=32,
        short_side=(36, 44),
        flip=False,
        batch_size=4,
        num_epochs=4,
        num_warmup_epochs=1,
        num_workers=0,
        epochs_between_tests=0,
    )
    return replace(small, **changes)


@pytest.mark.parametrize("training", [True, False])
def test_a_plan_shows_the_crops_of_the_data_set(
    studies: Any, clips: Path, tmp_path: Path, training: bool
) -> None:
    drawn = studies("drawn")
    chosen = recipe()
    # The folder typed in another way, as when a study goes on elsewhere.
    (tmp_path / "linked").symlink_to(clips)
    drawn.decode_all(tmp_path / "linked", tmp_path / "drawn")
    plan = drawn.draw(chosen, clips, tmp_path / "drawn")
    bank = drawn.to_device(plan.frames, torch.device("cpu")).float() / 255
    front_end = PlainFrames()
    dataset = find_clips(chosen, clips, training=training).dataset(front_end)
    part = plan.train if training else plan.test
    if training:
        order = studies("drawn").Order(dataset, batch_size=4, seed=chosen.seed)
        dataset.set_epoch(1)
        indices, step = next(iter(order)), order.num_steps
        part = {name: values[step] for name, values in part.items()}
    else:
        indices = [0, 1]
    for place, index in enumerate(indices):
        item = dataset[index]
        expected = item["pixel_values"] * 0.225 + 0.45
        boxes = torch.from_numpy(part["boxes"][place]).expand(5, 2, 3)
        grid = F.affine_grid(boxes, [5, 3, 32, 32], align_corners=False)
        shown = F.grid_sample(bank[part["frames"][place]], grid, align_corners=False)
        assert part["labels"][place] == item["labels"]
        # Bilinear against the decoder's own resizing: as close as two good resizers are.
        assert (shown - expected).square().mean().sqrt() < 0.02


def test_a_mirrored_box_shows_the_crop_from_right_to_left(studies: Any) -> None:
    drawn = studies("drawn")
    frame = torch.rand(1, 3, 40, 50)
    corner, size = (5, 9), 32

    def shown(mirrored: bool) -> torch.Tensor:
        box = drawn._box(size, (40, 50), (40, 50), corner, (40, 50), mirrored)
        grid = F.affine_grid(torch.tensor([box]), [1, 3, size, size], align_corners=False)
        return F.grid_sample(frame, grid, align_corners=False)

    torch.testing.assert_close(shown(False), frame[..., 5:37, 9:41], atol=1e-5, rtol=0)
    torch.testing.assert_close(shown(True), frame[..., 5:37, 9:41].flip(-1), atol=1e-5, rtol=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scale=st.tuples(st.floats(0.1, 0.5), st.floats(0.1, 0.5)),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    mirrored=st.booleans(),
)
def test_a_crop_is_that_of_whole_frames(
    studies: Any, scale: tuple[float, float], shift: tuple[float, float], mirrored: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    bank = torch.randint(256, (6, 3, 23, 31), dtype=torch.uint8, generator=generator)
    picks = torch.tensor([4, 0, 5])
    sign = -1 if mirrored else 1
    box = torch.tensor([[sign * scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    grid = F.affine_grid(box.expand(3, 2, 3), [3, 3, 8, 8], align_corners=False)
    expected = F.grid_sample(bank[picks].float(), grid, align_corners=False, padding_mode="border")
    shown = studies("stepper").crop(bank, picks, box, 8)
    torch.testing.assert_close(shown, expected, atol=0.01, rtol=0)


def test_runs_side_by_side_learn_what_finetune_learns(studies: Any, tmp_path: Path) -> None:
    cells, side_by_side = studies("cells"), studies("side_by_side")
    sprites = replace(
        read_recipe("sprites-timesformer"),
        dataset_arguments={"num_clips": 24, "num_test_clips": 30, "nuisance": "some"},
        num_frames=4,
        size=32,
        batch_size=8,
        num_epochs=2,
        num_workers=0,
        epochs_between_tests=0,
    )
    start = cells.Cell({"name": "start"}, replace(sprites, front_end="frames"), keep=True)
    going_on = replace(sprites, start=str(tmp_path / "beside" / start.name))
    both = [start, cells.Cell({"name": "prompt"}, going_on)]
    side_by_side.run_side_by_side(
        both, tmp_path / "beside", data=None, device="cpu", width=2, num_processes=1
    )
    for cell in both:
        alone = cells.run_cell(cell, tmp_path / "alone", data=None)
        beside = json.loads((tmp_path / "beside" / cell.name / "result.json").read_text())
        lines = (tmp_path / "alone" / cell.name / "epochs.jsonl").read_text().splitlines()
        assert beside["losses"] == pytest.approx(
            [json.loads(line)["loss"] for line in lines], abs=2e-4
        )
        assert beside["accuracy"] == alone["accuracy"]
        assert beside["learned"].get("prompt_m") == pytest.approx(alone["learned"].get("prompt_m"))
    assert (tmp_path / "beside" / "start" / "backbone.safetensors").exists()
    assert not (tmp_path / "beside" / "prompt" / "backbone.safetensors").exists()


def test_a_study_on_drawn_clips_runs_its_share_in_the_precision_of_the_recipe(
    studies: Any, tmp_path: Path
) -> None:
    cells = studies("cells")
    sprites = replace(
        read_recipe("sprites-timesformer"),
        dataset_arguments={"num_clips": 16, "num_test_clips": 20, "nuisance": "some"},
        front_end="frames",
        num_frames=4,
        size=32,
        batch_size=8,
        num_epochs=1,
        num_warmup_epochs=0,
        num_workers=0,
        epochs_between_tests=0,
    )
    both = [
        cells.Cell({"name": precision}, replace(sprites, precision=precision))
        for precision in ("fp32", "bf16")
    ]
    shared = {"folder": tmp_path, "drawn": True, "device": "cpu", "processes": 1, "threads": 1}
    shared["known"] = []
    losses = {}
    for share, done in (("1/2", ["fp32"]), ("2/2", ["fp32", "bf16"])):
        arguments = SimpleNamespace(**shared, share=share)
        results = studies("study").run_study(both, arguments, data=None)
        assert [each["name"] for each in results] == done
        losses = {each["name"]: each["losses"] for each in results}
    # Half precision is near, and not the same.
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


def test_runs_that_learn_otherwise_share_no_stepper(studies: Any) -> None:
    """Its optimiser and its model are those of the first run that it took."""
    kind_of, first = studies("stepper").kind_of, recipe()
    assert kind_of(replace(first, seed=7)) == kind_of(first)
    for other in ({"learning_rate": 1.0}, {"prompt_learning_rate": 1.0}, {"precision": "fp32"}):
        assert kind_of(replace(first, **other)) != kind_of(first)


class _DrawnBetweenLooks(Future[Any]):
    """Not done at the first two looks, done ever after."""

    looks = 0

    def done(self) -> bool:
        self.looks += 1
        return self.looks > 2


def test_a_cell_drawn_between_two_looks_is_run(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, side_by_side = studies("cells"), studies("side_by_side")
    small = replace(
        read_recipe("sprites-timesformer"),
        dataset_arguments={"num_clips": 16, "num_test_clips": 16},
        batch_size=8,
        num_epochs=1,
        num_warmup_epochs=0,
    )
    cell, drawn = cells.Cell({"name": "late"}, small), _DrawnBetweenLooks()
    drawn.set_result(studies("drawn").draw(small, None, tmp_path / "drawn"))
    jobs = [side_by_side._Job(cell, studies("stepper").kind_of(small), drawn)]
    monkeypatch.setattr(side_by_side, "_jobs", lambda *_: jobs)
    side_by_side.run_side_by_side(
        [cell], tmp_path, data=None, device="cpu", width=1, num_processes=1
    )
    assert (tmp_path / cell.name / "result.json").exists()


def test_a_cell_whose_start_never_comes_is_said(studies: Any, tmp_path: Path) -> None:
    cells, side_by_side = studies("cells"), studies("side_by_side")
    lost = replace(
        read_recipe("sprites-timesformer"),
        dataset_arguments={"num_clips": 20, "num_test_clips": 20},
        num_epochs=1,
        start=str(tmp_path / "nowhere"),
    )
    with pytest.raises(SystemExit, match="1 runs wait for a start"):
        side_by_side.run_side_by_side(
            [cells.Cell({"name": "lost"}, lost)],
            tmp_path,
            data=None,
            device="cpu",
            width=1,
            num_processes=1,
        )
