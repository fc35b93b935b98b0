"""What every method has: the same two calls, learn from a clip and generate a prompt."""

from typing import Any, Protocol

from torch import Tensor

from kinema.motion_inversion import Motion
from kinema.motion_inversion.generate import Prompts, Seeds
from kinema.motion_inversion.reference import Video
from kinema.peers.learned import Learned

Outcome = Motion | Learned
"""What learning gives: both have `origin`, `num_frames`, `num_numbers` and `save`."""


class Method(Protocol):
    """A way to learn the motion of a clip and to give it to a prompt."""

    @property
    def defaults(self) -> Any:
        """The published settings, a frozen dataclass; `dataclasses.replace` makes others."""

    def check(self, pipe: Any, settings: Any = None) -> None:
        """See whether a pipeline and settings will do, before any work.

        Args:
            pipe: as `learn` will have.
            settings: as `learn` will have.

        Raises:
            InputError: they will not, or a library is missing.
        """

    def learn(
        self,
        pipe: Any,
        video: Video,
        *,
        prompt: str,
        seed: int = 0,
        settings: Any = None,
        num_frames: int | None = None,
        size: tuple[int, int] | None = None,
        frames_per_second: float | None = None,
        progress: bool = True,
    ) -> Outcome:
        """Learn from one clip; the model is left bit for bit as it was.

        Args:
            pipe: a pipeline of diffusers around a UNet3DConditionModel or a UNetMotionModel.
            video: a file, a folder of frames, a list of images or a tensor `(T, C, H, W)` in
                [0, 1]; its length and size are fitted to the model's.
            prompt: what the clip shows.
            seed: of everything random; the same arguments give the same outcome on a CPU.
            settings: of this method's own class; `defaults` where None.
            num_frames, size, frames_per_second: as of `kinema.invert`.
            progress: show a bar.

        Raises:
            InputError: the pipeline, the clip, the prompt or the settings cannot be used.
        """

    def generate(
        self,
        pipe: Any,
        prompt: Prompts,
        learned: Outcome,
        *,
        seed: Seeds = 0,
        num_steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Show a prompt, moving as the clip did; the model is left bit for bit as it was.

        Args:
            pipe: as `learn` had.
            prompt: what to show; lists of prompts and of seeds make a batch, as in
                `kinema.generate`.
            learned: what `learn` gave; its clip's length and size are the video's.
            seed: of the starting noise, the same for every method.
            num_steps: of the sampling; as published where None.
            guidance: strength of classifier-free guidance; as published where None.
            negative_prompt: what not to show.
            progress: show a bar.

        Returns:
            `(T, 3, H, W)` float32 in [0, 1], on the CPU; `(B, T, 3, H, W)` of a batch.

        Raises:
            InputError: another method learned it or on another model, or an argument makes no
                sense.
        """
