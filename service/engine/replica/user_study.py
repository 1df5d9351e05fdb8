"""A replicated study whose sampler, pruner or terminator a user wrote; it runs in a sandbox."""

import base64
import io
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import numpy.random
import optuna
from optuna.distributions import distribution_to_json
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from service.domain.user_code import BEGUN_ATTR, PRUNER_STATE_ATTR, SAMPLER_STATE_ATTR
from service.engine.mirror import Mirror
from service.engine.replica.messages import (
    AfterTrial,
    BeforeTrial,
    Call,
    DrawJointly,
    DrawOne,
    HasEnough,
    Judge,
    Load,
)
from service.engine.replica.own_names import (
    show_attrs,
    show_mutation,
    show_trial,
    store_mutation,
)
from service.engine.replica.serving import Answer, ReplicatedStudy, describe_writes
from service.samplers import RELATIVE_ATTR
from service.samplers.seeding import derive_seed
from service.sandbox.inside.making import Made
from service.sandbox.inside.trial import to_plain
from service.storage.journal import Mutation

_MOST_STATE_BYTES = 64 * 1024


class UserStudy(ReplicatedStudy):
    """Lets the parts that a user wrote see the study as they would in plain Optuna.

    Each is one object that lives on from call to call, as there. What it keeps in itself is a
    pickle among the study's attributes, so it is always what the study has: after a crash, or when
    what it did was not accepted, it goes on from there. One that cannot be pickled lives and ends
    with this process.

    Args:
        make: Calls the user's functions.
        explain: Says how one of their calls failed.
    """

    def __init__(
        self,
        load: Load,
        make: Callable[[], Made],
        explain: Callable[[Exception], dict[str, Any]],
    ) -> None:
        shown = replace(load, system_attrs=show_attrs(load.system_attrs))
        super().__init__(shown, RandomSampler())
        self._call_functions = make
        self._explain = explain
        self._made: Made | None = None
        self._pruner: BasePruner = NopPruner()
        self._kept_sampler = _Kept(SAMPLER_STATE_ATTR, lambda: self._make().sampler)
        self._kept_pruner = _Kept(PRUNER_STATE_ATTR, lambda: self._make().pruner)

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        super().add([show_trial(trial) for trial in trials])

    def accept(self, mutations: Sequence[Mutation]) -> None:
        super().accept([show_mutation(mutation) for mutation in mutations])

    def go_on(self, mutations: Sequence[Mutation]) -> None:
        super().go_on([show_mutation(mutation) for mutation in mutations])

    def answer(self, call: Call) -> Answer:
        """As its base does; what a call that fails has done before is undone."""
        before = self.draft
        self.draft = before.fork()
        try:
            value = self._answer(call)
            writes = describe_writes([store_mutation(done) for done in self.draft.journal])
            before.replay(self.draft.journal)
        except Exception as error:
            return {"failed": self._explain(error), "writes": []}
        finally:
            self.draft = before
        return {"value": value, "writes": writes}

    def _answer(self, call: Call) -> Any:
        self._seed_globally(call)
        match call:
            case HasEnough():
                return self._do(call)
            case Judge():
                with self._kept_pruner.in_use(self.draft) as self._pruner:
                    return self._do(call)
        with self._kept_sampler.in_use(self.draft) as self._sampler:
            return to_plain(self._do(call))

    def _do(self, call: Call) -> Any:
        match call:
            case BeforeTrial(trial_id):
                return self._begin_once(self.draft.get_trial(trial_id))
            case DrawJointly(trial_id):
                return self._draw_once(self.draft.get_trial(trial_id))
            case AfterTrial(trial_id):
                return self._end(self.draft.get_trial(trial_id))
            case HasEnough():
                terminator = (self._made or self._make()).terminator
                return terminator is not None and _decide(terminator(self._open(None)))
            case Judge(trial_id):
                trial = self.draft.get_trial(trial_id)
                return _decide(self._pruner.prune(self._open(None), trial))
        return super()._do(call)

    def _seed_globally(self, call: Call) -> None:
        """For code that draws from the random states that all of a process share."""
        number, purpose = self._name_purpose(call)
        seed = derive_seed(self.spec.seed, number, purpose)
        random.seed(seed)
        numpy.random.seed(seed)

    def _name_purpose(self, call: Call) -> tuple[int, str]:
        """The trial's number, or that of the next one, and the same words as for other samplers."""
        match call:
            case BeforeTrial(trial_id):
                return self._number_of(trial_id), "before"
            case DrawJointly(trial_id):
                return self._number_of(trial_id), "relative"
            case DrawOne(trial_id, name, _):
                return self._number_of(trial_id), f"independent:{name}"
            case AfterTrial(trial_id):
                return self._number_of(trial_id), "after"
            case Judge(trial_id, step):
                return self._number_of(trial_id), f"prune:{step}"
        return self.draft.counts.total, type(call).__name__

    def _number_of(self, trial_id: int) -> int:
        return self.draft.get_trial_number_from_id(trial_id)

    def _make(self) -> Made:
        self._made = self._call_functions()
        return self._made

    def _begin_once(self, trial: FrozenTrial) -> None:
        """Optuna asks for it once a trial; here each request about a trial begins with it."""
        if not _overrides(self._sampler, "before_trial") or BEGUN_ATTR in trial.system_attrs:
            return
        self.draft.set_trial_system_attr(trial._trial_id, BEGUN_ATTR, True)
        self._sampler.before_trial(self._open(None), trial)

    def _draw_once(self, trial: FrozenTrial) -> dict[str, Any]:
        """Likewise; what was drawn is kept as other samplers' joint draws are."""
        stored = trial.system_attrs.get(RELATIVE_ATTR)
        if stored is None:
            study = self._open(None)
            space = self._sampler.infer_relative_search_space(study, trial)
            params = to_plain(self._sampler.sample_relative(study, trial, space))
            stored = {name: [distribution_to_json(space[name]), params[name]] for name in params}
            self.draft.set_trial_system_attr(trial._trial_id, RELATIVE_ATTR, stored)
        return {
            "space": {name: pair[0] for name, pair in stored.items()},
            "params": {name: pair[1] for name, pair in stored.items()},
        }

    def _end(self, trial: FrozenTrial) -> None:
        if _overrides(self._sampler, "after_trial"):
            running = copy(trial)
            running.state, running.values = TrialState.RUNNING, None
            running.datetime_complete = None
            self._sampler.after_trial(self._open(None), running, trial.state, trial.values)

    def _open(self, trial_id: int | None) -> optuna.Study:  # noqa: ARG002 - nothing is remembered
        return optuna.Study(self.spec.name, self.draft, sampler=self._sampler, pruner=self._pruner)


