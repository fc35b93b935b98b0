# mypy: ignore-errors
"""The Triton kernels of the motion prompt layer; `fused_triton` launches them.

A program takes a block of pixels through all frames and carries in registers what neighbouring
frames share, so that each value of the clip is loaded once and each prompt stored once.
"""

import triton
from triton import language as tl


@triton.jit
def _pixel_offsets(pixels, width, stride_h, stride_w, FLAT: tl.constexpr):
    if FLAT:
        return pixels.to(tl.int64) * stride_w
    return (pixels // width).to(tl.int64) * stride_h + (pixels % width).to(tl.int64) * stride_w


@triton.jit
def _load_frame(
    pointers, stride_c, inside,
    scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED: tl.constexpr,
):  # fmt: skip
    r = tl.load(pointers, mask=inside, other=0).to(tl.float32)
    g = tl.load(pointers + stride_c, mask=inside, other=0).to(tl.float32)
    b = tl.load(pointers + 2 * stride_c, mask=inside, other=0).to(tl.float32)
    if SCALED:
        r = r * scale_r + offset_r
        g = g * scale_g + offset_g
        b = b * scale_b + offset_b
    return r, g, b


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def prompt_kernel(
    frames, video, attention, squares, slope_at, shift_at,
    time, width, num_pixels,
    in_b, in_t, in_c, in_h, in_w, out_b, out_t, out_c, out_h, out_w,
    weight_r, weight_g, weight_b,
    scale_r, scale_g, scale_b, offset_r, offset_g, offset_b,
    FLAT_IN: tl.constexpr, FLAT_OUT: tl.constexpr, SCALED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Video, attention, and a partial sum of the squared changes of attention."""
    clip = tl.program_id(1).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixels < num_pixels
    slope = tl.load(slope_at)
    shift = tl.load(shift_at)
    source = frames + clip * in_b + _pixel_offsets(pixels, width, in_h, in_w, FLAT_IN)
    target = video + clip * out_b + _pixel_offsets(pixels, width, out_h, out_w, FLAT_OUT)
    weights_at = attention + clip * (time - 1) * num_pixels + pixels
    r, g, b = _load_frame(
        source, in_c, inside,
        scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED,
    )  # fmt: skip
    grey = r * weight_r + g * weight_g + b * weight_b
    before = tl.zeros([BLOCK], tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for t in range(time - 1):
        source += in_t
        r, g, b = _load_frame(
            source, in_c, inside,
            scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED,
        )  # fmt: skip
        later = r * weight_r + g * weight_g + b * weight_b
        weight = _sigmoid(slope * ((later - grey) - shift))
        grey = later
        kind = video.dtype.element_ty
        tl.store(target, (r * weight).to(kind), mask=inside)
        tl.store(target + out_c, (g * weight).to(kind), mask=inside)
        tl.store(target + 2 * out_c, (b * weight).to(kind), mask=inside)
        tl.store(weights_at, weight, mask=inside)
        if t > 0:
            total += tl.where(inside, (weight - before) * (weight - before), 0.0)
        before = weight
        target += out_t
        weights_at += num_pixels
    partial = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    tl.store(squares + partial, tl.sum(total, 0))


@triton.jit
def backward_kernel(
    frames, grad_video, grad_attention, grad_variation, target, sums, slope_at, shift_at,
    time, width, num_pixels,
    in_b, in_t, in_c, in_h, in_w,
    video_b, video_t, video_c, video_h, video_w,
    map_b, map_t, map_h, map_w,
    out_b, out_t, out_c, out_h, out_w,
    weight_r, weight_g, weight_b,
    scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, per_change,
    FLAT_IN: tl.constexpr, FLAT_GRAD: tl.constexpr, FLAT_OUT: tl.constexpr,
    SCALED: tl.constexpr, OF_VIDEO: tl.constexpr, OF_ATTENTION: tl.constexpr,
    OF_VARIATION: tl.constexpr, TO_FRAMES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Partial sums for slope and shift, and the frames' gradient where TO_FRAMES."""
    clip = tl.program_id(1).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixels < num_pixels
    slope = tl.load(slope_at)
    shift = tl.load(shift_at)
    source = frames + clip * in_b + _pixel_offsets(pixels, width, in_h, in_w, FLAT_IN)
    arriving = grad_video + clip * video_b
    arriving += _pixel_offsets(pixels, width, video_h, video_w, FLAT_GRAD)
    arriving_map = grad_attention + clip * map_b
    arriving_map += _pixel_offsets(pixels, width, map_h, map_w, False)
    leaving = target + clip * out_b + _pixel_offsets(pixels, width, out_h, out_w, FLAT_OUT)
    if OF_VARIATION:
        per_change = per_change * tl.load(grad_variation)

    r, g, b = _load_frame(
        source, in_c, inside,
        scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED,
    )  # fmt: skip
    grey = r * weight_r + g * weight_g + b * weight_b
    source += in_t
    r, g, b = _load_frame(
        source, in_c, inside,
        scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED,
    )  # fmt: skip
    later = r * weight_r + g * weight_g + b * weight_b
    moved = (later - grey) - shift
    weight = _sigmoid(slope * moved)
    grey = later
    zero = tl.zeros([BLOCK], tl.float32)
    # Not `before = weight`: Triton (3.6) would take the two for one in every turn of the loop.
    before = zero
    score_before = zero
    pending_r = zero
    pending_g = zero
    pending_b = zero
    sum_slope = zero
    sum_shift = zero
    kind = target.dtype.element_ty
    for t in range(time - 1):
        # One frame ahead: the variation ties each map to the one after it.
        source += in_t
        ahead = pixels < tl.where(t < time - 2, num_pixels, 0)
        next_r, next_g, next_b = _load_frame(
            source, in_c, ahead,
            scale_r, scale_g, scale_b, offset_r, offset_g, offset_b, SCALED,
        )  # fmt: skip
        later = next_r * weight_r + next_g * weight_g + next_b * weight_b
        moved_after = (later - grey) - shift
        after = tl.where(ahead, _sigmoid(slope * moved_after), weight)
        grey = later

        grad = zero
        grad_r = zero
        grad_g = zero
        grad_b = zero
        if OF_VIDEO:
            grad_r = tl.load(arriving, mask=inside, other=0).to(tl.float32)
            grad_g = tl.load(arriving + video_c, mask=inside, other=0).to(tl.float32)
            grad_b = tl.load(arriving + 2 * video_c, mask=inside, other=0).to(tl.float32)
            grad = grad_r * r + grad_g * g + grad_b * b
            arriving += video_t
        if OF_ATTENTION:
            grad += tl.load(arriving_map, mask=inside, other=0).to(tl.float32)
            arriving_map += map_t
        if OF_VARIATION:
            change = tl.where(t > 0, weight - before, 0.0)
            grad += per_change * (change - (after - weight))
        score = tl.where(inside, grad * weight * (1.0 - weight), 0.0)
        sum_slope += score * tl.where(inside, moved, 0.0)
        sum_shift += score
        if TO_FRAMES:
            step = slope * (score_before - score)
            tl.store(leaving, (pending_r + weight_r * step).to(kind), mask=inside)
            tl.store(leaving + out_c, (pending_g + weight_g * step).to(kind), mask=inside)
            tl.store(leaving + 2 * out_c, (pending_b + weight_b * step).to(kind), mask=inside)
            leaving += out_t
            pending_r = grad_r * weight
            pending_g = grad_g * weight
            pending_b = grad_b * weight
            score_before = score
        before = weight
        weight = after
        moved = moved_after
        r = next_r
        g = next_g
        b = next_b
    if TO_FRAMES:
        step = slope * score_before
        tl.store(leaving, (pending_r + weight_r * step).to(kind), mask=inside)
        tl.store(leaving + out_c, (pending_g + weight_g * step).to(kind), mask=inside)
        tl.store(leaving + 2 * out_c, (pending_b + weight_b * step).to(kind), mask=inside)
    programs = tl.num_programs(0) * tl.num_programs(1)
    partial = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    tl.store(sums + partial, tl.sum(sum_slope, 0))
    tl.store(sums + programs + partial, tl.sum(sum_shift, 0))
