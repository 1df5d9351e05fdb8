"""Reports while the server is away: kept, then delivered in order, once."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import asktell
import httpx
import pytest
from asktell._reports import MOST_DELIVERED, MOST_KEPT

from tests.sdk.clocks import FakeTime, wait_until
from tests.sdk.scripts import STUDY, TOLD, problem
from tests.sdk.servers import ServerProcess

LEASE_END = "2026-01-01T00:02:00Z"

AWAY = [
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    problem(429, "http-429"),
    problem(502, "http-502"),
    problem(503, "database-unavailable", **{"Retry-After": "5"}),
    problem(504, "http-504"),
]

LAUNCHED_PROGRAM = """
import asktell
trial = asktell.current_trial()
print("there", flush=True)
input()
for step in range(3):
    trial.report(step / 2, step)
print("reported", flush=True)
"""


class Desk:
    """Answers like a server, unless it is `away`, and notes what it hears of its trials."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.away: httpx.Response | type[httpx.TransportError] | None = None
        self.should_prune = False
        self.lease_end: str | None = LEASE_END
        self.tries = 0
        self.heard: list[tuple[str, Any]] = []
        self.client = asktell.Client(
            "http://box", "t", transport=httpx.MockTransport(self.handle), clock=self.time.clock
        )
        self.trial = self.client.get_study("s").ask()

    def handle(self, request: httpx.Request) -> httpx.Response:
        action = request.url.path.rsplit("/", 1)[-1]
        if self.away is not None:
            self.tries += action != "heartbeat"
            if isinstance(self.away, httpx.Response):
                return self.away
            raise self.away("scripted")
        return self._answer(action, json.loads(request.content or "{}"))

    def points(self) -> list[tuple[int, float]]:
        """Those that were delivered, as often as they were."""
        return [
            (point["step"], point["value"])
            for action, body in self.heard
            if action == "report"
            for point in body["points"]
        ]

    def let_pass(self, seconds: float) -> None:
        self.time.let_pass(seconds, while_true=lambda: self.client._heartbeats._thread is not None)

    def _answer(self, action: str, body: Any) -> httpx.Response:
        self.heard.append((action, body))
        renewed = {"should_prune": self.should_prune, "lease_expires_at": self.lease_end}
        asked = {
            "number": 0,
            "attempt": 1,
            "params": {},
            "user_attrs": {},
            "lease_expires_at": self.lease_end,
        }
        told = {"trials": [TOLD]} if "tells" in body else TOLD
        answers = {"s": STUDY, "ask": {"trials": [asked]}, "tell": told}
        return httpx.Response(200, json=answers.get(action, renewed))


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    with opened.client:
        yield opened


def report(desk: Desk, *steps: int) -> list[tuple[int, float]]:
    for step in steps:
        desk.trial.report(step / 10, step)
    return [(step, step / 10) for step in steps]


@pytest.mark.parametrize("away", AWAY)
def test_only_the_first_report_tries_and_not_for_long(desk: Desk, away: Any) -> None:
    desk.away = away
    report(desk, 0)
    assert desk.tries <= 3
    assert sum(desk.time.pauses) < 1.0
    tries = desk.tries
    report(desk, 1, 2, 3)
    assert desk.trial.should_prune() is False
    assert desk.tries == tries


def test_a_blip_is_not_an_absence(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    class OneFailure(httpx.ConnectError):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            desk.away = None

    desk.away = OneFailure
    desk.should_prune = True
    points = report(desk, 0)
    assert desk.trial.should_prune() is True
    assert desk.points() == points
    assert caplog.records == []


def test_a_heartbeat_delivers_what_was_kept(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asktell")
    before = report(desk, 0)
    desk.away = httpx.ConnectError
    kept = report(desk, *range(1, 2 * MOST_DELIVERED + 2))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    desk.let_pass(5.0)
    desk.let_pass(5.0)
    assert desk.points() == before
    desk.away, desk.should_prune = None, True
    desk.let_pass(5.0)
    wait_until(lambda: not desk.trial._reports.is_away)
    assert desk.points() == before + kept
    assert desk.trial.should_prune() is True
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert desk.points() + report(desk, 9999) == desk.points()


def test_a_tell_delivers_before_it(desk: Desk) -> None:
    desk.away = httpx.ConnectError
    points = report(desk, 3, 4)
    desk.away = None
    desk.trial.tell(1.0)
    assert [action for action, _ in desk.heard][-2:] == ["report", "tell"]
    assert desk.points() == points


@pytest.mark.parametrize("tells_many", [False, True])
def test_a_tell_by_number_delivers_before_it_too(desk: Desk, *, tells_many: bool) -> None:
    desk.away = httpx.ConnectError
    points = report(desk, 3, 4)
    desk.away = None
    if tells_many:
        desk.trial.study.tell_many([(0, 1.0)])
    else:
        desk.trial.study.tell(0, 1.0)
    assert [action for action, _ in desk.heard][-2:] == ["report", "tell"]
    assert desk.points() == points


def test_a_tell_waits_for_the_deadline_and_may_be_repeated(desk: Desk) -> None:
    desk.away = httpx.ConnectError
    points = report(desk, 0, 1)
    with pytest.raises(asktell.ApiConnectionError):
        desk.trial.tell(1.0)
    assert 110.0 < sum(desk.time.pauses) <= 125.0
    desk.away = None
    desk.trial.tell(1.0)
    # A heartbeat may be due at the same moment, and deliver them as well.
    assert sorted(set(desk.points())) == points


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (problem(422, "invalid-report"), asktell.InvalidError),
        (problem(401, "unauthorized"), asktell.AuthenticationError),
        (problem(500, "internal-error"), asktell.ApiError),
        (problem(429, "parallelism-reached"), asktell.TooManyRequestsError),
    ],
)
def test_what_is_refused_is_raised_and_not_kept(
    desk: Desk, refusal: httpx.Response, error: type[asktell.ApiError]
) -> None:
    desk.away = refusal
    with pytest.raises(error):
        report(desk, 0)
    desk.away = None
    assert report(desk, 1) == desk.points()


