"""What launching a trial costs: many short programs by a worker, against a bare pool of processes.

    python -m benchmarks.attempts [--attempts 200] [--slots 8] [--seconds 0.2] [--pairs 3]

Both start the same program as often, as many at a time. Prints a Markdown table of medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.servers import Measured, open_measured

_PROGRAM = "import sys, time; time.sleep(float(sys.argv[1])); print('value=1.0')\n"
_LOOK_EVERY_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--attempts", type=int, default=200)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    with open_measured() as measured, tempfile.TemporaryDirectory() as name:
        program = Path(name) / "program.py"
        program.write_text(_PROGRAM)
        pairs = []
        with _working(measured, Path(name), slots=arguments.slots):
            for _ in range(arguments.pairs):
                bare = _run_bare(program, arguments)
                pairs.append((bare, _run_sweep(measured, program, arguments)))
    _print_table(pairs, arguments)


def _run_bare(program: Path, arguments: argparse.Namespace) -> float:
    """Seconds that a pool takes which does nothing but start programs and wait for them."""
    command = [sys.executable, str(program), str(arguments.seconds)]

    def run(_: int) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.slots) as pool:
        list(pool.map(run, range(arguments.attempts)))
    return time.perf_counter() - began


def _run_sweep(measured: Measured, program: Path, arguments: argparse.Namespace) -> float:
    """Seconds from the creation of a sweep until its last trial has ended."""
    name = f"attempts-{time.time_ns()}"
    command = ["${interpreter}", str(program), str(arguments.seconds)]
    spec = {
        "name": name,
        "direction": "minimize",
        "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "sampler": {"type": "RandomSampler"},
        "budget": {"max_trials": arguments.attempts},
        "launch": {"executor": "process", "command": command},
    }
    with httpx.Client(
        base_url=measured.url, headers={"Authorization": f"Bearer {measured.token}"}
    ) as api:
        began = time.perf_counter()
        api.post("/sweeps", json=spec).raise_for_status()
        while (sweep := api.get(f"/sweeps/{name}").json())["state"] != "finished":
            time.sleep(_LOOK_EVERY_SECONDS)
        seconds = time.perf_counter() - began
    assert sweep["counts"]["complete"] == arguments.attempts, sweep["counts"]
    return seconds


@contextmanager
def _working(measured: Measured, folder: Path, *, slots: int) -> Iterator[None]:
    command = [sys.executable, "-m", "service.cli.main", "worker", "--url", measured.url]
    command += ["--slots", str(slots), "--workdir", str(folder / "work"), "--allow-program", "*"]
    environment = os.environ | {"ASKTELL_TOKEN": measured.token}
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def _print_table(pairs: list[tuple[float, float]], arguments: argparse.Namespace) -> None:
    slot_ms = 1000 * arguments.slots / arguments.attempts
    overheads = [(sweep - bare) * slot_ms for bare, sweep in pairs]
    bare, sweep = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{arguments.attempts} attempts of {arguments.seconds:g} s on {arguments.slots} slots:\n")
    print("| bare pool s | sweep s | attempts/s | overhead per attempt ms (range) |")
    print("| --- | --- | --- | --- |")
    print(
        f"| {bare:.1f} | {sweep:.1f} | {arguments.attempts / sweep:.1f} | "
        f"{statistics.median(overheads):.0f} ({min(overheads):.0f}–{max(overheads):.0f}) |"
    )


if __name__ == "__main__":
    main()
