"""What a server still answers about a study that another one has taken over, unnoticed."""

import psycopg
import pytest

from service.domain.errors import Unavailable
from service.domain.studies import StudySettings
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.heartbeat import heartbeat
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import eventually, new_study

_CUT_OWNERS_OFF = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
"""


async def test_refusals_are_confirmed_like_other_answers(
    engine: Engine, database: Database
) -> None:
    await create_study(engine, new_study(settings=StudySettings(parallelism=1)))
    stale = await engine.get_actor("s")
    await ask(stale, Ask())
    async with open_engine(database) as other:
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            connection.execute(_CUT_OWNERS_OFF)
        fresh = await eventually(lambda: other.get_actor("s"))
        await tell(fresh, 0, Outcome(TrialState.COMPLETE, (0.5,)))
        await ask(fresh, Ask())
        for outdated in (heartbeat(stale, 1), ask(stale, Ask()), ask(stale, Ask(params={"x": 7}))):
            with pytest.raises(Unavailable):
                await outdated
