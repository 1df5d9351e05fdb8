"""A study's life against a plain model of it: whatever clients, people, time and faults do."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import optuna
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from service.domain.errors import StudyExists
from service.domain.studies import (
    Component,
    IfExists,
    StudySettings,
    StudyState,
)
from service.domain.trials import AttemptPhase, Decision, Outcome, TrialState
from service.engine.ask import Ask, ask
from service.engine.configure import configure
from service.engine.create import create_study
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.expire import expire
from service.engine.heartbeat import heartbeat
from service.engine.import_trials import ImportedTrial, import_trials
from service.engine.prune import decide
from service.engine.report import report
from service.engine.states import pause, resume, stop
from service.engine.suggest import suggest
from service.engine.tell import tell, tell_many
from service.storage.database import Database
from tests.integration.engine_use import SPACE, new_study
from tests.integration.study_life_choices import (
    ATTEMPTS,
    COMMANDS,
    COMPLETE,
    FAILED,
    LEASE_SECONDS,
    NONSENSE,
    OUTCOMES,
    PATCHES,
    POINTS,
    PRUNED,
    SETTINGS,
    TRIALS,
    VALUES,
)
from tests.integration.study_life_model import PRUNED_ABOVE, PlainStudy
from tests.integration.study_life_pair import StudyPair
from tests.integration.study_life_server import Fault

_EXAMPLES, _STEPS = 130, 50
_LONGEST_SECONDS = 4000.0
_ROUNDS = 5
_STEP_NAMES = (
    "ask",
    "suggest",
    "report",
    "heartbeat",
    "decide",
    "tell",
    "tell many",
    "enqueue",
    "import",
    "pause",
    "stop",
    "resume",
    "configure",
    "expire",
)
_IMPORTED_PARAMS = {"x": 0.5, "n": 1, "c": "a"}
_names = (f"study {number}" for number in itertools.count())

# The same lives every time. Not shrunk, because each attempt talks to Postgres and that takes
# minutes; without `phases` it is.
_repeatable = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    max_examples=_EXAMPLES,
    stateful_step_count=_STEPS,
    suppress_health_check=list(HealthCheck),
)

_Lease = float | Literal["study"] | None

_steps: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []


def _step(*, weight: int = 1, **given: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a method one of the steps; more likely ones have more weight.

    They are all one rule, and which comes next is a matter of chance alone: hypothesis prefers
    some rules to others in each run, and then little comes together.
    """

    def register(step: Callable[..., None]) -> Callable[..., None]:
        _steps.extend([st.tuples(st.just(step.__name__), st.fixed_dictionaries(given))] * weight)
        return step

    return register


