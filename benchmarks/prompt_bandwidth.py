"""The motion prompt's kernel on a GPU: which share of the memory's speed it reaches, over sizes.

Counted are the bytes that have to move: each frame read once, each prompt and each attention map
written once; and backward, for m and n, frames and the prompts' gradient read once. The limit is
torch's copy of as many bytes, read and written. Times are of the GPU alone, from CUDA graphs, in
which no kernel waits for Python; beside them stands the time of a call, which for small clips is
that of Python. What fits into the GPU's cache (60 MB) is faster than memory, for the copy too. The
published layer, eager, is timed in the same ways.

    python benchmarks/prompt_bandwidth.py --json docs/results/prompt_bandwidth.json
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from prompt_layer import Ours, Published
from report import write_report

# Clips, frames T + 1, pixels a side.
SIZES = ((2, 9, 224), (8, 9, 224), (32, 9, 224), (128, 9, 224), (8, 17, 224), (8, 33, 224),
         (8, 9, 64), (8, 9, 128), (8, 9, 448))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU to be seen; benchmarks/prompt_layer.py measures the CPU")
    print(
        f"{'dtype':10}{'size':18}{'pass':10}{'us':>9}{'GB/s':>8}{'of copy':>9}{'published':>11}"
        f"{'a call, us':>12}{'published':>11}"
    )
    rows = []
    for dtype in arguments.dtypes:
        for size in SIZES:
            for row in _rows(*size, dtype=getattr(torch, dtype)):
                rows.append(row)
                print(
                    f"{row['dtype']:10}{row['size']:18}{row['pass']:10}"
                    f"{1e6 * row['seconds']:9.1f}{row['bytes_a_second'] / 1e9:8.0f}"
                    f"{row['share_of_copy']:9.1%}{row['times_published']:10.1f}x"
                    f"{1e6 * row['call_seconds']:12.1f}"
                    f"{row['published_call_seconds'] / row['call_seconds']:10.1f}x",
                    flush=True,
                )
    if arguments.json:
        write_report(arguments.json, device="cuda", rows=rows)


def _rows(batch: int, frames: int, pixels: int, *, dtype: torch.dtype) -> list[dict[str, Any]]:
    clip = torch.randn(batch, 3, frames, pixels, pixels, device="cuda", dtype=dtype)
    grad = torch.randn(batch, 3, frames - 1, pixels, pixels, device="cuda", dtype=dtype)
    attention_bytes = 4 * batch * (frames - 1) * pixels**2
    layers = {"ours": Ours(compiled=None).cuda(), "published": Published().cuda()}

    def forward(name: str) -> Callable[[], object]:
        def run() -> object:
            with torch.no_grad():
                return layers[name](clip)

        return run

    def both(name: str) -> Callable[[], object]:
        learned = list(layers[name].parameters())

        def run() -> object:
            video, variation = layers[name](clip)
            grads = (grad, torch.ones_like(variation))
            return torch.autograd.grad((video, variation), learned, grads)

        return run

    made = []
    for kind, make, moved in (
        ("forward", forward, clip.nbytes + grad.nbytes + attention_bytes),
        ("both", both, 2 * clip.nbytes + 2 * grad.nbytes + attention_bytes),
    ):
        source = torch.empty(moved // 2, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        ours = _seconds(make("ours"))
        copy = _seconds(lambda source=source, target=target: target.copy_(source))
        published = _seconds(make("published"))
        calls = [_call_seconds(make(name)) for name in layers]
        made.append(
            {
                "dtype": str(dtype).removeprefix("torch."),
                "size": f"{batch}x3x{frames}x{pixels}x{pixels}",
                "pass": kind,
                "bytes": moved,
                "seconds": ours,
                "copy_seconds": copy,
                "published_seconds": published,
                "bytes_a_second": moved / ours,
                "share_of_copy": copy / ours,
                "times_published": published / ours,
                "call_seconds": calls[0],
                "published_call_seconds": calls[1],
            }
        )
    return made


def _seconds(run: Callable[[], object]) -> float:
    """Of the GPU alone, the median of repeats."""
    from triton.testing import do_bench_cudagraph

    milliseconds: float = do_bench_cudagraph(run, rep=20, return_mode="median")
    return milliseconds / 1e3


def _call_seconds(run: Callable[[], object]) -> float:
    """With Python, the median of repeats."""
    from triton.testing import do_bench

    milliseconds: float = do_bench(run, warmup=10, rep=40, return_mode="median")
    return milliseconds / 1e3


if __name__ == "__main__":
    main()
