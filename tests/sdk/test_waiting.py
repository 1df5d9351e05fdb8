"""Budgets, parallelism and pauses: who waits for a trial, and for how long."""

import json
import threading
from typing import Any

import asktell
import httpx
import pytest

from tests.sdk.clocks import FakeTime, wait_until
from tests.sdk.scripts import ASKED, STUDY, TOLD, Step, open_study, problem
from tests.sdk.servers import ServerProcess

FULL = problem(429, "parallelism-reached", **{"Retry-After": "2"})
PAUSED = problem(409, "study-paused")
TOLD_NOW = httpx.Response(200, json=TOLD)
FINISHED = problem(409, "study-finished")


class TestAsking:
    """What `Study.ask` does with a refusal that will not last."""

    @pytest.mark.parametrize(
        ("refusal", "error"),
        [(FULL, asktell.TooManyRequestsError), (PAUSED, asktell.StudyPausedError)],
    )
    def test_a_refusal_is_raised_at_once(
        self, refusal: Step, error: type[asktell.ApiError]
    ) -> None:
        time = FakeTime()
        script, study = open_study(refusal, time=time)
        with pytest.raises(error):
            study.ask()
        assert script.bodies() == [{"count": 1, "lease_seconds": 120.0}]
        assert time.pauses == []

    def test_the_server_holds_its_answer_back_for_a_wait(self) -> None:
        script, study = open_study(httpx.Response(200, json=ASKED), time=FakeTime())
        assert study.ask(wait_seconds=12.5).number == 0
        assert script.bodies()[0]["wait_seconds"] == 5.0
        assert script.requests[0].extensions["timeout"]["read"] == 65.0

    @pytest.mark.parametrize(("refusal", "pause"), [(FULL, 2.0), (PAUSED, 1.0)])
    def test_long_waits_are_asked_for_again_and_again(self, refusal: Step, pause: float) -> None:
        time = FakeTime()
        script, study = open_study(refusal, time=time)
        with pytest.raises(asktell.ApiError):
            study.ask(wait_seconds=4.5)
        waits = [body["wait_seconds"] for body in script.bodies()]
        assert waits == [4.5 - pause * tries for tries in range(len(waits))]
        assert time.pauses == [pause] * int(4.5 / pause)
        keys = {request.headers["Idempotency-Key"] for request in script.requests}
        assert len(keys) == len(script.requests)

    def test_no_single_wait_is_longer_than_servers_allow(self) -> None:
        script, study = open_study(httpx.Response(200, json=ASKED), time=FakeTime())
        study.ask(wait_seconds=3600.0)
        assert script.bodies()[0]["wait_seconds"] == 5.0

    @pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
    def test_what_an_interrupted_ask_still_brings_is_given_back(
        self, interruption: type[BaseException]
    ) -> None:
        back = {**TOLD, "state": "RUNNING", "values": None}
        steps = [interruption, httpx.Response(200, json=ASKED), httpx.Response(200, json=back)]
        script, study = open_study(*steps, time=FakeTime())
        with pytest.raises(interruption):
            study.ask(wait_seconds=60.0)
        first, again, told = script.requests
        assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
        assert told.url.path.endswith("/0/tell")
        assert script.bodies()[-1]["cause"] == "preempted"


