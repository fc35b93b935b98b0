"""The control: nothing is learned, and the prompt alone says what moves how."""

from torch import Tensor

from kinema.peers.learned import Learned
from kinema.peers.sampling import Sampling
from kinema.peers.settings import PeerSettings
from kinema.peers.task import Task, fitting_unet

NAME = "none"


def learn(task: Task, settings: PeerSettings, *, progress: bool) -> Learned:
    """Keep the clip's length and size, so that what is compared is of one shape."""
    return Learned(NAME, task.origin)


def generate(learned: Learned, settings: PeerSettings, sampling: Sampling) -> Tensor:
    """Sample as the pipeline does."""
    fitting_unet(learned, sampling.pipe)
    return sampling.video(sampling.noise())
