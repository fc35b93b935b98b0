"""Time and peak memory of taking 8 frames from a long video.

Makes a 5-minute 1280x720 video (H.264, 30 frames per second) in a temporary folder, reads it in
fresh processes and compares their peak memory with that of a process that only imports.

    python benchmarks/decode_memory.py --json decode_memory.json
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from report import write_report

WIDTH, HEIGHT, FRAMES_PER_SECOND = 1280, 720, 30

READ = """
import resource, time
import kinema.video
from kinema.video import read_video
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)
"""


def make_video(path: Path, *, num_frames: int, keyframe_gap: int) -> None:
    """A moving pattern with noise, encoded fast."""
    noise = np.random.default_rng(0).integers(0, 24, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    pattern = noise + np.stack([columns // 8, rows // 5, (rows + columns) // 16], -1).astype(
        np.uint8
    )
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "28", "g": str(keyframe_gap)}
        # A dozen pictures in turn: converting each anew would take longer than encoding it.
        frames = [
            av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.roll(pattern, 4 * step, axis=1)), format="rgb24"
            ).reformat(format="yuv420p")
            for step in range(12)
        ]
        for index in range(num_frames):
            frame = frames[index % len(frames)]
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_SECOND)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def measure(statement: str, repeats: int) -> dict[str, float]:
    """Peak memory (MiB, the largest) and seconds (the median) of fresh processes."""
    runs = []
    for _ in range(repeats):
        script = READ.format(statement=statement)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        runs.append([float(word) for word in done.stdout.split()])
    return {
        "peak_mib": max(peak for peak, _ in runs),
        "seconds": float(np.median([seconds for _, seconds in runs])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    num_frames = round(arguments.minutes * 60 * FRAMES_PER_SECOND)
    results = {"import only": measure("pass", arguments.repeats)}
    with tempfile.TemporaryDirectory() as folder:
        for gap in (30, 250, num_frames):
            path = Path(folder) / f"gap{gap}.mp4"
            start = time.perf_counter()
            make_video(path, num_frames=num_frames, keyframe_gap=gap)
            size = path.stat().st_size / 2**20
            print(f"made {path.name}: {size:.0f} MiB in {time.perf_counter() - start:.0f} s")
            statement = f"read_video({str(path)!r}, num_frames=8)"
            results[f"8 frames, a keyframe every {gap}"] = measure(statement, arguments.repeats)

    base = results["import only"]["peak_mib"]
    print(f"{num_frames} frames, {WIDTH}x{HEIGHT}; {platform.machine()}, {arguments.repeats} runs")
    print(f"{'':36} {'peak MiB':>9} {'above import':>13} {'seconds':>8}")
    for name, figures in results.items():
        peak, seconds = figures["peak_mib"], figures["seconds"]
        print(f"{name:36} {peak:9.1f} {peak - base:13.1f} {seconds:8.2f}")
    if arguments.json:
        write_report(arguments.json, num_frames=num_frames, results=results)


if __name__ == "__main__":
    main()