class TestOptimizing:
    """What `optimize` makes of it."""

    def test_it_waits_for_as_long_as_it_takes(self) -> None:
        time = FakeTime()
        steps = [*[FULL] * 20, *[PAUSED] * 20, httpx.Response(200, json=ASKED)]
        script, study = open_study(*steps, httpx.Response(200, json=TOLD), time=time)
        study.optimize(lambda _: 1.0, n_trials=1)
        assert script.requests[-1].url.path.endswith("/tell")
        assert sum(time.pauses) == 20 * 2.0 + 20 * 1.0

    def test_it_waits_no_longer_than_its_timeout(self) -> None:
        time = FakeTime()
        script, study = open_study(FULL, time=time)
        study.optimize(lambda _: 1.0, timeout=25.0)
        assert time.seconds == 1025.0
        assert max(body.get("wait_seconds", 0.0) for body in script.bodies()) == 5.0

    def test_it_waits_no_longer_for_a_server_that_is_away(self) -> None:
        time = FakeTime()
        _, study = open_study(httpx.ConnectError, time=time)
        with pytest.raises(asktell.ApiConnectionError):
            study.optimize(lambda _: 1.0, timeout=2.0)
        assert sum(time.pauses) <= 4.0

    def test_a_server_that_takes_its_time_is_not_away(self) -> None:
        script, study = open_study(httpx.Response(200, json=ASKED), TOLD_NOW, time=FakeTime())
        study.optimize(lambda _: 1.0, n_trials=1, timeout=2.0)
        assert script.requests[0].extensions["timeout"]["read"] == 60.0

    def test_it_ends_when_the_study_does_while_waiting(self) -> None:
        script, study = open_study(FULL, PAUSED, FINISHED, time=FakeTime())
        study.optimize(lambda _: 1.0)
        assert len(script.requests) == 3

    def test_a_trial_that_arrives_after_stop_is_given_back(self) -> None:
        tells: list[Any] = []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json=STUDY)
            if request.url.path.endswith("/ask"):
                study.stop()
                return httpx.Response(200, json=ASKED)
            tells.append(json.loads(request.content))
            return httpx.Response(200, json={**TOLD, "state": "RUNNING", "values": None})

        started: list[asktell.Trial] = []
        with asktell.Client("http://box", "t", transport=httpx.MockTransport(answer)) as client:
            study = client.get_study("s")
            study.optimize(started.append)
        assert started == []
        (told,) = tells
        assert (told["state"], told["cause"], told["attempt"]) == ("FAIL", "preempted", 1)

    def test_a_trial_that_arrives_after_the_last_ask_is_run(self) -> None:
        answers = iter([httpx.Response(200, json=ASKED), FINISHED])
        tells: list[Any] = []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json=STUDY)
            if request.url.path.endswith("/tell"):
                tells.append(json.loads(request.content))
                return httpx.Response(200, json=TOLD)
            response = next(answers, FINISHED)
            if response.is_success:
                # The other thread is refused meanwhile.
                wait_until(study._optimizations[0]._is_over)
            return response

        with asktell.Client("http://box", "t", transport=httpx.MockTransport(answer)) as client:
            study = client.get_study("s")
            study.optimize(lambda _: 1.0, n_jobs=2)
        assert [told["state"] for told in tells] == ["COMPLETE"]


class TestOnTheServer:
    """Limits that hold for all clients together."""

    def test_parallelism_bounds_the_threads(self, client: asktell.Client, name: str) -> None:
        study = client.create_study(name, parallelism=2)
        lock = threading.Lock()
        running: list[int] = []
        most = [0]

        def objective(trial: asktell.Trial) -> float:
            with lock:
                running.append(trial.number)
                most[0] = max(most[0], len(running))
            trial.suggest_float("x", 0, 1)
            with lock:
                running.remove(trial.number)
            return 1.0

        study.optimize(objective, n_trials=12, n_jobs=4)
        assert most[0] <= 2
        assert study.summary().counts.complete == 12

    def test_a_full_study_refuses_and_makes_room(self, client: asktell.Client, name: str) -> None:
        study = client.create_study(name, parallelism=1)
        first = study.ask()
        with pytest.raises(asktell.TooManyRequestsError) as caught:
            study.ask()
        assert caught.value.code == "parallelism-reached"
        assert caught.value.retry_after_seconds is not None
        teller = threading.Thread(target=first.tell, args=(1.0,))
        teller.start()
        assert study.ask(wait_seconds=60.0).number == 1
        teller.join()

    def test_the_budget_ends_it(self, client: asktell.Client, name: str) -> None:
        study = client.create_study(name, budget={"max_trials": 3})
        study.optimize(lambda _: 1.0, n_jobs=2)
        summary = study.summary()
        assert (summary.state, summary.stop_reason) == ("finished", "max_trials")
        assert (summary.started, summary.max_trials, summary.counts.total) == (3, 3, 3)
        study.configure(budget={"max_trials": 4})
        study.optimize(lambda _: 1.0)
        assert study.summary().counts.complete == 4

    def test_it_goes_on_after_a_pause(
        self, server: ServerProcess, client: asktell.Client, study: asktell.Study
    ) -> None:
        resumed = threading.Event()

        def resume() -> None:
            with server.open_client() as other:
                other.get_study(study.name).resume()
            resumed.set()

        def objective(trial: asktell.Trial) -> float:
            if trial.number == 0:
                study.pause()
                threading.Thread(target=resume).start()
            return 1.0

        study.optimize(objective, n_trials=2)
        assert resumed.wait(60)
        assert study.summary().counts.complete == 2

    def test_a_finished_study_starts_nothing_until_it_is_resumed(
        self, study: asktell.Study
    ) -> None:
        running = study.ask()
        study.finish()
        assert (study.summary().state, study.summary().stop_reason) == ("stopping", "stopped")
        with pytest.raises(asktell.ConflictError) as caught:
            study.ask()
        assert caught.value.code == "study-finished"
        running.tell(1.0)
        assert study.summary().state == "finished"
        study.resume()
        assert study.ask().number == 1
