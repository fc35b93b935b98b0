"""The motion prompt layer against the published one, and against a copy of the same bytes.

Layers take turns on the same clip, so that what else the machine does falls on all, a few calls
each: ours, and ours kept from using a C compiler; a plain eager one that goes through the formula
as the published code does (un-normalise, grey, difference, power normalisation, repeat for each
channel, multiply); and the limit, a copy of the clip's later frames into new memory. The first call
of a turn has a column of its own: it finds the caches cold, and pays for giving back to the system
what the layer before has freed. Timed are the forward pass alone, and forward with backward for m
and n. The memory is what is allocated at the peak, the prompts counted in and left out. Then the
work grows: frames, pixels, batch.

    python benchmarks/prompt_layer.py --json prompt_layer.json --plot prompt_layer.png

On a machine that does other work, `--clock cpu` counts this thread's processor time instead.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from growth import draw_growth, print_growth
from report import write_report
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from kinema.motion_prompt import LearnableSigmoid, MotionPrompt

BASE = {"batch": 2, "frames": 9, "pixels": 224}
GROWTH = {"frames": (3, 5, 9, 17, 33), "pixels": (56, 112, 224, 448), "batch": (1, 2, 4, 8)}
OURS, PUBLISHED, COPY = "ours", "published, eager", "copy"
WITHOUT = "ours, no C compiler"
M, N = 0.3, -0.2
_CALLS = 5
UNIT = "forward + backward, ms"


class Published(nn.Module):
    """The formula in the steps of the published code, each of which makes a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.tensor([M]))
        self.n = nn.Parameter(torch.tensor([N]))
        self.register_buffer("grey", torch.tensor([0.299, 0.587, 0.114]))

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, C, T, H, W)` to prompts in the same layout, and the variation."""
        clip = clip.permute(0, 2, 1, 3, 4)
        grey = torch.einsum("btchw,c->bthw", clip * 0.225 + 0.45, self.grey.to(clip.dtype))
        difference = grey[:, 1:] - grey[:, :-1]
        slope = 5 / (0.45 * torch.abs(torch.tanh(self.m)) + 0.1)
        attention = 1 / (1 + torch.exp(-slope * (difference - 0.6 * torch.tanh(self.n))))
        repeated = attention.unsqueeze(2).repeat(1, 1, 3, 1, 1)
        variation = (attention[:, 1:] - attention[:, :-1]).pow(2).mean()
        return (repeated * clip[:, 1:]).permute(0, 2, 1, 3, 4), variation


class Ours(nn.Module):
    """The layer, its outputs cut to what the published code gives."""

    def __init__(self, *, compiled: bool | None) -> None:
        super().__init__()
        self.layer = MotionPrompt(
            layout="BCTHW", normalisation=LearnableSigmoid(M, N), compiled=compiled
        )

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, C, T, H, W)` to prompts in the same layout, and the variation."""
        output = self.layer(clip)
        return output.video, output.variation


class Copy(nn.Module):
    """The least that has to happen: the later frames read, and as much written."""

    def forward(self, clip: Tensor) -> Tensor:
        """`(B, C, T, H, W)` without its first frame, in memory of its own."""
        return clip[:, :, 1:].contiguous()


class Work:
    """One size of clip, and what each contestant does with it."""

    def __init__(
        self, batch: int, frames: int, pixels: int, *, dtype: torch.dtype, device: str
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (batch, 3, frames, pixels, pixels)
        clip = (torch.rand(shape, generator=generator) - 0.45) / 0.225
        self.clip = clip.to(device, dtype)
        later = (batch, 3, frames - 1, pixels, pixels)
        self.grad_video = torch.randn(later, generator=generator).to(device, dtype)

    def forward(self, layer: nn.Module) -> object:
        """The forward pass, nothing kept for a backward pass."""
        with torch.no_grad():
            return layer(self.clip)

    def forward_and_backward(self, layer: nn.Module) -> object:
        """Both passes, for m and n, from a gradient of the prompts and one of the variation."""
        output = layer(self.clip)
        if isinstance(output, Tensor):  # of a copy: the same traffic again
            return output, output.clone()
        video, variation = output
        torch.autograd.backward((video, variation), (self.grad_video, torch.ones_like(variation)))
        layer.zero_grad()
        return output

    def outputs_bytes(self) -> int:
        """Of the prompts, which any layer has to make."""
        return self.grad_video.nbytes


def alternate(
    work: dict[str, Callable[[], object]], *, repeats: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Milliseconds of each, in turns of `_CALLS`, after one round that is not counted.

    "first" is the median of the calls that begin a turn, which the other figures are without.
    """
    found: dict[str, list[float]] = {name: [] for name in work}
    firsts: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats + 1):
        for name, run in work.items():
            for call in range(_CALLS):
                start = clock()
                kept = run()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                taken = 1e3 * (clock() - start)
                if repeat:
                    (found if call else firsts)[name].append(taken)
                del kept
    return {
        name: {
            "median": statistics.median(times),
            "least": min(times),
            "most": max(times),
            "first": statistics.median(firsts[name]),
        }
        for name, times in found.items()
    }


