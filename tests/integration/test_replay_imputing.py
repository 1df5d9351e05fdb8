"""A sampler that counts failed trials draws the same again from the recorded order."""

import pytest

from service.domain.studies import Component
from service.storage.database import Database
from tests.integration.free_running import CONDITIONAL, FLAT
from tests.integration.test_replay import N_TRIALS, Case, check_repeats, managed, start

TPE = {"type": "TPESampler", "args": {"n_startup_trials": 4}}


@pytest.mark.parametrize(
    "args", [{"failed": "worst"}, {"running": "latest"}], ids=["failed", "running"]
)
@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "late"])
async def test_a_study_whose_trials_are_imputed_repeats(
    database: Database, args: dict[str, str], is_declared: bool
) -> None:
    sampler = Component("ImputingSampler", {"base_sampler": TPE, **args})
    case = Case(sampler, FLAT if is_declared else CONDITIONAL, is_declared=is_declared)
    run = start(case)
    while run.idle or not run.is_finished:
        async with managed(database, case) as actor:
            await run.go_on(actor, asks=N_TRIALS // 3)
    await check_repeats(database)
