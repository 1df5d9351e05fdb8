"""Tune a digit classifier with four training processes; `train.py` is what a user would write.

Starts the service on a data directory (or uses the one that runs there), lets the processes share
one study, and prints the best trials. The data stay for `make serve`.
"""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import asktell
from display import Progress, print_results
from processes import DemoFailed, DemoInterrupted
from server import Service, open_service
from training import open_training

PRUNER = {"type": "MedianPruner", "args": {"n_startup_trials": 5, "n_warmup_steps": 2}}


def main() -> int:
    options = parse_options()
    stop = stop_on_signals()
    try:
        with open_service(options.data_dir, stop) as service:
            tune(service, options, stop)
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
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--trials", type=int, default=10, help="for each process")
    return parser.parse_args()


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and the like set, so that everything started can be stopped in order."""
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, request_stop)
    return stop


def tune(service: Service, options: argparse.Namespace, stop: threading.Event) -> None:
    with asktell.Client(service.address, service.token, deadline=10) as client:
        study = create_study(client)
        print(f"Study {study.name!r}: {options.processes} processes of {options.trials} trials.")
        print(f"Watch it in a browser: {service.make_login_link()}\n", flush=True)
        total = options.processes * options.trials
        progress = Progress(total=total, started=time.monotonic())
        with open_training(service, study.name, options.processes, options.trials) as training:
            while not training.is_finished():
                service.check_alive()
                progress.show(study.summary(), time.monotonic())
                if stop.wait(1):
                    raise DemoInterrupted
        progress.finish(study.summary(), time.monotonic())
        print_results(list(study.trials()))


def create_study(client: asktell.Client) -> asktell.Study:
    """A new study: `digits`, or `digits-2` and so on when there are some already."""
    number = 1
    while True:
        name = "digits" if number == 1 else f"digits-{number}"
        try:
            return client.create_study(name, direction="maximize", pruner=PRUNER)
        except asktell.ConflictError:
            number += 1


def print_way_in(data_dir: Path) -> None:
    default = data_dir == Path(".asktell")
    command = "make serve" if default else f"make serve DATA_DIR={data_dir}"
    print(f"\nEverything is kept in {data_dir}. To look at it: {command}")
    print("(it serves on http://127.0.0.1:8700 and prints a link that lets a browser in)")


if __name__ == "__main__":
    sys.exit(main())
