"""What is shown while a sweep runs, and what Ctrl-C may do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asktell
import httpx
import pytest

from service.cli.failures import CannotStart
from service.cli.sweep.live import LineView
from service.cli.sweep.snapshots import Snapshot, Snapshots
from service.cli.sweep.watch import Choice, Watch
from tests.api.command_use import Run
from tests.api.conftest import TOKEN
from tests.api.sweep_commands.use import WANDB
from tests.api.sweep_use import claim, end, observe


async def test_a_live_view_shows_where_trials_are(
    url: str, run: Run, api: httpx.AsyncClient, file: Path
) -> None:
    options = ["--executor", "wandb", "--mode", "offline", "--name", "w", "--detach"]
    assert (await run("run", file, *options)).exit_code == 0
    first, second = await claim(api, 2, **WANDB)
    await observe(api, second, note="Recorded offline.")

    def look(snapshots: Snapshots) -> str | None:
        newest = snapshots.take().newest
        return newest and newest.note

    with asktell.Client(url, TOKEN) as client:
        snapshots = Snapshots(client, "w")
        assert await asyncio.to_thread(look, snapshots) == "Recorded offline."
        await end(api, second)
        await observe(api, first, note="On its way.")
        assert await asyncio.to_thread(look, snapshots) == "On its way."
        await end(api, first)
        assert await asyncio.to_thread(look, snapshots) is None


class Keys:
    """Somebody at a keyboard: presses Ctrl-C at the first looks, and answers what is asked."""

    def __init__(self, *choices: Choice | type[KeyboardInterrupt]) -> None:
        self.choices = list(choices)

    def wait(self, seconds: float) -> None:
        if self.choices:
            raise KeyboardInterrupt

    def choose(self) -> Choice:
        choice = self.choices.pop(0)
        if isinstance(choice, Choice):
            return choice
        raise choice


async def watch(url: str, name: str, keys: Keys) -> tuple[Snapshot | None, list[str]]:
    said: list[str] = []

    def run_watch() -> Snapshot | None:
        with asktell.Client(url, TOKEN) as client:
            return Watch(
                Snapshots(client, name).take,
                client.get_sweep(name),
                LineView(said.append),
                wait=keys.wait,
                choose=keys.choose,
            ).run()

    return await asyncio.to_thread(run_watch), said


@pytest.mark.parametrize("choice", [Choice.DETACH, KeyboardInterrupt])
async def test_ctrl_c_may_detach(
    url: str, api: httpx.AsyncClient, sweep: str, choice: Choice | type[KeyboardInterrupt]
) -> None:
    snapshot, _ = await watch(url, sweep, Keys(Choice.WATCH, choice))
    assert snapshot is None
    assert (await api.get("/sweeps/s")).json()["sweep"]["state"] == "active"


@pytest.mark.parametrize(
    ("choice", "state"), [(Choice.STOP, "finished"), (Choice.CANCEL, "cancelled")]
)
async def test_ctrl_c_may_end_the_sweep(url: str, sweep: str, choice: Choice, state: str) -> None:
    snapshot, said = await watch(url, sweep, Keys(choice))
    assert snapshot is not None
    assert snapshot.summary.state == state
    assert not snapshot.has_succeeded
    assert len(said) >= 2


class Flaky:
    """A look at a sweep that fails as often as a server that is being restarted."""

    def __init__(self, look: Callable[[], Snapshot], failures: int) -> None:
        self._look = look
        self._failures = failures

    def __call__(self) -> Snapshot:
        if self._failures:
            self._failures -= 1
            raise asktell.ApiConnectionError("Connection refused.")
        return self._look()


@pytest.mark.parametrize("failures", [3, 599, 600])
async def test_a_restart_of_the_server_does_not_end_the_view(
    url: str, run: Run, sweep: str, failures: int
) -> None:
    await run("cancel", sweep)
    said: list[str] = []

    def run_watch() -> Snapshot | None:
        with asktell.Client(url, TOKEN) as client:
            look = Flaky(Snapshots(client, sweep).take, failures)
            view = LineView(said.append)
            keys = Keys()
            return Watch(
                look, client.get_sweep(sweep), view, wait=keys.wait, choose=keys.choose
            ).run()

    if failures < 600:
        snapshot = await asyncio.to_thread(run_watch)
        assert snapshot is not None
        assert snapshot.summary.state == "cancelled"
        assert said[:2] == [
            "the server does not answer; the sweep goes on with it, still trying …",
            "the server answers again",
        ]
    else:
        with pytest.raises(CannotStart, match="stays away: Connection refused"):
            await asyncio.to_thread(run_watch)
