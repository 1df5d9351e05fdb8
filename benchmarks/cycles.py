"""Trial cycles per second: the service against jobs that write to Postgres through Optuna.

    python -m benchmarks.cycles [--seconds 12] [--pairs 3] [--clients 16]

Runs in pairs, one contestant right after the other on the same Postgres, so that the ratio
holds when the machine's speed drifts. Prints a Markdown table of medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
import optuna

from benchmarks.cycle import SAMPLERS, SPACE, Timings, percentile, timings_from_json
from benchmarks.servers import Measured, open_measured

# Processes import Optuna before they start to work.
_IMPORT_SECONDS = 8.0
_RDB_BEST_CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """One contestant in one run: cycles per second, and median latencies in milliseconds."""

    rate: float
    ask_ms: float
    report_ms: float
    tell_ms: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    print(
        "| sampler | contestant | clients | cycles/s | ask p50 ms | report p50 ms | tell p50 ms |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with open_measured() as measured:
        for sampler in SAMPLERS:
            _compare(measured, sampler, arguments)


def _compare(measured: Measured, sampler: str, arguments: argparse.Namespace) -> None:
    seconds, clients = arguments.seconds, arguments.clients
    contestants: dict[str, Callable[[], Figures]] = {
        f"RDBStorage | {clients}": lambda: _run_rdb(measured, sampler, clients, seconds),
        f"RDBStorage | {_RDB_BEST_CLIENTS}": lambda: _run_rdb(
            measured, sampler, _RDB_BEST_CLIENTS, seconds
        ),
        f"Asktell, raw HTTP | {clients}": lambda: _run_http(measured, sampler, clients, seconds),
        f"Asktell, SDK processes | {clients}": lambda: _run_sdk(
            measured, sampler, clients, seconds
        ),
    }
    rounds = [{name: run() for name, run in contestants.items()} for _ in range(arguments.pairs)]
    for name in contestants:
        _print_row(sampler, name, [figures[name] for figures in rounds])
    baseline = next(iter(contestants))
    for name in contestants:
        ratios = [figures[name].rate / figures[baseline].rate for figures in rounds]
        reports = [figures[name].report_ms / figures[baseline].report_ms for figures in rounds]
        print(
            f"\n{sampler}, {name.replace(' | ', ' × ')}: rate {statistics.median(ratios):.1f}× "
            f"({min(ratios):.1f}–{max(ratios):.1f}), report p50 1/"
            f"{1 / statistics.median(reports):.1f} of the first row",
            file=sys.stderr,
        )


def _print_row(sampler: str, name: str, figures: Sequence[Figures]) -> None:
    columns = (
        statistics.median(getattr(each, column) for each in figures)
        for column in ("rate", "ask_ms", "report_ms", "tell_ms")
    )
    print(f"| {sampler} | {name} | " + " | ".join(f"{value:.1f}" for value in columns) + " |")
    sys.stdout.flush()


def _run_rdb(measured: Measured, sampler: str, clients: int, seconds: float) -> Figures:
    name = f"{sampler}-{time.time_ns()}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(study_name=name, storage=measured.plain_url)
    environment = {"BENCH_DATABASE_URL": measured.plain_url}
    start, end = _window(seconds)
    command = ["benchmarks.rdb_client", name, sampler, str(start), str(end)]
    return _collect([command] * clients, environment, seconds)


def _run_http(measured: Measured, sampler: str, clients: int, seconds: float) -> Figures:
    name = _create_study(measured, sampler)
    start, end = _window(seconds)
    window = [str(start), str(end)]
    command = ["benchmarks.http_clients", measured.url, name, str(clients), *window]
    return _collect([command], {"BENCH_TOKEN": measured.token}, seconds)


def _run_sdk(measured: Measured, sampler: str, clients: int, seconds: float) -> Figures:
    name = _create_study(measured, sampler)
    start, end = _window(seconds)
    command = ["benchmarks.sdk_client", measured.url, name, str(start), str(end)]
    return _collect([command] * clients, {"ASKTELL_TOKEN": measured.token}, seconds)


def _create_study(measured: Measured, sampler: str) -> str:
    name = f"{sampler}-{time.time_ns()}"
    spec = {
        "name": name,
        "direction": "minimize",
        "space": SPACE,
        "sampler": {"type": SAMPLERS[sampler]},
        "pruner": {"type": "MedianPruner"},
    }
    headers = {"Authorization": f"Bearer {measured.token}"}
    httpx.post(f"{measured.url}/studies", json=spec, headers=headers).raise_for_status()
    return name


def _window(seconds: float) -> tuple[float, float]:
    start = time.time() + _IMPORT_SECONDS
    return start, start + seconds * 5 / 4


def _collect(
    commands: Sequence[Sequence[str]], environment: dict[str, str], seconds: float
) -> Figures:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command], env=os.environ | environment, stdout=subprocess.PIPE
        )
        for command in commands
    ]
    total = Timings()
    for process in processes:
        output, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{process.args!r} failed")
        total.add(timings_from_json(json.loads(output)))
    return Figures(
        rate=total.cycles / seconds,
        ask_ms=percentile(total.ask, 0.5) * 1e3,
        report_ms=percentile(total.report, 0.5) * 1e3,
        tell_ms=percentile(total.tell, 0.5) * 1e3,
    )


if __name__ == "__main__":
    main()
