"""Commands that change a sweep."""

import json

import httpx

from tests.api.command_use import Run
from tests.api.sweep_commands.use import claim_of_gpu


async def test_changes_state(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    await claim_of_gpu(api)
    assert (await run("pause", sweep)).output == "Sweep s is paused.\n"
    assert "`asktell sweep resume s`" in (await run("show", sweep)).output
    resumed = json.loads((await run("resume", sweep, "--json")).stdout)
    assert resumed["sweep"]["state"] == "active"
    assert (await run("stop", sweep)).output == "Sweep s is stopping.\n"
    assert (await run("cancel", sweep)).output == "Sweep s is stopping.\n"
    missing = await run("stop", "nothing")
    assert missing.exit_code == 1
    assert "sweep-not-found" in missing.stderr


async def test_changes_limits_of_a_sweep(run: Run, api: httpx.AsyncClient, sweep: str) -> None:
    assert (await run("set", sweep, "--trials", "7", "--max-failures", "3")).exit_code == 0
    settings = (await api.get(f"/studies/{sweep}")).json()
    assert settings["budget"]["max_trials"] == 7
    assert settings["budget"]["max_failures"] == 3
    assert "--trials" in (await run("set", sweep)).stderr
