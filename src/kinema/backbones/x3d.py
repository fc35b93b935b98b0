"""X3D: a small image network expanded along time, space, width and depth (arXiv 2004.04730)."""

from collections import OrderedDict
from pathlib import Path

from torch import Tensor, nn

from kinema.backbones.facts import facts_of
from kinema.backbones.head import ClassifierHead, WindowMean
from kinema.backbones.residual import ResidualBlock, convolution, initialise, stage
from kinema.backbones.shapes import check_clip_shape, check_sizes
from kinema.backbones.weights import with_weights

# Inner channels of a residual block for one of its output channels.
_EXPANSION = 2.25
_DEPTHS = (3, 5, 11, 7)


class X3D(nn.Module):
    """An X3D network; `x3d_xs`, `x3d_s` and `x3d_m` are those of the zoo.

    In both modes it returns logits. The zoo's model returns probabilities in both, which
    `probabilities=True` gives in eval mode; on crops larger than those of training it averages
    the probabilities of several windows, where logits are averaged here.

    Args:
        num_classes: logits.
        width: channels of the stem; the four stages are 1, 2, 4 and 8 times as wide.
        depths: residual blocks in each of the four stages.
        num_frames: frames T in a clip.
        head_width: channels before the last linear layer.
        dropout: probability, before the last linear layer.
        size: side of the training crops, which the pooling window fills, see `WindowMean`.
        probabilities: give probabilities in eval mode, as the zoo's model does.

    Raises:
        InputError: a size below 1, or another number of stages than four.
    """

    layout = "BCTHW"
    head = "blocks.5.proj"

    def __init__(
        self,
        num_classes: int = 400,
        *,
        width: int = 24,
        depths: tuple[int, ...] = _DEPTHS,
        num_frames: int = 13,
        head_width: int = 2048,
        dropout: float = 0.5,
        size: int = 160,
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(
            depths=depths,
            num_classes=num_classes,
            width=width,
            num_frames=num_frames,
            head_width=head_width,
            size=size,
        )
        self.num_frames = num_frames
        self.size = size
        blocks: list[nn.Module] = [_stem(width)]
        in_width = width
        for i, depth in enumerate(depths):
            out_width = width * 2**i
            blocks.append(_stage(in_width, out_width, depth))
            in_width = out_width
        head = ClassifierHead(
            head_width,
            num_classes,
            dropout=dropout,
            pool=_pool(in_width, head_width, size),
            probabilities=probabilities,
        )
        self.blocks = nn.Sequential(*blocks, head)
        initialise(self)

    def forward(self, clip: Tensor) -> Tensor:
        """Classify a normalised clip `(B, 3, T, H, W)`: `(B, num_classes)` logits.

        Raises:
            InputError: another shape, number of frames or dtype.
        """
        check_clip_shape(clip, num_frames=self.num_frames)
        logits: Tensor = self.blocks(clip)
        return logits


def x3d_xs(
    *,
    num_classes: int = 400,
    num_frames: int = 4,
    size: int = 160,
    width: int = 24,
    depths: tuple[int, ...] = _DEPTHS,
    head_width: int = 2048,
    dropout: float = 0.5,
    weights: str | Path | None = None,
) -> X3D:
    """X3D-XS, 4 frames of 160 x 160: 3,794,274 parameters at 400 classes.

    `weights` is None, the path of a state dict, or "k400" for the zoo's, which are downloaded
    once; a head of another size is left fresh, and a warning is logged. Other sizes make a smaller
    one of the same kind, see `X3D`.

    Raises:
        InputError: unusable sizes or weights.
    """
    model = X3D(
        num_classes,
        width=width,
        depths=depths,
        num_frames=num_frames,
        head_width=head_width,
        dropout=dropout,
        size=size,
    )
    return with_weights(model, weights, facts_of("x3d_xs"))


def x3d_s(
    *,
    num_classes: int = 400,
    num_frames: int = 13,
    size: int = 160,
    width: int = 24,
    depths: tuple[int, ...] = _DEPTHS,
    head_width: int = 2048,
    dropout: float = 0.5,
    weights: str | Path | None = None,
) -> X3D:
    """X3D-S, 13 frames of 160 x 160; otherwise as `x3d_xs`."""
    model = X3D(
        num_classes,
        width=width,
        depths=depths,
        num_frames=num_frames,
        head_width=head_width,
        dropout=dropout,
        size=size,
    )
    return with_weights(model, weights, facts_of("x3d_s"))


def x3d_m(
    *,
    num_classes: int = 400,
    num_frames: int = 16,
    size: int = 224,
    width: int = 24,
    depths: tuple[int, ...] = _DEPTHS,
    head_width: int = 2048,
    dropout: float = 0.5,
    weights: str | Path | None = None,
) -> X3D:
    """X3D-M, 16 frames of 224 x 224; otherwise as `x3d_xs`."""
    model = X3D(
        num_classes,
        width=width,
        depths=depths,
        num_frames=num_frames,
        head_width=head_width,
        dropout=dropout,
        size=size,
    )
    return with_weights(model, weights, facts_of("x3d_m"))


def _stem(width: int) -> nn.Sequential:
    # The zoo's names are crossed: its conv_t convolves in space, its conv_xy in time.
    convolutions: OrderedDict[str, nn.Module] = OrderedDict(
        conv_t=convolution(3, width, kernel=(1, 3, 3), stride=2),
        conv_xy=convolution(width, width, kernel=(5, 1, 1), groups=width),
    )
    return nn.Sequential(
        OrderedDict(
            conv=nn.Sequential(convolutions),
            norm=nn.BatchNorm3d(width),
            activation=nn.ReLU(inplace=True),
        )
    )


def _stage(in_width: int, out_width: int, depth: int) -> nn.Sequential:
    return stage(
        *(
            ResidualBlock(
                in_width if i == 0 else out_width,
                int(_EXPANSION * out_width),
                out_width,
                stride=2 if i == 0 else 1,
                temporal_kernels=(1, 3),
                depthwise=True,
                squeeze=i % 2 == 0,
            )
            for i in range(depth)
        )
    )


def _pool(in_width: int, head_width: int, crop_size: int) -> nn.Sequential:
    inner_width = int(_EXPANSION * in_width)
    return nn.Sequential(
        OrderedDict(
            pre_conv=convolution(in_width, inner_width),
            pre_norm=nn.BatchNorm3d(inner_width),
            pre_act=nn.ReLU(inplace=True),
            pool=WindowMean(crop_size),
            post_conv=convolution(inner_width, head_width),
            post_act=nn.ReLU(inplace=True),
        )
    )
