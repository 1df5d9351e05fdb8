"""A worker's part in the life of one attempt, that dies where it is told to.

    python -m tests.integration.process_owner FOLDER POINT

It launches the program of FOLDER, and forgets it once it has ended. At POINT it kills its whole
process group, as a terminal or a service manager might.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from service.schedulers.executors.base import Launch, Watch
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings
from service.schedulers.executors.process.launching import Probe
from tests.contracts.executor_contract import watch_until

ATTEMPT_ID = "k3v9x2ab-0-1"
NEVER = "never"


def build_launch() -> Launch:
    return Launch(ATTEMPT_ID, metrics=("accuracy",), arguments={"command": ["./program.sh"]})


def build_settings(folder: Path) -> ProcessSettings:
    return ProcessSettings(workdir=folder, host="here", allowed=["*"], environment=os.environ)


def main() -> None:
    folder, deadly_point = Path(sys.argv[1]), sys.argv[2]

    def probe(point: str) -> None:
        if point == deadly_point:
            os.killpg(0, signal.SIGKILL)

    asyncio.run(_live(ProcessExecutor(build_settings(folder), probe=probe), probe))


async def _live(executor: ProcessExecutor, probe: Probe) -> None:
    launch = build_launch()
    await executor.launch(launch)
    await watch_until(
        executor, Watch(launch), lambda seen: seen.is_running or seen.ending is not None
    )
    probe("running")
    await watch_until(executor, Watch(launch), lambda seen: seen.ending is not None)
    probe("ended")
    await executor.forget(Launch(ATTEMPT_ID))
    probe("forgotten")


if __name__ == "__main__":
    main()
