"""Tasks and workflows that the stand-in for flyteadmin runs in processes of their own."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import flytekit as fl
from flytekit.exceptions.user import FlyteRecoverableException


@fl.task
def square(x: float, offset: int = 2) -> float:
    return (x - 1.0) ** 2 + offset


@fl.task
def name_surroundings(name: str) -> str:
    return os.environ[name]


@fl.task
def fail(x: float) -> float:
    if x != 0:
        raise ValueError(f"bad x={x}")
    return x


@fl.task(retries=2)
def recover(failures: int) -> int:
    """Fails so many times, and tells which attempt succeeded."""
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    if attempt < failures:
        raise FlyteRecoverableException(f"attempt {attempt}")
    return attempt


@fl.task(retries=1)
def resume(x: int) -> int:
    """Leaves a checkpoint, fails, and goes on from it."""
    checkpoint = fl.current_context().checkpoint
    found = checkpoint.read()
    if found is None:
        checkpoint.write(str(x).encode())
        raise FlyteRecoverableException("again")
    return int(found)


@fl.task
def lose_machine(losses: int) -> int:
    """Is killed so many times, and tells which attempt succeeded."""
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    if attempt < losses:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@fl.task
def exit_early(code: int) -> float:
    print("nothing to say", flush=True)
    if code >= 0:
        os._exit(code)
    return float(code)


@fl.task
def sleep(seconds: float) -> float:
    print("asleep", flush=True)
    time.sleep(seconds)
    return seconds


@fl.task
def ignore_signals(seconds: float) -> float:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(seconds)
    return seconds


@fl.task(timeout=timedelta(seconds=1))
def oversleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@fl.task(timeout=timedelta(seconds=1), retries=3)
def oversleep_again(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@fl.workflow
def twice(x: float, offset: int = 3) -> float:
    return square(x=square(x=x, offset=offset), offset=offset)


@fl.task
def clean_up(x: float) -> float:
    return x


@fl.workflow(on_failure=clean_up)
def fail_cleanly(x: float) -> float:
    return fail(x=x)


@fl.dynamic
def unfold(x: float) -> float:
    return square(x=x)


@fl.workflow
def nap(seconds: float) -> float:
    return oversleep(seconds=seconds)


@fl.workflow
def naps(seconds: float) -> float:
    return oversleep_again(seconds=seconds)


@fl.task
async def half(x: float) -> float:
    return x / 2


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def sum_of_halves(count: int) -> float:
    return sum(await asyncio.gather(*(half(x=float(number)) for number in range(count))))


fixed_offset = fl.LaunchPlan.get_or_create(twice, "fixed_offset", fixed_inputs={"offset": 0})
plain = fl.LaunchPlan.get_or_create(twice)