class StudyLife(RuleBasedStateMachine):
    """One study, done to whatever comes; after each step all that is stored is looked at."""

    def __init__(self, database: Database, taken: Counter[str]) -> None:
        super().__init__()
        self.database = database
        self.taken = taken

    @initialize(chance=st.randoms(use_true_random=True))
    def choose_steps(self, chance: random.Random) -> None:
        self.chance = chance

    @initialize(given=SETTINGS, is_declared=st.booleans(), first=st.sampled_from([None, {"n": 2}]))
    def create(
        self, given: StudySettings, is_declared: bool, first: Mapping[str, Any] | None
    ) -> None:
        space = SPACE if is_declared else None
        pruner = Component("ThresholdPruner", {"upper": PRUNED_ABOVE})
        self.new = new_study(next(_names), settings=given, space=space, pruner=pruner)
        model = PlainStudy(given, frozenset(space or ()))
        self.pair = StudyPair(self.database, self.new, model, self.taken)
        self.ask_trials(Ask(2, first))

    @_step(weight=2, count=st.integers(1, 3), lease_seconds=LEASE_SECONDS)
    def ask(self, count: int, lease_seconds: _Lease) -> None:
        self.ask_trials(Ask(count, lease_seconds=lease_seconds))

    @_step(lease_seconds=LEASE_SECONDS)
    def ask_for_fixed(self, lease_seconds: _Lease) -> None:
        self.ask_trials(Ask(params={"n": 2}, lease_seconds=lease_seconds))

    @_step(count=st.integers(1, 2), key=st.sampled_from("abcd"))
    def ask_with_key(self, count: int, key: str) -> None:
        self.ask_trials(Ask(count, idempotency_key=key))

    @_step(pick=TRIALS, names=st.sets(st.sampled_from(sorted(SPACE)), min_size=1))
    def suggest(self, pick: int, names: set[str]) -> None:
        number = self.pair.find(pick)
        self.pair.do(
            "suggest",
            lambda actor: suggest(actor, number, {name: SPACE[name] for name in sorted(names)}),
            lambda model: model.suggest(number, names),
            set,
        )

    @_step(
        weight=3,
        pick=TRIALS,
        points=POINTS,
        attempt=ATTEMPTS,
        is_wrong=st.sampled_from([False] * 9 + [True]),
    )
    def report(self, pick: int, points: list[Any], attempt: str, is_wrong: bool) -> None:
        number = self.pair.find(pick)
        given = [*points, (-1, 0.0)] if is_wrong else points
        self.report_points(number, given, attempt=self.pair.find_attempt(number, attempt))

    @_step(weight=2, pick=TRIALS, attempt=ATTEMPTS)
    def heartbeat(self, pick: int, attempt: str) -> None:
        number = self.pair.find(pick)
        speaker = self.pair.find_attempt(number, attempt)
        decision = self.pair.do(
            "heartbeat",
            lambda actor: heartbeat(actor, number, attempt=speaker),
            lambda model: model.heartbeat(number, speaker),
        )
        self._check_decision(number, decision)

    @_step(pick=TRIALS, attempt=ATTEMPTS)
    def decide(self, pick: int, attempt: str) -> None:
        number = self.pair.find(pick)
        speaker = self.pair.find_attempt(number, attempt)
        decision = self.pair.do(
            "decide",
            lambda actor: decide(actor, number, attempt=speaker),
            lambda model: model.decide(number, speaker),
        )
        self._check_decision(number, decision)

    @_step(pick=TRIALS, attempt=ATTEMPTS, outcome=COMPLETE | PRUNED | NONSENSE)
    def tell(self, pick: int, attempt: str, outcome: Outcome) -> None:
        number = self.pair.find(pick)
        self.tell_trial(number, replace(outcome, attempt=self.pair.find_attempt(number, attempt)))

    @_step(weight=2, pick=TRIALS, attempt=ATTEMPTS, outcome=FAILED)
    def tell_failure(self, pick: int, attempt: str, outcome: Outcome) -> None:
        number = self.pair.find(pick)
        self.tell_trial(number, replace(outcome, attempt=self.pair.find_attempt(number, attempt)))

    @_step(told=st.lists(st.tuples(TRIALS, OUTCOMES), min_size=2, max_size=3))
    def tell_many(self, told: list[tuple[int, Outcome]]) -> None:
        self.tell_trials([(self.pair.find(pick), outcome) for pick, outcome in told])

    @_step(n=st.integers(1, 9))
    def enqueue(self, n: int) -> None:
        self.pair.do(
            "enqueue",
            lambda actor: enqueue(actor, [EnqueuedTrial({"n": n})]),
            lambda model: model.enqueue({"n": n}),
            list,
        )

    @_step(outcome=OUTCOMES, reported=st.lists(VALUES, max_size=2))
    def import_trial(self, outcome: Outcome, reported: list[float]) -> None:
        imported = ImportedTrial(
            outcome.state,
            _IMPORTED_PARAMS,
            None if self.pair.model.declared else SPACE,
            values=outcome.values,
            intermediate_values=dict(enumerate(reported)),
            constraints=outcome.constraints,
            reason=outcome.reason,
        )
        self.pair.do(
            "import",
            lambda actor: import_trials(actor, [imported]),
            lambda model: model.import_trial(outcome, dict(enumerate(reported)), set(SPACE)),
            list,
        )

    @_step(weight=2, command=COMMANDS)
    def command(self, command: str) -> None:
        act = {"pause": pause, "resume": resume, "stop": stop}[command]
        self.pair.do(command, act, lambda model: getattr(model, command)())

    @_step(weight=2, patch=PATCHES)
    def configure(self, patch: tuple[str | None, str, Any]) -> None:
        part, name, value = patch
        document = {name: value} if part is None else {part: {name: value}}
        self.pair.do(
            "configure",
            lambda actor: configure(actor, document, {}),
            lambda model: model.configure(part, name, value),
        )

    @_step(weight=2, seconds=st.sampled_from([0.0, 4.0, 6.0, 8.0, 16.0]))
    def let_time_pass(self, seconds: float) -> None:
        self._wait(seconds)

    @_step(weight=2, seconds=st.sampled_from([31.0, 31.0, 61.0, 400.0, _LONGEST_SECONDS]))
    def let_leases_run_out(self, seconds: float) -> None:
        self._wait(seconds)

    @_step(fault=st.sampled_from([None, *Fault]), turns=st.integers(1, 6))
    def prepare_fault(self, fault: Fault | None, turns: int) -> None:
        """Lets something go wrong with whatever is done next; or restarts the engine now."""
        self._expire_overdue()
        self.pair.prepare(fault, turns=turns)
        if fault is None:
            self.pair.restart()

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        name, drawn = data.draw(self.chance.choice(_steps))
        self.taken["step"] += 1
        getattr(self, name)(**drawn)

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        try:
            if self.pair.is_sound:
                self._create_again()
                self._end_everything()
        finally:
            self.pair.close()

    def ask_trials(self, command: Ask) -> None:
        # An ask does so by itself, also when it is then refused.
        if not self.pair.has_fault:
            self._expire_overdue()
        self.pair.do(
            "ask",
            lambda actor: ask(actor, command),
            lambda model: model.ask(
                command.count,
                command.params or {},
                command.lease_seconds,
                key=command.idempotency_key,
            ),
            lambda asked: [(one.number, one.attempt, one.lease_expires_at) for one in asked],
        )

    def report_points(
        self, number: int, points: list[tuple[int, float]], *, attempt: int | None = None
    ) -> None:
        decision = self.pair.do(
            "report",
            lambda actor: report(actor, number, points, attempt=attempt),
            lambda model: model.report(number, points, attempt),
        )
        self._check_decision(number, decision)

    def tell_trials(self, outcomes: list[tuple[int, Outcome]]) -> None:
        self.pair.do(
            "tell many",
            lambda actor: tell_many(actor, outcomes),
            lambda model: model.tell(outcomes),
        )

    def tell_trial(self, number: int, outcome: Outcome) -> None:
        view = self.pair.do(
            "tell",
            lambda actor: tell(actor, number, outcome),
            lambda model: model.tell([(number, outcome)]),
        )
        assert view is None or view == self.pair.seen.trials[number]

    def _check_decision(self, number: int, decision: Decision | None) -> None:
        if decision is None:
            return
        trial = self.pair.model.trials[number]
        assert (decision.should_prune, decision.step) == (trial.should_prune, trial.judged_at)
        # Without room to go on, an attempt that was given up is not promised any time.
        if trial.phase in (AttemptPhase.LIVE, AttemptPhase.ENDED):
            assert decision.lease_expires_at == trial.expires_at

    def _wait(self, seconds: float) -> None:
        self.pair.model.now += timedelta(seconds=seconds)
        self._expire_overdue()

    def _expire_overdue(self) -> None:
        self._expire()
        for _ in range(_ROUNDS):
            if self.pair.model.due_at is None or self.pair.model.due_at > self.pair.model.now:
                return
            self._expire()
        raise AssertionError("Something stays overdue.")

    def _expire(self) -> None:
        self.pair.do("expire", expire, PlainStudy.expire)

    def _create_again(self) -> None:
        server, again = self.pair.server, replace(self.new, settings=None)
        with pytest.raises(StudyExists):
            server.run(create_study(server.engine, again))
        again = replace(again, if_exists=IfExists.LOAD)
        assert not server.run(create_study(server.engine, again)).created
        assert server.look() == self.pair.seen

    def _end_everything(self) -> None:
        """Whatever came before: once the study is stopped, nothing runs for ever."""
        self.pair.prepare(None)
        if self.pair.model.stop_reason is None:
            self.pair.do("stop", stop, PlainStudy.stop)
        for number, trial in enumerate(self.pair.model.trials):
            if trial.phase is AttemptPhase.LIVE and trial.lease_seconds is None:
                self.tell_trial(number, Outcome(TrialState.COMPLETE, (1.0,)))
        for _ in range(3):
            self._wait(_LONGEST_SECONDS)
        assert self.pair.seen.study.summary.state is StudyState.FINISHED
        assert self.pair.seen.study.summary.counts.running == 0


@pytest.fixture
def _quiet_optuna() -> Iterator[None]:
    """Optuna tells of every trial; thousands of lines would hide a failure."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(verbosity)


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("_quiet_optuna")
def test_whatever_happens_the_study_is_where_its_model_is(database: Database) -> None:
    taken: Counter[str] = Counter()
    life = partial(StudyLife, database, taken)
    run_state_machine_as_test(life, settings=_repeatable)
    assert taken["step"] >= 5000
    # A machine whose steps are all refused would agree with any model.
    assert not [step for step in _STEP_NAMES if taken[f"{step}: done"] < 10], taken
    # Which fault comes about depends on how quick the machine is.
    assert not [fault for fault in Fault if taken[fault.value] < 5], taken
