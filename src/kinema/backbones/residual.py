"""The bottleneck with a shortcut that SlowFast and X3D are both built from.

Submodules are named as in the public zoo, so that its state dicts load unchanged. What has no
parameters of its own is an `nn.Sequential` with named parts rather than a class.
"""

from collections import OrderedDict

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """`relu(shortcut(x) + branch(x))`, the branch 1x1 down, 3x3 across, 1x1 up.

    Args:
        in_width: channels in.
        inner_width: channels between the 1x1 convolutions.
        out_width: channels out.
        stride: in space, of the middle convolution and the shortcut.
        temporal_kernels: frames that the first and the middle convolution span.
        depthwise: the middle convolution sees each channel alone, and a swish follows it.
        squeeze: weigh the channels by squeeze-and-excitation after the middle convolution.
    """

    def __init__(
        self,
        in_width: int,
        inner_width: int,
        out_width: int,
        *,
        stride: int = 1,
        temporal_kernels: tuple[int, int] = (1, 1),
        depthwise: bool = False,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        first, middle = temporal_kernels
        self.branch1_conv: nn.Module = nn.Identity()
        self.branch1_norm: nn.Module = nn.Identity()
        if in_width != out_width or stride != 1:
            self.branch1_conv = convolution(in_width, out_width, stride=stride)
        # The zoo's rule: a shortcut that only strides is not normalised (X3D's first stage).
        if in_width != out_width:
            self.branch1_norm = nn.BatchNorm3d(out_width)
        norm_b: nn.Module = nn.BatchNorm3d(inner_width)
        if depthwise:
            norm_b = nn.Sequential(
                norm_b, SqueezeExcitation(inner_width) if squeeze else nn.Identity()
            )
        groups = inner_width if depthwise else 1
        self.branch2 = nn.Sequential(
            OrderedDict(
                conv_a=convolution(in_width, inner_width, kernel=(first, 1, 1)),
                norm_a=nn.BatchNorm3d(inner_width),
                act_a=nn.ReLU(inplace=True),
                conv_b=convolution(
                    inner_width, inner_width, kernel=(middle, 3, 3), stride=stride, groups=groups
                ),
                norm_b=norm_b,
                act_b=nn.SiLU(inplace=True) if depthwise else nn.ReLU(inplace=True),
                conv_c=convolution(inner_width, out_width),
                norm_c=nn.BatchNorm3d(out_width),
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        """`(B, in_width, T, H, W)` to `(B, out_width, T, H / stride, W / stride)`."""
        shortcut = self.branch1_norm(self.branch1_conv(features))
        return (shortcut + self.branch2(features)).relu_()


class SqueezeExcitation(nn.Module):
    """Each channel times a weight in (0, 1) that is computed from all channels' means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = to_multiple_of_eight(width / 16)
        self.block = nn.Sequential(
            nn.Conv3d(width, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv3d(squeezed, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """`(B, width, T, H, W)` to the same shape."""
        return features * self.block(features.mean((2, 3, 4), keepdim=True))


def stage(*blocks: ResidualBlock) -> nn.Sequential:
    """Residual blocks in a row, under the name the zoo has for them."""
    return nn.Sequential(OrderedDict(res_blocks=nn.Sequential(*blocks)))


def convolution(
    in_width: int,
    out_width: int,
    *,
    kernel: tuple[int, int, int] = (1, 1, 1),
    stride: int = 1,
    groups: int = 1,
) -> nn.Conv3d:
    """Odd kernel, padded to keep the size, stride in space only; a norm follows, so no bias."""
    return nn.Conv3d(
        in_width,
        out_width,
        kernel,
        stride=(1, stride, stride),
        padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2),
        groups=groups,
        bias=False,
    )


def to_multiple_of_eight(width: float) -> int:
    """The nearest multiple of 8 that is at least 8 and takes away no more than a tenth."""
    nearest = max(8, int(width / 8 + 0.5) * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def initialise(model: nn.Module) -> None:
    """He's normal convolutions; every residual branch starts at zero, the head near it."""
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ResidualBlock):
            nn.init.zeros_(module.branch2.get_submodule("norm_c").get_parameter("weight"))