def peak_bytes(run: Callable[[], object], device: str | torch.device) -> int:
    """The most memory that was allocated at a time while `run` ran, beyond what was before."""
    run()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = run()
    del kept
    now, most = 0, 0
    events = profiled.profiler.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def compared(
    layers: dict[str, nn.Module],
    size: dict[str, int],
    *,
    settings: argparse.Namespace,
    memory: bool,
) -> dict[str, dict[str, dict[str, float]]]:
    """Times, and memory where asked, of every layer for both kinds of pass at one size."""
    work = Work(**size, dtype=getattr(torch, settings.dtype), device=settings.device)
    clock = time.thread_time if settings.clock == "cpu" else time.perf_counter
    report = {}
    for kind in (work.forward, work.forward_and_backward):
        runs = {name: lambda layer=layer, kind=kind: kind(layer) for name, layer in layers.items()}
        found = alternate(runs, repeats=settings.repeats, clock=clock)
        if memory:
            for name, run in runs.items():
                with_outputs = peak_bytes(run, settings.device)
                found[name]["peak_mib"] = with_outputs / 2**20
                found[name]["extra_mib"] = (with_outputs - work.outputs_bytes()) / 2**20
        report[kind.__name__.replace("_", " ")] = found
    return report


def print_table(report: dict[str, dict[str, dict[str, float]]]) -> None:
    head = f"{'median':>9}{'least':>9}{'most':>9}{'times':>8}{'first':>9}{'times':>8}"
    head += f"{'peak MiB':>10}{'extra MiB':>11}"
    for kind, found in report.items():
        print(f"\n{kind + ', ms':24}{head}")
        slow = found[PUBLISHED]
        for name, f in found.items():
            print(
                f"{name:24}{f['median']:9.2f}{f['least']:9.2f}{f['most']:9.2f}"
                f"{slow['median'] / f['median']:7.1f}x{f['first']:9.2f}"
                f"{slow['first'] / f['first']:7.1f}x{f['peak_mib']:10.1f}{f['extra_mib']:11.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--no-growth", action="store_true", help="the base size only")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plot", type=Path, help="draw how the cost grows")
    settings = parser.parse_args()
    if settings.clock == "cpu" and settings.threads > 1:
        parser.error("--clock cpu sees one thread; give --threads 1")
    torch.set_num_threads(settings.threads)
    warnings.filterwarnings("ignore", message=".*[Pp]rofiler.*")

    layers: dict[str, nn.Module] = {OURS: Ours(compiled=None)}
    if settings.device == "cpu":
        layers[WITHOUT] = Ours(compiled=False)
    layers |= {PUBLISHED: Published(), COPY: Copy()}
    layers = {name: layer.to(settings.device) for name, layer in layers.items()}

    report = compared(layers, BASE, settings=settings, memory=True)
    print(
        f"{BASE['batch']}x3x{BASE['frames']}x{BASE['pixels']}x{BASE['pixels']} {settings.dtype} on "
        f"{settings.device}, {settings.threads} threads, {settings.repeats} repeats, "
        f"{settings.clock} clock"
    )
    print_table(report)

    growth: dict[str, dict[int, dict[str, float]]] = {}
    for axis, sizes in () if settings.no_growth else GROWTH.items():
        growth[axis] = {}
        for size in sizes:
            found = compared(layers, BASE | {axis: size}, settings=settings, memory=False)
            row = {name: f["median"] for name, f in found["forward and backward"].items()}
            growth[axis][size] = row
    print_growth(growth, unit=UNIT)
    if settings.plot and growth:
        draw_growth(growth, settings.plot, unit=UNIT)
    if settings.json:
        write_report(settings.json, device=settings.device, milliseconds=report, growth=growth)


if __name__ == "__main__":
    main()
