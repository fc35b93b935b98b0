"""SlowFast: two frame rates, two widths (Feichtenhofer et al., arXiv 1812.03982).

The slow pathway is wide and sees every fourth frame or so; the fast pathway is an eighth as wide
and sees all of them. After each stage but the last, the fast features join the slow ones.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from kinema.backbones.facts import facts_of
from kinema.backbones.head import ClassifierHead, WindowMean
from kinema.backbones.residual import ResidualBlock, convolution, initialise, stage
from kinema.backbones.shapes import check_clip_shape, check_sizes
from kinema.backbones.weights import with_weights
from kinema.errors import InputError

# Frames spanned by the first convolution of a block, for each stage.
_SLOW_KERNELS = (1, 1, 3, 3)
_FAST_KERNELS = (3, 3, 3, 3)


class SlowFast(nn.Module):
    """A SlowFast network; `slowfast_r50` is the one of the zoo.

    Args:
        num_classes: logits.
        width: channels of the slow stem; stage outputs are 4, 8, 16 and 32 times as wide.
        depths: residual blocks in each of the four stages.
        num_frames: frames T of the fast pathway, a multiple of `frame_ratio`.
        frame_ratio: fast frames for one slow frame, alpha in the paper.
        width_ratio: slow channels for one fast channel, 1 / beta in the paper.
        dropout: probability, before the head.
        size: side of the training crops, which the pooling window fills, see `WindowMean`.

    Raises:
        InputError: a size below 1, another number of stages than four, or T and width that the
            ratios do not divide.
    """

    layout = "BCTHW"
    head = "blocks.6.proj"

    def __init__(
        self,
        num_classes: int = 400,
        *,
        width: int = 64,
        depths: tuple[int, ...] = (3, 4, 6, 3),
        num_frames: int = 32,
        frame_ratio: int = 4,
        width_ratio: int = 8,
        dropout: float = 0.5,
        size: int = 224,
    ) -> None:
        super().__init__()
        check_sizes(
            depths=depths,
            num_classes=num_classes,
            width=width,
            num_frames=num_frames,
            frame_ratio=frame_ratio,
            width_ratio=width_ratio,
            size=size,
        )
        _check_divides("num_frames", num_frames, "frame_ratio", frame_ratio)
        _check_divides("width", width, "width_ratio", width_ratio)
        self.num_frames = num_frames
        self.frame_ratio = frame_ratio
        self.size = size
        slow, fast = width, width // width_ratio
        joins = [_join(fast, frame_ratio), *(_join(fast * 4 * 2**i, frame_ratio) for i in range(3))]
        stages = [_Pathways(_stem(slow, temporal=1), _stem(fast, temporal=5), joins[0])]
        slow_in, fast_in = slow + 2 * fast, fast
        for i, depth in enumerate(depths):
            slow_out, fast_out = slow * 4 * 2**i, fast * 4 * 2**i
            stride = 1 if i == 0 else 2
            stages.append(
                _Pathways(
                    _stage(slow_in, slow_out, depth, stride=stride, temporal=_SLOW_KERNELS[i]),
                    _stage(fast_in, fast_out, depth, stride=stride, temporal=_FAST_KERNELS[i]),
                    joins[i + 1] if i + 1 < len(joins) else None,
                )
            )
            slow_in, fast_in = slow_out + 2 * fast_out, fast_out
        head = ClassifierHead(slow_out + fast_out, num_classes, dropout=dropout)
        self.blocks = nn.ModuleList([*stages, WindowMean(size), head])
        initialise(self)

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Classify a normalised clip: `(B, num_classes)` logits.

        Args:
            clip: the fast frames `(B, 3, T, H, W)`, from which the slow ones are taken by
                `slow_frames`; or the pair of slow `(B, 3, T / frame_ratio, H, W)` and fast
                frames, which is left as it is.

        Raises:
            InputError: another shape, number of frames, dtype, or two clips that do not match.
        """
        slow, fast = self._pair(clip)
        *stages, pool, head = self.blocks
        for block in stages:
            slow, fast = block(slow, fast)
        logits: Tensor = head(torch.cat([pool(slow), pool(fast)], dim=1))
        return logits

    def _pair(self, clip: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        if isinstance(clip, Tensor):
            check_clip_shape(clip, num_frames=self.num_frames)
            return slow_frames(clip, frame_ratio=self.frame_ratio), clip
        if not isinstance(clip, Sequence) or len(clip) != 2:
            given = f" of {len(clip)}" if isinstance(clip, Sequence) else ""
            raise InputError(
                f"the clip is a {type(clip).__name__}{given}; expected the fast frames as one "
                "tensor, or the pair [slow, fast]"
            )
        slow, fast = clip
        check_clip_shape(fast, num_frames=self.num_frames, what="fast clip")
        check_clip_shape(slow, num_frames=self.num_frames // self.frame_ratio, what="slow clip")
        if (slow.shape[0], *slow.shape[3:]) != (fast.shape[0], *fast.shape[3:]):
            raise InputError(
                f"the slow clip has shape {tuple(slow.shape)}, the fast one {tuple(fast.shape)}; "
                "expected the same batch, height and width: cut both from the same frames"
            )
        return slow, fast


def slowfast_r50(
    *,
    num_classes: int = 400,
    num_frames: int = 32,
    size: int = 224,
    width: int = 64,
    depths: tuple[int, ...] = (3, 4, 6, 3),
    frame_ratio: int = 4,
    width_ratio: int = 8,
    dropout: float = 0.5,
    weights: str | Path | None = None,
) -> SlowFast:
    """SlowFast 8x8 with ResNet-50 depths: 34,566,488 parameters at 400 classes.

    `weights` is None, the path of a state dict, or "k400" for the zoo's, which are downloaded
    once; a head of another size is left fresh, and a warning is logged. Crops of another size
    than 224, other frames, width and depths make a smaller one of the same kind:
    `slowfast_r50(num_classes=6, num_frames=16, size=64, width=16, depths=(1, 1, 1, 1))`.

    Raises:
        InputError: unusable sizes or weights.
    """
    model = SlowFast(
        num_classes,
        width=width,
        depths=depths,
        num_frames=num_frames,
        frame_ratio=frame_ratio,
        width_ratio=width_ratio,
        dropout=dropout,
        size=size,
    )
    return with_weights(model, weights, facts_of("slowfast_r50"))


def slow_frames(clip: Tensor, *, frame_ratio: int = 4) -> Tensor:
    """The slow pathway's frames: `(B, C, T, H, W)` to `(B, C, T // frame_ratio, H, W)`.

    They are spread evenly from the first frame to the last, as the zoo's weights were trained,
    not every `frame_ratio`-th: of 32 frames 0, 4, 8, 13, 17, 22, 26, 31.

    Raises:
        InputError: there are fewer than `frame_ratio` frames.
    """
    num_frames = clip.shape[2]
    num_slow = num_frames // frame_ratio
    if num_slow < 1:
        raise InputError(
            f"the clip has {num_frames} frames; expected {frame_ratio} or more, of which one goes "
            "to the slow pathway"
        )
    indices = [i * (num_frames - 1) // max(num_slow - 1, 1) for i in range(num_slow)]
    # An index by the list would wait for its copy to the GPU in every step.
    return torch.stack([clip[:, :, index] for index in indices], dim=2)


class _Pathways(nn.Module):
    """One stage of both pathways, after which the fast features join the slow ones."""

    def __init__(self, slow: nn.Module, fast: nn.Module, join: nn.Module | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = join

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow_stage, fast_stage = self.multipathway_blocks
        slow, fast = slow_stage(slow), fast_stage(fast)
        if self.multipathway_fusion is not None:
            slow = torch.cat([slow, self.multipathway_fusion(fast)], dim=1)
        return slow, fast


def _stem(width: int, *, temporal: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=convolution(3, width, kernel=(temporal, 7, 7), stride=2),
            norm=nn.BatchNorm3d(width),
            activation=nn.ReLU(inplace=True),
            pool=nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
    )


def _stage(
    in_width: int, out_width: int, depth: int, *, stride: int, temporal: int
) -> nn.Sequential:
    return stage(
        *(
            ResidualBlock(
                in_width if i == 0 else out_width,
                out_width // 4,
                out_width,
                stride=stride if i == 0 else 1,
                temporal_kernels=(temporal, 1),
            )
            for i in range(depth)
        )
    )


def _join(fast_width: int, frame_ratio: int) -> nn.Sequential:
    """Fast features at the slow frame rate and twice the width, by a strided convolution."""
    return nn.Sequential(
        OrderedDict(
            conv_fast_to_slow=nn.Conv3d(
                fast_width,
                2 * fast_width,
                (7, 1, 1),
                stride=(frame_ratio, 1, 1),
                padding=(3, 0, 0),
                bias=False,
            ),
            norm=nn.BatchNorm3d(2 * fast_width),
            activation=nn.ReLU(inplace=True),
        )
    )


def _check_divides(name: str, value: int, ratio_name: str, ratio: int) -> None:
    if value % ratio:
        raise InputError(f"{name} is {value}; expected a multiple of {ratio_name}, {ratio}")
