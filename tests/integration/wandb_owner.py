"""A worker's part in the life of one attempt that is a run, that dies where it is told to.

    python -m tests.integration.wandb_owner FOLDER POINT [stop]

It launches the program of FOLDER, stops it if it is to, and forgets it once it has ended. At POINT
it kills its whole process group.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from service.schedulers.executors.base import StopKind, Watch
from service.schedulers.executors.wandb.local.executor import WandbExecutor
from tests.contracts.executor_contract import watch_until
from tests.integration.wandb_bench import PATH, build_launch, open_executor
from tests.memory_wandb import MemoryRun, MemoryWandb


def main() -> None:
    folder, deadly_point = Path(sys.argv[1]), sys.argv[2]

    def probe(point: str) -> None:
        if point == deadly_point:
            os.killpg(0, signal.SIGKILL)

    wandb = MemoryWandb()
    wandb.runs[PATH] = MemoryRun()
    asyncio.run(_live(open_executor(folder, wandb.api, probe=probe)))


async def _live(executor: WandbExecutor) -> None:
    launch = build_launch()
    await executor.launch(launch)
    if "stop" in sys.argv:
        await watch_until(executor, Watch(launch), lambda seen: b"last words" in seen.log)
        await executor.stop(launch, StopKind.GRACEFUL)
    await watch_until(executor, Watch(launch), lambda seen: seen.ending is not None)
    await executor.forget(launch)


if __name__ == "__main__":
    main()