class _Kept:
    """An object that a user's code made, in the state that its study has of it."""

    def __init__(self, key: str, make: Callable[[], Any]) -> None:
        self._key = key
        self._make = make
        self._object: Any = None
        self._text: str | None = None

    @contextmanager
    def in_use(self, draft: Mirror) -> Iterator[Any]:
        """Gives the object, and writes down what it is like afterwards; after a failure nobody
        knows that, and it is forgotten."""
        try:
            yield self._take_up(draft)
            self._put_down(draft)
        except BaseException:
            self._object = None
            raise

    def _take_up(self, draft: Mirror) -> Any:
        text = draft.system_attrs.get(self._key)
        if self._object is None or text != self._text:
            self._object = self._make() if text is None else pickle.loads(base64.b64decode(text))  # noqa: S301 - by this same code
            self._text = text
        return self._object

    def _put_down(self, draft: Mirror) -> None:
        self._text = _write_state(self._object)
        if self._text != draft.system_attrs.get(self._key):
            draft.set_study_system_attr(draft.study_id, self._key, self._text)


class _Bounded(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _MOST_STATE_BYTES:
            raise OverflowError
        return super().write(data)


def _write_state(made: Any) -> str | None:
    """Returns an object as text; None if it cannot be kept."""
    stream = _Bounded()
    try:
        pickle.Pickler(stream, protocol=5).dump(made)
        # Some can be written and not read.
        pickle.loads(stream.getvalue())  # noqa: S301 - of this same process
    except Exception:
        # Whatever its class raises: then it lives in its process only.
        return None
    return base64.b64encode(stream.getvalue()).decode()


def _decide(said: Any) -> bool:
    if not isinstance(said, bool | numpy.bool_ | None):
        raise TypeError(f"the decision is a {type(said).__name__}, not True or False")
    return bool(said)


def _overrides(sampler: BaseSampler, hook: str) -> bool:
    return getattr(type(sampler), hook) is not getattr(BaseSampler, hook)
