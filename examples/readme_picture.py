"""Make the moving picture of the README: sprites, and the attention a motion prompt gives them."""

from pathlib import Path

import torch

import kinema

OUTPUT = Path(__file__).parents[1] / "docs" / "media" / "attention.gif"


def main() -> None:
    """Render four clips, prompt them, and write frames, attention and prompts as one GIF."""
    nuisances = kinema.sprites.Nuisances(distractors=5, distractor_drift=0.0)
    clips = [
        kinema.sprites.render(
            kinema.sprites.sample_scenes(1, seed=seed, motions=[motion], nuisances=nuisances),
            num_frames=25,
            height=96,
            width=96,
        ).video[0]
        for seed, motion in ((12, "circle-clockwise"), (5, "bounce"), (9, "grow"), (21, "zigzag"))
    ]
    layer = kinema.MotionPrompt(
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        normalisation=kinema.motion_prompt.LearnableSigmoid(m=0.6, n=0.1),
    )
    with torch.no_grad():
        output = layer(torch.stack(clips))
    columns = []
    for clip, attention, prompt in zip(clips, output.attention, output.video, strict=True):
        black = torch.zeros_like(clip[1:])
        heat = kinema.video.overlay_heat_map(black, attention, opacity=1.0)
        columns.append(torch.cat((clip[1:], heat, prompt), dim=-2))
    kinema.write_video(OUTPUT, torch.cat(columns, dim=-1), frames_per_second=10)


if __name__ == "__main__":
    main()
