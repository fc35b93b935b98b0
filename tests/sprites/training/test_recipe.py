"""Recipes of the training stages."""

from pathlib import Path

import pytest

from kinema.errors import InputError
from kinema.sprites.training import STAGES, read_recipe


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_recipe(stage: str) -> None:
    assert read_recipe(stage=stage).stage == stage


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage = ", "not TOML"),
        ('stage = "juggle"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0', "juggle"),
        ('stage = "autoencoder"', "incomplete"),
        ('stage = "autoencoder"\nspeed = 3', "unknown settings"),
        (
            'stage = "autoencoder"\nseed=0\nnum_steps=0\nbatch_size=1\nlearning_rate=1.0',
            "num_steps is 0",
        ),
        *(
            (
                f'stage="autoencoder"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\n{wrong}',
                sentence,
            )
            for wrong, sentence in (
                ('num_videos="many"', "has num_videos = 'many'; give a whole number"),
                ("num_videos=2.5", "has num_videos = 2.5; give a whole number"),
                ("weight_decay=true", "has weight_decay = True; give a number"),
                ("precision=16", "has precision = 16; give a text"),
                ("new_clock=1", "has new_clock = 1; give true or false"),
                ('emphasis="star"', "has emphasis = 'star'; give a list of texts"),
                ("emphasis=[1]", r"has emphasis = \[1\]; give a list of texts"),
                ("gradient_clip=0.0", "gradient_clip is 0.0; give a number above 0"),
                ("gradient_clip=inf", "gradient_clip is inf; give a number above 0"),
                ("timestep_shift=-1.0", "timestep_shift is -1.0; give a number above 0"),
                ("weight_decay=-0.1", "weight_decay is -0.1; give a number from 0 up"),
                ("beta2=1.0", "beta2 is 1.0; give 0 or more, below 1"),
                ("ema_decay=nan", "ema_decay is nan; give 0 or more, below 1"),
                ("motion_share=1.5", "motion_share is 1.5; give a share from 0 to 1"),
                ("caption_dropout=-0.5", "caption_dropout is -0.5; give a share from 0 to 1"),
                ("num_warmup_steps=-1", "num_warmup_steps is -1; give 0 or more"),
                ("num_frames=16", "has num_frames = 16; give a list of whole numbers"),
                ("num_frames=[16.0]", r"has num_frames = \[16.0\]; give a list of whole numbers"),
                ("num_frames=[]", r"num_frames is \[\]; give lengths from 2 to 32"),
                ("num_frames=[16, 33]", r"num_frames is \[16, 33\]; give lengths from 2 to 32"),
            )
        ),
        (
            'stage="autoencoder"\nseed=549755813888\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0',
            "seed is 549755813888; give from 0 to 549755813887",
        ),
        (
            'stage="animatediff"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\nspatial_rate=-1.0',
            "spatial_rate is -1.0; give a number from 0 up",
        ),
        (
            'stage="text-to-image"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\nstart="x"',
            "'text-to-image' cannot start from weights",
        ),
        (
            'stage="animatediff"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\nemphasis=["spin"]',
            r"emphasis \['spin'\]; choose from .*spin-clockwise",
        ),
        (
            'stage="animatediff"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\nphase_spread=0',
            "phase_spread is 0; give a share",
        ),
        (
            'stage="animatediff"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0\nwander_share=2',
            "wander_share is 2; give a share",
        ),
    ],
)
def test_a_wrong_recipe_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "recipe.toml")


def test_a_missing_recipe_and_one_of_another_stage_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "recipe.toml").write_text(
        'stage = "autoencoder"\nseed=0\nnum_steps=1\nbatch_size=1\nlearning_rate=1.0'
    )
    with pytest.raises(InputError, match="is for stage 'autoencoder'"):
        read_recipe(tmp_path / "recipe.toml", stage="animatediff")
