"""When leases are renewed, with time in the test's hands."""

import gc
import json
from collections.abc import Iterator
from typing import Any

import asktell
import httpx
import pytest

from tests.sdk.clocks import FakeTime
from tests.sdk.scripts import STUDY, TOLD, problem

LEASE_END = "2026-01-01T00:02:00Z"
RENEWED = httpx.Response(200, json={"should_prune": False, "lease_expires_at": LEASE_END})


class Desk:
    """Answers like a server whose leases take two minutes, and notes the heartbeats."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.beats: list[tuple[str, int]] = []
        self.answer: httpx.Response | type[httpx.RequestError] = RENEWED
        self.told = httpx.Response(200, json=TOLD)
        self.client = asktell.Client(
            "http://box", "t", transport=httpx.MockTransport(self.handle), clock=self.time.clock
        )
        self._asked = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        action = request.url.path.rsplit("/", 1)[-1]
        if action == "heartbeat":
            return self._note_beat(request)
        if action == "ask":
            return self._hand_out(json.loads(request.content))
        answers = {"tell": self.told, "s": httpx.Response(200, json=STUDY)}
        return answers.get(action, RENEWED)

    def let_pass(self, seconds: float) -> None:
        self.time.let_pass(seconds, while_true=self._has_thread)

    def _has_thread(self) -> bool:
        thread = self.client._heartbeats._thread
        return thread is not None and thread.is_alive()

    def _note_beat(self, request: httpx.Request) -> httpx.Response:
        self.beats.append((request.url.path, json.loads(request.content)["attempt"]))
        if isinstance(self.answer, httpx.Response):
            return self.answer
        raise self.answer("scripted")

    def _hand_out(self, body: dict[str, Any]) -> httpx.Response:
        expires_at = LEASE_END if body["lease_seconds"] == 120.0 else None
        numbers = range(self._asked, self._asked + body["count"])
        self._asked = numbers.stop
        trials = [
            {
                "number": number,
                "attempt": 2,
                "params": {},
                "user_attrs": {},
                "lease_expires_at": expires_at,
            }
            for number in numbers
        ]
        return httpx.Response(200, json={"trials": trials})


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    with opened.client:
        yield opened


@pytest.fixture
def desks_study(desk: Desk) -> asktell.Study:
    return desk.client.get_study("s")


class TestHeartbeats:
    """When they are sent, with time in the test's hands."""

    def test_a_lease_is_renewed_after_a_third_of_it(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.let_pass(39.0)
        assert desk.beats == []
        desk.let_pass(1.0)
        assert desk.beats == [("/studies/s/trials/0/heartbeat", 2)]
        desk.let_pass(39.0)
        assert len(desk.beats) == 1
        desk.let_pass(1.0)
        assert len(desk.beats) == 2
        assert trial.lease_expires_at is not None

    def test_a_report_renews_as_well(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial = desks_study.ask()
        desk.let_pass(30.0)
        trial.report(1.0, 0)
        desk.let_pass(39.0)
        assert desk.beats == []
        desk.let_pass(1.0)
        assert len(desk.beats) == 1

    def test_one_thread_renews_all(self, desk: Desk, desks_study: asktell.Study) -> None:
        trials = desks_study.ask(3)
        desk.let_pass(20.0)
        trials.append(desks_study.ask())
        desk.let_pass(20.0)
        assert len(desk.beats) == 3
        desk.let_pass(20.0)
        assert len(desk.beats) == 4

    def test_a_trial_without_a_lease_needs_none(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask(lease_seconds=None)
        assert trial.lease_expires_at is None
        assert desk.client._heartbeats._thread is None

    def test_a_tell_ends_them(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial, second = desks_study.ask(2)
        trial.tell(1.0)
        desk.let_pass(1000.0)
        assert [path for path, _ in desk.beats] == ["/studies/s/trials/1/heartbeat"]
        assert second.told is None

    def test_a_tell_that_is_refused_does_not(self, desk: Desk, desks_study: asktell.Study) -> None:
        trial = desks_study.ask()
        desk.told = problem(422, "invalid-values")
        with pytest.raises(asktell.InvalidError):
            trial.tell(1.0)
        desk.let_pass(40.0)
        assert len(desk.beats) == 1

    def test_a_tell_by_number_ends_them_as_well(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trials = desks_study.ask(3)
        desks_study.tell(trials[1].number, 1.0)
        desk.told = httpx.Response(200, json={"trials": [TOLD]})
        desks_study.tell_many([(trials[0].number, 1.0)])
        desk.let_pass(1000.0)
        assert [path for path, _ in desk.beats] == ["/studies/s/trials/2/heartbeat"]

    def test_leaving_the_with_block_ends_them(self, desk: Desk, desks_study: asktell.Study) -> None:
        desk.told = problem(422, "invalid-values")
        trial = desks_study.ask()
        with pytest.raises(ValueError, match="mine"), trial:
            raise ValueError("mine")
        desk.let_pass(1000.0)
        assert desk.beats == []

    def test_a_trial_that_nobody_holds_is_let_go(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.let_pass(0.0)
        del trial
        gc.collect()
        desk.let_pass(1000.0)
        assert desk.beats == []
        assert desk.client._heartbeats._thread is None

    def test_closing_the_client_ends_them_and_a_report_starts_them_anew(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trial = desks_study.ask()
        desk.client.close()
        desk.let_pass(1000.0)
        assert desk.beats == []
        trial.report(1.0, 0)
        desk.let_pass(40.0)
        assert len(desk.beats) == 1

    @pytest.mark.parametrize(
        "failure",
        [
            httpx.ConnectError,
            httpx.ReadTimeout,
            httpx.DecodingError,
            problem(503, "x"),
            problem(404, "http-404"),
        ],
    )
    def test_what_may_pass_is_tried_again_soon_and_quietly(
        self,
        desk: Desk,
        desks_study: asktell.Study,
        failure: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        trial = desks_study.ask()
        desk.answer = failure
        desk.let_pass(40.0)
        desk.let_pass(9.0)
        assert len(desk.beats) == 1
        desk.let_pass(1.0)
        assert len(desk.beats) == 2
        desk.answer = RENEWED
        desk.let_pass(10.0)
        desk.let_pass(39.0)
        assert len(desk.beats) == 3
        assert trial.should_prune() is False
        assert caplog.records == []

    def test_a_server_that_is_away_is_not_asked_for_every_trial(
        self, desk: Desk, desks_study: asktell.Study
    ) -> None:
        trials = desks_study.ask(50)
        desk.answer = httpx.ReadTimeout
        desk.let_pass(40.0)
        assert len(desk.beats) == 1
        desk.answer = RENEWED
        desk.let_pass(10.0)
        assert len(desk.beats) == 1 + len(trials)

    @pytest.mark.parametrize("code", ["lease-lost", "trial-not-running", "study-not-found"])
    def test_a_loss_is_raised_where_the_trial_is_worked_on(
        self,
        desk: Desk,
        desks_study: asktell.Study,
        code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        trial = desks_study.ask()
        trial.report(1.0, 0)
        desk.answer = problem(404 if code == "study-not-found" else 409, code)
        desk.let_pass(40.0)
        for work in (lambda: trial.report(1.0, 1), trial.should_prune):
            with pytest.raises(asktell.ApiError) as caught:
                work()
            assert caught.value.code == code
        assert "A heartbeat was refused" in caplog.text
        desk.let_pass(1000.0)
        assert len(desk.beats) == 1
