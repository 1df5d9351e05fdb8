"""`python -m tests.wandb_backend --port 8765`: the stand-in by hand, until Ctrl-C."""

import argparse
import signal
import sys

from tests.wandb_backend.backend import Backend

_ENDING = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.wandb_backend", description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    # Before there are other threads, which would get them otherwise.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    with Backend(port=parser.parse_args().port) as backend:
        for name, value in backend.build_environment().items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        signal.sigwait(_ENDING)
        for unknown in backend.unknown:
            sys.stderr.write(f"unknown: {unknown}\n")


if __name__ == "__main__":
    main()
