import copy

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.errors import InputError
from kinema.measure import ClipEmbedder, temporal_consistency, text_similarity
from kinema.sprites import render, sample_scenes
from tests.measure.tiny_clip import tiny_clip

CLIP = tiny_clip()
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture(scope="module")
def rendering():
    return render(sample_scenes(2, seed=0), num_frames=5, height=32, width=48)


def embed_slowly(model, video: torch.Tensor, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (T, D) and text (D,) as CLIP was published, in float64, one at a time."""
    model = copy.deepcopy(model).double()
    frames = []
    for frame in video:
        picture = Image.fromarray((255 * frame).round().byte().permute(1, 2, 0).numpy())
        # The short side to 24, 32 x 48 being 2 to 3, then the middle square.
        picture = picture.resize((36, 24), Image.Resampling.BICUBIC).crop((6, 0, 30, 24))
        pixels = (np.asarray(picture, dtype=np.float64) / 255 - MEAN) / STD
        pooled = model.vision_model(
            pixel_values=torch.from_numpy(pixels).permute(2, 0, 1)[None]
        ).pooler_output
        frames.append((pooled @ model.visual_projection.weight.T)[0])
    # Without padding: it comes after the end of the text, where nothing looks.
    tokens = CLIP.processor.tokenizer(text).input_ids
    states = model.text_model(input_ids=torch.tensor([tokens])).last_hidden_state
    said = states[0, tokens.index(CLIP.processor.tokenizer.eos_token_id)]
    return torch.stack(frames), said @ model.text_projection.weight.T


@torch.no_grad()
def test_both_scores_are_their_formulas(rendering):
    captions = [str(description) for description in rendering.descriptions]
    frames, texts = CLIP.frames(rendering.video), CLIP.texts(captions)
    similarity, consistency = text_similarity(frames, texts), temporal_consistency(frames)
    assert similarity.shape == consistency.shape == (2,)
    for k, caption in enumerate(captions):
        pictures, said = embed_slowly(CLIP.model, rendering.video[k], caption)

        def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
            return (a @ b / a.norm() / b.norm()).item()

        expected = sum(cosine(picture, said) for picture in pictures) / 5
        assert similarity[k].item() == pytest.approx(expected, abs=1e-4)
        expected = sum(cosine(pictures[t], pictures[t + 1]) for t in range(4)) / 4
        assert consistency[k].item() == pytest.approx(expected, abs=1e-4)


def test_embeddings_are_unit_vectors_of_each_frame_and_text(rendering):
    frames = CLIP.frames(rendering.video)
    assert frames.shape == (2, 5, 12)
    assert torch.allclose(frames.norm(dim=-1), torch.ones(2, 5))
    assert torch.allclose(CLIP.frames(rendering.video[1]), frames[1], atol=1e-6)
    # More frames than go through the model at once.
    many = rendering.video.repeat(1, 4, 1, 1, 1)
    assert torch.allclose(CLIP.frames(many)[:, 15:], frames, atol=1e-5)
    texts = CLIP.texts(["a red circle on a black background", "word " * 40])
    assert texts.shape == (2, 12)
    assert torch.allclose(texts.norm(dim=-1), torch.ones(2))


def test_other_videos_have_other_scores(rendering):
    first, second = CLIP.frames(rendering.video)
    assert (first[0] @ second[0]) < 0.999
    frozen = CLIP.frames(rendering.video[0, :1].expand(5, -1, -1, -1))
    assert temporal_consistency(frozen).item() == pytest.approx(1, abs=1e-6)
    assert temporal_consistency(torch.stack((first[0], -first[0]))).item() == pytest.approx(-1)


def test_half_precision_changes_little(rendering):
    half = ClipEmbedder(copy.deepcopy(CLIP.model).bfloat16(), CLIP.processor)
    frames = half.frames(rendering.video)
    assert frames.dtype == torch.float32
    assert (frames * CLIP.frames(rendering.video)).sum(dim=-1).min() > 0.99


def test_a_saved_clip_is_loaded_from_its_folder(rendering, tmp_path):
    CLIP.model.save_pretrained(tmp_path)
    CLIP.processor.save_pretrained(tmp_path)
    loaded = ClipEmbedder.load(str(tmp_path))
    assert loaded.identity() == CLIP.identity() | {"name": str(tmp_path)}
    other = copy.deepcopy(loaded.model)
    other.visual_projection.weight.data.mul_(2)
    assert ClipEmbedder(other, loaded.processor, loaded.name).identity() != loaded.identity()
    assert torch.allclose(loaded.frames(rendering.video), CLIP.frames(rendering.video), atol=1e-5)
    captions = ["a red circle on a black background"]
    assert torch.allclose(loaded.texts(captions), CLIP.texts(captions), atol=1e-5)


def test_what_is_no_clip_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no CLIP could be loaded from .*nothing.*give the id"):
        ClipEmbedder.load(str(tmp_path / "nothing"))
    CLIP.model.vision_model.save_pretrained(tmp_path)
    CLIP.processor.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="does not embed images and texts"):
        ClipEmbedder.load(str(tmp_path))


def test_what_is_no_video_is_refused():
    with pytest.raises(InputError, match=r"video has shape \(3, 8, 8\)"):
        CLIP.frames(torch.rand(3, 8, 8))
    with pytest.raises(InputError, match=r"\(2, 0, 3, 8, 8\)"):
        CLIP.frames(torch.rand(2, 0, 3, 8, 8))
    with pytest.raises(InputError, match=r"video is torch\.uint8"):
        CLIP.frames(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(InputError, match="two frames or more"):
        temporal_consistency(torch.ones(2, 1, 4))
