"""Runs the sweep of examples/digits: the service, its worker, the command line, the best trials.

Uses the service that runs on the data directory, or starts one for as long as the demo takes.
The data stay for `make serve`.
"""

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import asktell
from leaderboard import print_results
from service_process import ASKTELL, DemoFailed, DemoInterrupted, Service, open_service

SWEEP_FILE = Path(__file__).parents[1] / "digits" / "sweep.yaml"
EXIT_DETACHED = 130


def main() -> int:
    options = parse_options()
    stop = stop_on_signals()
    try:
        with open_service(options.data_dir, stop) as service:
            show_sweep(service, options.trials, stop)
    except DemoInterrupted:
        print("\nStopped.", file=sys.stderr)
        return 130
    except (DemoFailed, asktell.AsktellError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print_way_in(options.data_dir)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".asktell"))
    parser.add_argument("--trials", type=int, help="instead of as many as the sweep file has")
    return parser.parse_args()


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and the like set, so that everything started can be stopped in order."""
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, request_stop)
    return stop


def show_sweep(service: Service, n_trials: int | None, stop: threading.Event) -> None:
    with asktell.Client(service.address, service.token, deadline=10) as client:
        name = find_free_name(client)
        print(f"Watch it in a browser: {service.make_login_link()}\n", flush=True)
        run_sweep(service, name, n_trials, stop)
        print_results(client.get_sweep(name).study.trials())


def find_free_name(client: asktell.Client) -> str:
    """`digits`, or `digits-2` and so on when there are some already."""
    taken = {summary.name for summary in client.list_studies(name_contains="digits")}
    number = 1
    while (name := "digits" if number == 1 else f"digits-{number}") in taken:
        number += 1
    return name


def run_sweep(service: Service, name: str, n_trials: int | None, stop: threading.Event) -> None:
    """Runs `asktell sweep run` in the foreground.

    Raises:
        DemoInterrupted: Somebody stopped the demo, or detached from the sweep.
        DemoFailed: It came to no result.
    """
    limit = [] if n_trials is None else ["--trials", str(n_trials)]
    options = ["--name", name, "--data-dir", service.data_dir, *limit]
    arguments = [*ASKTELL, "sweep", "run", SWEEP_FILE, *options]
    with ctrl_c_left_to_command(), subprocess.Popen(arguments) as command:
        code = wait_for(command, stop)
    if code == EXIT_DETACHED:
        raise DemoInterrupted
    if code:
        raise DemoFailed(f"The sweep came to no result (exit code {code}).")


@contextmanager
def ctrl_c_left_to_command() -> Iterator[None]:
    """In a terminal Ctrl-C reaches the command as well, which asks what to do."""
    if not sys.stdin.isatty():
        yield
        return
    handler = signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def wait_for(command: subprocess.Popen[bytes], stop: threading.Event) -> int:
    while (code := command.poll()) is None:
        if stop.wait(0.1):
            command.terminate()
            command.wait()
            raise DemoInterrupted
    return code


def print_way_in(data_dir: Path) -> None:
    default = data_dir == Path(".asktell")
    command = "make serve" if default else f"make serve DATA_DIR={data_dir}"
    print(f"\nEverything is kept in {data_dir}. To look at it: {command}")
    print("(it serves on http://127.0.0.1:8700 and prints a link that lets a browser in)")


if __name__ == "__main__":
    sys.exit(main())
