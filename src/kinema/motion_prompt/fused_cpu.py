"""The motion prompt layer on a CPU: all frames of a band of pixels at a time, without a compiler.

What lies between a clip and its prompts (grey frames, differences) lives in buffers of one band
and stays in the cache; the clip is read and the prompts are written once. Three things make the
band cheap. The grey frame is scaled so that one channel has weight 1, which saves a pass. Slope and
shift enter as one multiply-add. And each sum, of the variation and of the gradients of slope and
shift, is a dot product of what is in the cache anyway.

The backward pass computes the attention again from the clip.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kinema.motion_prompt.difference import working_dtype
from kinema.motion_prompt.fused_formula import Gradients, Prompted, PromptFormula

# Of the clip, for each thread. Smaller bands pay for calls, larger ones leave the cache.
_BAND_BYTES = 2 << 20


def prompt(frames: Tensor, slope: Tensor, shift: Tensor, formula: PromptFormula) -> Prompted:
    """Prompt canonical frames `(B, T, C, H, W)`: floating-point, or 8-bit with a scale."""
    video, attention = formula.empty(frames)
    bands = _Bands(frames, slope, shift, formula)
    squares = 0.0
    for where in bands:
        x, scores = bands.scores(where)
        weights = torch.sigmoid(scores, out=_cut(attention, where, height=2))
        _weigh(x[:, 1:], weights, _cut(video, where, height=3))
        change = bands.changes(weights).view(-1)
        squares += torch.dot(change, change).item()
    variation = squares / max(formula.num_changes(frames), 1)
    return Prompted(video, attention, attention.new_tensor(variation))


def prompt_backward(
    frames: Tensor,
    slope: Tensor,
    shift: Tensor,
    formula: PromptFormula,
    grads: Sequence[Tensor | None],
    *,
    of_frames: bool,
) -> Gradients:
    """Gradients from those of video, attention and variation, each of which may be None."""
    grad_video, grad_attention, grad_variation = grads
    bands = _Bands(frames, slope, shift, formula)
    grad_frames = formula.empty_frames(frames.shape, frames.device) if of_frames else None
    per_change = 0.0
    if grad_variation is not None:
        per_change = 2 * grad_variation.item() / max(formula.num_changes(frames), 1)
    sum_scores, sum_slope = 0.0, 0.0
    for where in bands:
        x, scores = bands.scores(where)
        attention = torch.sigmoid(scores, out=bands.room("attention", scores.shape))
        grad = bands.room("gradient", scores.shape)
        arriving = None
        if grad_video is None:
            grad.zero_()
        else:
            arriving = bands.working("arriving", _cut(grad_video, where, height=3))
            first, *others = zip(arriving.unbind(2), x[:, 1:].unbind(2), strict=True)
            torch.mul(*first, out=grad)
            for channel, weighed in others:
                grad.addcmul_(channel, weighed)
        if grad_attention is not None:
            grad.add_(_cut(grad_attention, where, height=2))
        if grad_variation is not None:
            change = bands.changes(attention)
            grad[:, 1:].add_(change, alpha=per_change)
            grad[:, :-1].sub_(change, alpha=per_change)
        torch.ops.aten.sigmoid_backward.grad_input(grad, attention, grad_input=grad)
        sum_scores += grad.sum().item()
        sum_slope += torch.dot(grad.view(-1), scores.view(-1)).item()
        if grad_frames is not None:
            target = _cut(grad_frames, where, height=3)
            bands.backward_to_frames(grad, attention, arriving, target)
    a = slope.item()
    # The score is a (D - b), so D - b is the score over a.
    return Gradients(
        grad_frames,
        torch.full_like(slope, sum_slope / a),
        torch.full_like(shift, -a * sum_scores),
    )


class _Bands:
    """The bands of a clip, and the buffers in which one after the other is computed."""

    def __init__(
        self, frames: Tensor, slope: Tensor, shift: Tensor, formula: PromptFormula
    ) -> None:
        self.frames = frames
        self.formula = formula
        self.dtype = working_dtype(frames)
        self.slope = slope.item()
        # Scaled to the heaviest channel: no ratio exceeds 1, so none overflows.
        self.heaviest = max(range(len(formula.weights)), key=lambda c: abs(formula.weights[c]))
        weight = formula.weights[self.heaviest]
        self.ratios = [w / weight if weight else 0.0 for w in formula.weights]
        self.gain = self.slope * weight
        self.bias = torch.tensor(-self.slope * shift.item(), dtype=self.dtype)
        self.buffers: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Each band: its first clip, how many clips, its first row, how many rows."""
        batch, time, channels, height, width = self.frames.shape
        room = _BAND_BYTES * torch.get_num_threads()
        rows = room // (time * channels * width * self.dtype.itemsize)
        clips = min(max(rows // height, 1), batch)
        rows = min(max(rows, 1), height)
        for clip in range(0, batch, clips):
            for row in range(0, height, rows):
                yield clip, min(clips, batch - clip), row, min(rows, height - row)

    def room(self, name: str, shape: Sequence[int]) -> Tensor:
        """The buffer of that name, contiguous; the first band of a clip is the largest."""
        size = torch.Size(shape)
        if name not in self.buffers:
            self.buffers[name] = torch.empty(size.numel(), dtype=self.dtype)
        return self.buffers[name][: size.numel()].view(size)

    def working(self, name: str, video: Tensor) -> Tensor:
        """A video in the working dtype; where it is not, copied, a plane for each channel."""
        if video.dtype == self.dtype:
            return video
        channels = video.unbind(2)
        planes = self.room(name, (len(channels), *channels[0].shape))
        for plane, channel in zip(planes, channels, strict=True):
            plane.copy_(channel)
        return planes.movedim(0, 2)

    def scores(self, where: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
        """A band of frames, normalised, and `slope * (D - shift)` of it, contiguous."""
        x = self.working("frames", _cut(self.frames, where, height=3))
        channels = x.unbind(2)
        if self.formula.scale is not None and self.formula.offset is not None:
            for channel, scale, offset in zip(
                channels, self.formula.scale, self.formula.offset, strict=True
            ):
                channel.mul_(scale).add_(offset)
        base = channels[self.heaviest]
        grey = self.room("grey", base.shape)
        for index, (channel, ratio) in enumerate(zip(channels, self.ratios, strict=True)):
            if index != self.heaviest:
                base = torch.add(base, channel, alpha=ratio, out=grey)
        clips, time, rows, width = base.shape
        scores = self.room("scores", (clips, time - 1, rows, width))
        torch.sub(grey[:, 1:], grey[:, :-1], out=scores)
        return x, torch.add(self.bias, scores, alpha=self.gain, out=scores)

    def changes(self, attention: Tensor) -> Tensor:
        """`A_{t+1} - A_t`, contiguous, `(B, T-2, H, W)`, in place of the grey frames."""
        clips, maps, rows, width = attention.shape
        change = self.room("grey", (clips, maps - 1, rows, width))
        return torch.sub(attention[:, 1:], attention[:, :-1], out=change)

    def backward_to_frames(
        self, grad: Tensor, attention: Tensor, arriving: Tensor | None, target: Tensor
    ) -> None:
        """Write the frames' gradient, given that of the scores `(B, T-1, H, W)`."""
        clips, maps, rows, width = grad.shape
        grey = self.room("grey", (clips, maps + 1, rows, width))
        torch.neg(grad[:, 0], out=grey[:, 0])
        torch.sub(grad[:, :-1], grad[:, 1:], out=grey[:, 1:-1])
        grey[:, -1].copy_(grad[:, -1])
        weights = self.formula.weights
        for index, (weight, channel) in enumerate(zip(weights, target.unbind(2), strict=True)):
            # Half precision is rounded once, so its sum is made in a buffer.
            exact = channel.dtype == self.dtype
            total = channel if exact else self.room("total", grey.shape)
            torch.mul(grey, self.slope * weight, out=total)
            if arriving is not None:
                total[:, 1:].addcmul_(arriving[:, :, index], attention)
            if not exact:
                channel.copy_(total)


def _weigh(frames: Tensor, attention: Tensor, out: Tensor) -> None:
    """`attention * frames` for every channel: `(B, T, C, H, W)` and `(B, T, H, W)`."""
    if frames.stride(2) > frames.stride(4):
        torch.mul(frames, attention.unsqueeze(2), out=out)
        return
    # Channels that lie side by side would make an inner loop of three steps.
    for channel, weighed in zip(frames.unbind(2), out.unbind(2), strict=True):
        torch.mul(channel, attention, out=weighed)


def _cut(values: Tensor, where: tuple[int, int, int, int], *, height: int) -> Tensor:
    """A band of a tensor whose first axis is the batch and whose axis `height` is rows."""
    clip, clips, row, rows = where
    return values.narrow(0, clip, clips).narrow(height, row, rows)
