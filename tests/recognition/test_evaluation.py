"""Evaluation: views and crops are averaged, each clip counts once, and all of it is written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinema.datasets import ClipDataset, ClipList, Item
from kinema.datasets import folder as read_folder
from kinema.errors import InputError
from kinema.motion_prompt import PlainFrames
from kinema.recognition import (
    evaluate,
    finetune,
    new_model,
    predict,
    read_run,
    score,
    write_evaluation,
)
from kinema.recognition.data import _READERS, find_clips
from kinema.recognition.evaluation import score_together
from kinema.recognition.prediction import Prediction, predict_share
from tests.recognition.tiny import CONVOLUTIONAL, MOTIONS, TRANSFORMER


class ByBrightness(nn.Module):
    """Gives as logits the mean of each channel of a clip (B, C, T, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.prompt = SimpleNamespace(layout="BCTHW")
        self.largest_batch = 0

    def forward(self, clip: Tensor) -> SimpleNamespace:
        assert not self.training
        self.largest_batch = max(self.largest_batch, len(clip))
        return SimpleNamespace(logits=clip.mean(dim=(2, 3, 4)))


class Clips(ClipDataset):
    """Seven clips, in views or not, of noise; the fourth is broken."""

    def __init__(self, num_views: int) -> None:
        super().__init__(seed=0)
        shape = (7, num_views, 4, 3, 6, 6) if num_views > 1 else (7, 4, 3, 6, 6)
        self.values = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        # Views of a clip must differ for their mean to say anything.
        self.values += torch.randn((*shape[:-3], 3, 1, 1), generator=torch.Generator())

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> Item:
        if index == 3:
            return {"pixel_values": None, "labels": 0, "index": 3, "errors": ["3 is broken"]}
        return {
            "pixel_values": self.values[index],
            "labels": index % 3,
            "index": index,
            "errors": [],
        }


@pytest.mark.parametrize(("num_views", "batch_size"), [(1, 1), (1, 3), (6, 1), (6, 2)])
def test_probabilities_are_means_over_views(num_views: int, batch_size: int) -> None:
    clips, model = Clips(num_views), ByBrightness()
    prediction = predict(model, clips, batch_size=batch_size)  # type: ignore[arg-type]
    assert prediction.indices.tolist() == [0, 1, 2, 4, 5, 6]
    assert prediction.labels.tolist() == [0, 1, 2, 1, 2, 0]
    assert model.largest_batch == batch_size * num_views
    assert clips.errors == ["3 is broken"]
    for index, shares in zip(prediction.indices, prediction.probabilities, strict=True):
        views = clips.values[index].reshape(num_views, 4, 3, 6, 6).double()
        expected = torch.stack([view.mean(dim=(0, 2, 3)).softmax(0) for view in views]).mean(0)
        torch.testing.assert_close(shares.double(), expected, rtol=1e-5, atol=1e-6)


def share(clips: Clips, process: int, num_processes: int) -> Prediction | None:
    """What one of several processes predicts."""
    return predict_share(
        ByBrightness(),  # type: ignore[arg-type]
        clips,
        batch_size=2,
        num_workers=0,
        precision="fp32",
        process=process,
        num_processes=num_processes,
    )


def test_processes_share_the_clips_out() -> None:
    found = [share(Clips(1), process, 2) for process in range(2)]
    assert [part.indices.tolist() for part in found if part] == [[0, 2, 4, 6], [1, 5]]


def test_a_process_without_a_clip_leaves_the_scores_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More processes than clips, or one whose share is broken: that ended all of them."""
    parts = [share(Clips(1), process, 9) for process in range(9)]
    assert [part is None for part in parts] == [i in (3, 7, 8) for i in range(9)]
    monkeypatch.setattr("accelerate.utils.gather_object", lambda mine: [*parts[:8], *mine])
    last = SimpleNamespace(process_index=8, num_processes=9)
    together = score_together(ByBrightness(), Clips(1), TRANSFORMER, accelerator=last)  # type: ignore[arg-type]
    alone = predict(ByBrightness(), Clips(1), batch_size=2)  # type: ignore[arg-type]
    assert together.as_dict() == score(alone.probabilities, alone.labels).as_dict()
    monkeypatch.setattr("accelerate.utils.gather_object", lambda mine: [None, *mine])
    with pytest.raises(InputError, match="none of the test clips can be read: there are none"):
        score_together(ByBrightness(), Clips(1), TRANSFORMER, accelerator=last)  # type: ignore[arg-type]


def test_nothing_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"pixel_values": None, "labels": 0, "index": 3, "errors": ["3 is broken"]}
    clips = Clips(1)
    monkeypatch.setattr(Clips, "__len__", lambda self: 1)
    monkeypatch.setattr(Clips, "__getitem__", lambda self, index: broken)
    with pytest.raises(InputError, match="3 is broken"):
        predict(ByBrightness(), clips, batch_size=2)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def on_videos(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the folder of rendered clips."""
    folder = tmp_path_factory.mktemp("videos")
    recipe = replace(TRANSFORMER, dataset="folder", dataset_arguments={}, num_epochs=1)
    finetune(recipe, folder, data=clips, device="cpu")
    return folder


def test_an_evaluation_is_written(on_videos: Path, tmp_path: Path) -> None:
    evaluation = evaluate(on_videos, num_views=2, num_crops=3, device="cpu")
    write_evaluation(evaluation, tmp_path)
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["num_clips"] == 9
    assert (written["num_views"], written["num_crops"]) == (2, 3)
    assert set(written["class_accuracy"]) == set(MOTIONS)
    assert sum(map(sum, written["confusion"])) == 9
    lines = [json.loads(x) for x in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    right = sum(line["class"] == line["predicted"] for line in lines)
    assert written["top1"] == right / 9
    assert written["top5"] == 1
    assert [line["clip"] for line in lines] == [
        f"{m}/{i}.mp4" for m in sorted(MOTIONS) for i in range(3)
    ]
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 200


def test_crops_of_another_size_are_seen_in_evaluation(clips: Path) -> None:
    """As the weights of the zoo were: learned on 160 pixels, tested on 182."""
    recipe = replace(CONVOLUTIONAL, dataset="folder", dataset_arguments={}, test_size=24)
    shapes = {
        training: find_clips(recipe, clips, training=training)
        .dataset(PlainFrames())[0]["pixel_values"]
        .shape
        for training in (True, False)
    }
    assert shapes == {True: (5, 3, 16, 16), False: (5, 3, 24, 24)}
    model = new_model(recipe, num_classes=3).eval()
    assert model(torch.rand(2, 3, 5, 24, 24)).logits.shape == (2, 3)


def test_a_transformer_is_tested_on_the_size_that_it_learned_on(tmp_path: Path) -> None:
    recipe = replace(TRANSFORMER, test_size=24)
    with pytest.raises(InputError, match="test_size is 24 and size 16"):
        finetune(recipe, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    finetune(replace(TRANSFORMER, num_epochs=1), tmp_path / "run", device="cpu")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    content["recipe"]["test_size"] = 24
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="test_size is 24"):
        evaluate(tmp_path / "run", device="cpu")


def test_weights_that_diverged_are_not_scored(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path, dirs_exist_ok=True)
    state = load_file(tmp_path / "backbone.safetensors")
    state["classifier.bias"].fill_(torch.nan)
    save_file(state, tmp_path / "backbone.safetensors")
    with pytest.raises(InputError, match="not finite"):
        evaluate(tmp_path, device="cpu")


def test_names_with_dollars_are_drawn(on_videos: Path, tmp_path: Path) -> None:
    evaluation = evaluate(on_videos, device="cpu")
    classes = ("cost_$5_to_$10", "$x$", "up")
    write_evaluation(replace(evaluation, classes=classes), tmp_path / "e")
    assert (tmp_path / "e" / "confusion.png").exists()


def test_views_change_the_probabilities(on_videos: Path) -> None:
    one, many = (evaluate(on_videos, num_crops=crops, device="cpu") for crops in (1, 3))
    assert not torch.equal(one.prediction.probabilities, many.prediction.probabilities)
    torch.testing.assert_close(many.prediction.probabilities.sum(dim=1), torch.ones(9))


def test_evaluating_a_run_agrees_with_its_own_test(tmp_path: Path) -> None:
    recipe = replace(TRANSFORMER, epochs_between_tests=2, ema_decay=0.5)
    summary = finetune(recipe, tmp_path, device="cpu")
    evaluation = evaluate(tmp_path, device="cpu")
    assert evaluation.scores.top1 == summary["last_epoch"]["test_top1"]
    again = score(evaluation.prediction.probabilities, evaluation.prediction.labels)
    assert again.as_dict() == evaluation.scores.as_dict()


def test_a_broken_test_video_is_counted(on_videos: Path, clips: Path, tmp_path: Path) -> None:
    for subset in ("train", "test"):
        for motion in MOTIONS:
            (tmp_path / subset / motion).mkdir(parents=True)
            for video in (clips / subset / motion).iterdir():
                (tmp_path / subset / motion / video.name).symlink_to(video)
    (tmp_path / "test" / "up" / "broken.mp4").write_text("these are words")
    with pytest.raises(InputError, match=r"broken\.mp4"):
        evaluate(on_videos, data=tmp_path, device="cpu")
    evaluation = evaluate(on_videos, data=tmp_path, on_error="skip", device="cpu")
    assert len(evaluation.prediction.labels) == 9
    assert len(evaluation.broken_clips) == 1


def test_clips_of_the_list_that_are_not_there_are_counted(
    on_videos: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An accuracy over what happens to be there must say so."""

    def some(root: str, *, subset: str) -> ClipList:
        return replace(read_folder(Path(root) / subset), missing=("wave_1.avi", "wave_2.avi"))

    monkeypatch.setitem(_READERS, "ucf101", some)
    recipe = replace(TRANSFORMER, dataset="ucf101", dataset_arguments={}, num_epochs=1)
    summary = finetune(recipe, tmp_path / "run", data=clips, device="cpu")
    assert summary["num_missing_clips"] == 2
    assert f"2 of the {2 + summary['num_clips']} clips of" in caplog.text
    assert "wave_1.avi for example" in caplog.text
    evaluation = evaluate(tmp_path / "run", device="cpu")
    assert evaluation.as_dict()["num_missing_clips"] == 2
    assert evaluate(on_videos, device="cpu").num_missing_clips == 0


def test_settings_that_sprites_have_no_use_for(tmp_path: Path) -> None:
    for setting in ({"frame_stride": 8}, {"short_side": (20, 24)}):
        with pytest.raises(InputError, match="every frame is rendered at its size"):
            finetune(replace(TRANSFORMER, **setting), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_evaluated(run_folder: Path, on_videos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        evaluate(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="cannot be read as a run"):
        evaluate(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as a run"):
        evaluate(tmp_path)
    (tmp_path / "run.json").write_text((run_folder / "run.json").read_text())
    with pytest.raises(InputError, match="no finished run"):
        evaluate(tmp_path)
    with pytest.raises(InputError, match="num_crops is 7"):
        evaluate(run_folder, num_crops=7)
    with pytest.raises(InputError, match="num_views is 0"):
        evaluate(run_folder, num_views=0)
    content = json.loads((run_folder / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(content | {"classes": ["up", "down", "still"]}))
    with pytest.raises(InputError, match="learned the classes up, down, still"):
        evaluate(tmp_path)
    assert read_run(on_videos).data is not None
