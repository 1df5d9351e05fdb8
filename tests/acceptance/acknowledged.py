"""Clients that write down what the server acknowledged, and the check that all of it is there.

Each client repeats a cycle of ask, three reports and a tell, and repeats whatever was not answered:
the ask with its idempotency key, the others as they are.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import optuna
from optuna.trial import FrozenTrial, TrialState

from service.storage.database import Database
from tests.plain_optuna import open_rdb_storage

STUDY = "acknowledged"
STEPS = 3
_SPEC = {
    "name": STUDY,
    "direction": "minimize",
    "space": {
        "x": {"type": "float", "low": 0.0, "high": 1.0},
        "c": {"type": "categorical", "choices": ["a", "b", "c"]},
    },
    "sampler": {"type": "RandomSampler"},
    "pruner": {"type": "MedianPruner"},
    "seed": 1,
    "if_exists": "load",
}
_GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which server accepted an operation; its COMMIT was between these monotonic times."""

    url: str
    sent_at: float
    answered_at: float


@dataclass(slots=True)
class Acknowledged:
    """What clients were told had happened; appended by many threads."""

    asks: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked_numbers: list[int] = field(default_factory=list)
    reports: list[tuple[int, int, float]] = field(default_factory=list)
    tells: dict[int, float] = field(default_factory=dict)
    denied: list[str] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    @property
    def operations(self) -> int:
        return len(self.asked_numbers) + len(self.reports) + len(self.tells)


class Clients:
    """Training jobs against a server that comes and goes.

    Args:
        find_url: Where the server is now; None while it is away.
    """

    def __init__(self, find_url: Callable[[], str | None], token: str) -> None:
        self.acknowledged = Acknowledged()
        self._find_url = find_url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._stop = threading.Event()

    @contextmanager
    def working(self, count: int) -> Iterator[None]:
        """Lets `count` clients work; at the end each finishes its cycle."""
        with ThreadPoolExecutor(count) as threads:
            working = [threads.submit(self._work) for _ in range(count)]
            try:
                yield
            finally:
                self._stop.set()
            for client in working:
                client.result()

    def create_study(self) -> None:
        with httpx.Client(headers=self._headers) as http:
            self._post(http, "/studies", _SPEC)

    def _work(self) -> None:
        with httpx.Client(headers=self._headers, timeout=10.0) as http:
            while not self._stop.is_set():
                self._try_cycle(http)

    def _try_cycle(self, http: httpx.Client) -> None:
        try:
            self._run_cycle(http)
        except httpx.HTTPStatusError as error:
            # Each request of a cycle rests on an acknowledged one before it.
            self.acknowledged.denied.append(error.response.text)

    def _run_cycle(self, http: httpx.Client) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        trial = self._post(http, f"/studies/{STUDY}/ask", {}, key)["trials"][0]
        number, value = trial["number"], trial["params"]["x"]
        self.acknowledged.asks[number] = trial["params"]
        self.acknowledged.asked_numbers.append(number)
        path = f"/studies/{STUDY}/trials/{number}"
        for step in range(STEPS):
            self._post(http, f"{path}/report", {"step": step, "value": value + step})
            self.acknowledged.reports.append((number, step, value + step))
        self._post(http, f"{path}/tell", {"state": "COMPLETE", "values": value})
        self.acknowledged.tells[number] = value

    def _post(
        self, http: httpx.Client, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> Any:
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            answer = self._try_post(http, path, body, headers)
            if answer is not None:
                return answer
            time.sleep(0.05)
        raise TimeoutError(f"{path} was not answered for {_GIVE_UP_SECONDS} s.")

    def _try_post(
        self, http: httpx.Client, path: str, body: Any, headers: dict[str, str] | None
    ) -> Any:
        url = self._find_url()
        if url is None:
            return None
        sent_at = time.monotonic()
        try:
            response = http.post(url + path, json=body, headers=headers)
        except httpx.TransportError:
            return None
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return None
        response.raise_for_status()
        self.acknowledged.accepted.append(Accepted(url, sent_at, time.monotonic()))
        return response.json()


def find_losses(acknowledged: Acknowledged, database: Database) -> list[str]:
    """Everything that was acknowledged and is not, or not so, in Optuna's tables."""
    with open_rdb_storage(database) as storage:
        trials = optuna.load_study(study_name=STUDY, storage=storage).get_trials()
    return [
        *acknowledged.denied,
        *_find_lost_asks(acknowledged, trials),
        *_find_lost_reports(acknowledged, trials),
        *_find_lost_tells(acknowledged, trials),
    ]


def _find_lost_asks(acknowledged: Acknowledged, trials: list[FrozenTrial]) -> Iterator[str]:
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(numbers))):
        yield "trial numbers are not contiguous"
    if sorted(acknowledged.asked_numbers) != numbers:
        yield "asks and trials are not one to one"
    stored = {trial.number: trial.params for trial in trials}
    for number, params in acknowledged.asks.items():
        if stored.get(number) != params:
            yield f"trial {number} was asked with {params}, has {stored.get(number)}"


def _find_lost_reports(acknowledged: Acknowledged, trials: list[FrozenTrial]) -> Iterator[str]:
    stored = {trial.number: trial.intermediate_values for trial in trials}
    for number, step, value in acknowledged.reports:
        if stored.get(number, {}).get(step) != value:
            yield f"trial {number} reported {value} at step {step}"


def _find_lost_tells(acknowledged: Acknowledged, trials: list[FrozenTrial]) -> Iterator[str]:
    stored = {trial.number: (trial.state, trial.values) for trial in trials}
    for number, value in acknowledged.tells.items():
        if stored.get(number) != (TrialState.COMPLETE, [value]):
            yield f"trial {number} was told {value}, is {stored.get(number)}"
