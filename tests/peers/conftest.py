"""The embedded pipelines, untrained: real classes, small, offline."""

from tests.motion_inversion.conftest import pipe, pipelines, untrained_weights

__all__ = ["pipe", "pipelines", "untrained_weights"]
