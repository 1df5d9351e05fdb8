"""A study and its model: the same is done to both, and both must agree."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.domain.errors import AsktellError, DatabaseUnavailable
from service.domain.trials import TrialState
from service.engine.actor import Actor
from service.engine.create import NewStudy, create_study
from service.storage.database import Database
from tests.integration.study_life_checks import (
    check_leases,
    check_limits,
    check_params,
    find_differences,
)
from tests.integration.study_life_model import PlainStudy
from tests.integration.study_life_server import Fault, StudyServer


class StudyPair:
    """Created by its making, served until it is closed.

    Args:
        taken: Counts what was done and how it ended.

    Attributes:
        model: What the study is expected to be; its time is the engine's.
        seen: What was stored when somebody looked last.
        is_sound: No step has failed.
    """

    def __init__(
        self, database: Database, new: NewStudy, model: PlainStudy, taken: Counter[str]
    ) -> None:
        self.model = model
        self.is_sound = True
        self._taken = taken
        self._fault: Fault | None = None
        self._turns = 0
        self.server = StudyServer(database, new.name, clock=lambda: self.model.now)
        self.server.run(create_study(self.server.engine, new))
        self.seen = self.server.look()

    @property
    def has_fault(self) -> bool:
        """Whether something will go wrong with what is done next."""
        return self._fault is not None

    def close(self) -> None:
        self.server.close()

    def prepare(self, fault: Fault | None, *, turns: int = 0) -> None:
        """Lets something go wrong with what is done next.

        Args:
            turns: Of the event loop, before a client goes or the server dies.
        """
        self._fault, self._turns = fault, turns

    def restart(self) -> None:
        self.server.restart()
        self.model.restart()
        self._look(self.model)
        self._taken["restart"] += 1

    def find(self, pick: int) -> int:
        """Whom a number means: a running trial, now and then another one or none at all."""
        states = [trial.state for trial in self.model.trials]
        running = [n for n, state in enumerate(states) if state is TrialState.RUNNING]
        others = [n for n, state in enumerate(states) if state is not TrialState.RUNNING]
        missing = [len(states)]
        # Hypothesis likes 0 too much for it to mean what is seldom wanted.
        chosen = {7: missing, 4: others, 11: others}.get(pick, running) or others or missing
        return chosen[pick % len(chosen)]

    def find_attempt(self, number: int, attempt: str) -> int | None:
        latest = self.model.trials[number].attempt if number < len(self.model.trials) else 1
        match attempt:
            case "whoever":
                return None
            case "earlier":
                return max(1, latest - 1)
            case "later":
                return latest + 1
        return latest

    def do(
        self,
        step: str,
        act: Callable[[Actor], Awaitable[Any]],
        expect: Callable[[PlainStudy], Any],
        read: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """Does the same to the study and to its model; returns the answer if there is one."""
        self.is_sound = False
        after, expected, refusal = self.model.fork(), None, None
        try:
            expected = expect(after)
        except AsktellError as error:
            after, refusal = self.model, type(error)
        fault, self._fault = self._fault, None
        if fault is None:
            answer = self._get_answer(act, refusal)
            if expected is not None:
                assert read(answer) == expected
            self._look(after, is_same=refusal is not None)
        else:
            answer = None
            self._look(*self._do_amid(fault, act, after, refusal))
        self._taken[f"{step}: {refusal.code if refusal else 'done'}"] += 1
        self.is_sound = True
        return answer

    def _get_answer(
        self, act: Callable[[Actor], Awaitable[Any]], refusal: type[AsktellError] | None
    ) -> Any:
        if refusal is None:
            return self.server.call(act)
        with pytest.raises(refusal) as refused:
            self.server.call(act)
        assert type(refused.value) is refusal
        return None

    def _do_amid(
        self,
        fault: Fault,
        act: Callable[[Actor], Awaitable[Any]],
        after: PlainStudy,
        refusal: type[AsktellError] | None,
    ) -> list[PlainStudy]:
        """Returns what may have become of the study, what is most likely first."""
        outcome = self.server.call_amid(fault, act, turns=self._turns)
        self._taken[fault.value] += 1
        before = self.model.fork()
        if fault is Fault.CLIENT_GONE:
            return [after, before]
        if fault is not Fault.SERVER_DEAD and not isinstance(outcome, DatabaseUnavailable):
            # Nothing had to be written, so nothing was cut off.
            assert type(outcome) is refusal if refusal else not isinstance(outcome, Exception)
            return [after]
        before.restart()
        after.restart()
        if fault is Fault.SERVER_DEAD:
            return [after, before]
        return [before if fault is Fault.CUT_BEFORE_COMMIT else after]

    def _look(self, *candidates: PlainStudy, is_same: bool = False) -> None:
        """Checks that what is stored is one of the candidates, which is the model from now on."""
        earlier, self.seen = self.seen, self.server.look()
        self.model = next(
            (model for model in candidates if not find_differences(self.seen, model)),
            candidates[0],
        )
        differences = find_differences(self.seen, self.model)
        assert not differences, differences
        if is_same:
            assert self.seen == earlier
        check_params(earlier, self.seen, self.model)
        check_leases(self.seen, self.model)
        check_limits(earlier, self.seen)
