"""`python -m tests.flyte_admin --port 30080`: the stand-in by hand, until Ctrl-C."""

import argparse
import signal
import sys

from tests.flyte_admin.admin import FlyteAdmin

_ENDING = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.flyte_admin", description=__doc__)
    parser.add_argument("--port", type=int, default=30080)
    parser.add_argument("--slots", type=int, default=2)
    arguments = parser.parse_args()
    # Before there are other threads, which would get them otherwise.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    with FlyteAdmin(port=arguments.port, slots=arguments.slots) as admin:
        for name, value in admin.build_environment().items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        signal.sigwait(_ENDING)
        for unknown in admin.unknown:
            sys.stderr.write(f"unknown: {unknown}\n")


if __name__ == "__main__":
    main()