def test_a_refusal_of_what_was_kept_is_raised_and_leaves_no_trial_running(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.away = httpx.ConnectError
    report(desk, 0)
    desk.away = problem(422, "invalid-report")
    with pytest.raises(asktell.InvalidError):
        desk.trial.tell(1.0)
    desk.away = None
    assert report(desk, 5) == desk.points()
    desk.away = httpx.ConnectError
    report(desk, 1)
    desk.away = problem(422, "invalid-report")
    with pytest.raises(ValueError, match="mine"), desk.trial:
        raise ValueError("mine")
    assert "Reports of trial 0 were refused" in caplog.text


def test_a_lease_that_was_lost_meanwhile_is_an_error_at_the_next_call(desk: Desk) -> None:
    desk.away = httpx.ConnectError
    report(desk, 0)
    desk.away = problem(409, "lease-lost")
    desk.let_pass(5.0)
    for work in (desk.trial.should_prune, lambda: report(desk, 1)):
        with pytest.raises(asktell.LeaseLostError):
            work()
    with pytest.raises(asktell.LeaseLostError):
        desk.trial.tell(1.0)


def test_as_many_are_kept_as_fit_and_then_it_waits(desk: Desk) -> None:
    desk.away = httpx.ConnectError
    report(desk, *range(MOST_KEPT))
    with pytest.raises(asktell.ApiConnectionError):
        report(desk, MOST_KEPT)
    assert sum(desk.time.pauses) > 110.0
    desk.away = None
    report(desk, MOST_KEPT)
    wait_until(lambda: not desk.trial._reports.is_away)
    assert sorted({step for step, _ in desk.points()}) == list(range(MOST_KEPT + 1))


def test_a_trial_without_a_lease_delivers_as_well() -> None:
    desk = Desk()
    with desk.client:
        desk.lease_end = None
        trial = desk.client.get_study("s").ask(lease_seconds=None)
        desk.away = httpx.ConnectError
        trial.report(0.5, 0)
        desk.away = None
        desk.let_pass(5.0)
        wait_until(lambda: not trial._reports.is_away)
    assert desk.points() == [(0, 0.5)]


def test_a_report_after_the_client_was_closed_is_delivered(desk: Desk) -> None:
    desk.away = httpx.ConnectError
    points = report(desk, 0)
    desk.client.close()
    points += report(desk, 1)
    desk.away = None
    desk.let_pass(5.0)
    wait_until(lambda: not desk.trial._reports.is_away)
    assert desk.points() == points


@pytest.mark.parametrize(("value", "step"), [(0.5, -1), (0.5, 2**31), ("0.5", 0), (0.5, 0.5)])
def test_what_is_no_point_is_refused_at_once(desk: Desk, value: Any, step: Any) -> None:
    desk.away = httpx.ConnectError
    with pytest.raises((ValueError, TypeError)):
        desk.trial.report(value, step)
    assert desk.tries == 0


def test_nothing_is_lost_when_a_server_is_killed(mortal_server: ServerProcess, name: str) -> None:
    pruner = {"type": "ThresholdPruner", "args": {"upper": 1.0}}
    with mortal_server.open_client() as client:
        study = client.create_study(name, pruner=pruner)
        launching, trial = study.ask(), study.ask()
        with launch(mortal_server, launching) as program:
            trial.report(0.0, 0)
            read_line(program, "there")
            mortal_server.kill()
            for step in range(1, MOST_DELIVERED + 5):
                trial.report(1 / step, step)
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.flush()
            read_line(program, "reported")
            mortal_server.start()
            assert program.wait() == 0
        wait_until(lambda: not trial._reports.is_away)
        trial.report(2.0, MOST_DELIVERED + 5)
        assert trial.should_prune() is True
        trial.tell(state="PRUNED")
        expected = [0.0, *(1 / step for step in range(1, MOST_DELIVERED + 5)), 2.0]
        told = study.get_trial(trial.number).intermediate_values
        assert list(told.items()) == list(enumerate(expected))
        launched = study.get_trial(launching.number).intermediate_values
        assert launched == {0: 0.0, 1: 0.5, 2: 1.0}


def launch(server: ServerProcess, trial: asktell.Trial) -> subprocess.Popen[str]:
    """A program as a worker starts it; it reports when it reads a line."""
    environ = {
        **server.environ,
        "ASKTELL_TOKEN": server.token,
        "ASKTELL_STUDY": trial.study.name,
        "ASKTELL_TRIAL": str(trial.number),
        "ASKTELL_ATTEMPT": str(trial.attempt),
    }
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHED_PROGRAM],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(program: subprocess.Popen[str], expected: str) -> None:
    assert program.stdout is not None
    assert program.stdout.readline() == f"{expected}\n"
