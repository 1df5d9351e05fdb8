"""What a preempted attempt had logged of the run that the next one goes on with.

wandb's log of an attempt holds that attempt's part only. The earlier one is at W&B, which is asked
in the background, and, as far as W&B lacks it, among the runs that this worker keeps.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.wandb.local.attempt_files import Recording
from service.schedulers.executors.wandb.local.places import RunPlace
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_history import RunHistory
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.pace import Backoff, Pace

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Search:
    """The search for one attempt's.

    Attributes:
        found: Not to be touched by others before the task is done.
        limit: For how long W&B is asked; None before and after.
    """

    found: RunMetrics
    task: "asyncio.Task[None] | None" = None
    limit: asyncio.Timeout | None = None


class EarlierParts:
    """Finds those of attempts that go on with a run; nothing waits for it but their ends.

    Args:
        kept_runs: The folder with runs that W&B lacks.
        patience_seconds: For how long an attempt that has ended waits for W&B.
    """

    def __init__(
        self, api: WandbApi, kept_runs: Path, *, pace: Pace, patience_seconds: float
    ) -> None:
        self._api = api
        self._kept_runs = kept_runs
        self._pace = pace
        self._patience_seconds = patience_seconds
        self._searches: dict[str, _Search] = {}

    def list_found(self, attempt_ids: Iterable[str]) -> dict[str, RunMetrics]:
        """Returns those that were found, or are not searched for any longer."""
        searches = ((each, self._searches.get(each)) for each in attempt_ids)
        return {
            attempt_id: search.found
            for attempt_id, search in searches
            if search is not None and search.task is not None and search.task.done()
        }

    def is_to_wait(self, launch: Launch, recording: Recording, ending: Ending | None) -> bool:
        """Tells whether the attempt's end cannot be told yet, for its earlier part counts.

        Begins to search for that at the first call.
        """
        if not launch.is_resumed:
            return False
        search = self._searches.get(launch.attempt_id)
        if search is None:
            search = self._searches[launch.attempt_id] = _Search(
                RunMetrics.from_launch(launch, max_rows=0)
            )
            search.task = asyncio.create_task(self._find(search, launch, recording))
        if ending is None or ending.kind is not EndingKind.EXITED or ending.exit_code != 0:
            return False
        if search.limit is not None and search.limit.when() is None:
            now = asyncio.get_running_loop().time()
            search.limit.reschedule(now + self._patience_seconds)
        return True

    def forget(self, attempt_id: str) -> None:
        search = self._searches.pop(attempt_id, None)
        if search is not None and search.task is not None:
            search.task.cancel()

    async def _find(self, search: _Search, launch: Launch, recording: Recording) -> None:
        try:
            if recording.is_online or launch.arguments.get("mode") != "offline":
                await self._ask_in_time(search, launch, recording)
            # Afterwards: whatever W&B has of the same attempt, these have more of it.
            await asyncio.to_thread(self._read_kept, recording.run_id, search.found)
        except Exception:
            _log.exception("run.earlier_part_unknown", attempt_id=launch.attempt_id)

    async def _ask_in_time(self, search: _Search, launch: Launch, recording: Recording) -> None:
        reader = _Reader(self._api, recording, search.found)
        try:
            async with asyncio.timeout(None) as search.limit:
                await reader.read(Backoff(self._pace))
        except TimeoutError:
            _log.warning(
                "run.earlier_part_unknown", attempt_id=launch.attempt_id, reason=reader.trouble
            )
        finally:
            search.limit = None

    def _read_kept(self, run_id: str, found: RunMetrics) -> None:
        place = RunPlace(str(self._kept_runs))
        if not place.list_run_folders(run_id):
            return
        # It takes most of a second to import wandb.
        from service.schedulers.executors.wandb.local.following import RunFollower

        follower = RunFollower(place, run_id, found)
        while follower.look().is_behind:
            pass


class _Reader:
    """Reads from W&B what there is of a run.

    Attributes:
        trouble: Why that is not known yet, for people.
    """

    def __init__(self, api: WandbApi, recording: Recording, found: RunMetrics) -> None:
        self.trouble = "W&B has not answered yet."
        self._api = api
        self._recording = recording
        self._found = found
        self._history = RunHistory(found)

    async def read(self, backoff: Backoff) -> None:
        """Returns once all of it is read; each try goes on where the one before has failed."""
        while True:
            try:
                await self._read()
                return
            except (SystemAway, SystemRefused) as error:
                self.trouble = str(error)
            await asyncio.sleep(backoff.next_pause())

    async def _read(self) -> None:
        path = await self._find_path()
        view = await self._api.find_run(path)
        if view is None:
            return
        if self._found.is_by_summary:
            self._found.summary.replace(view.summary)
            return
        while self._history.has_more(view):
            await self._history.read_on(self._api, path, view)

    async def _find_path(self) -> RunPath:
        entity = self._recording.entity
        if entity is None:
            entity = (self._api.account or await self._api.find_account()).entity
        return RunPath(entity, self._recording.project, self._recording.run_id)
