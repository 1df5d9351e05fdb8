"""Trials as answers, whole or some of their fields, written where it holds nobody up."""

import asyncio
from collections.abc import Callable, Container, Iterable
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import ConfigDict

from service.api.answers import Answer, JsonAnswer, TrialAnswer, to_trial
from service.domain.trials import TrialView

TrialField = Literal[
    "number",
    "state",
    "params",
    "values",
    "intermediate_values",
    "user_attrs",
    "constraints",
    "attempt",
    "phase",
    "should_prune",
    "lease_expires_at",
    "reason",
    "started_at",
    "finished_at",
    "ask_seq",
    "tell_seq",
]
TrialFields = Annotated[
    frozenset[TrialField],
    Query(description="Repeat it for several; left out, trials are shown whole"),
]

WHOLE = frozenset(TrialAnswer.model_fields)

_QUICKLY_WRITTEN_ITEMS = 2000
_ITEMS_OF_EACH = 20


class TrialPartAnswer(TrialAnswer):
    """A trial as of the last commit; with `fields`, no more than these and the number."""

    model_config = ConfigDict(json_schema_extra={"required": ["number"]})


class TrialPartsAnswer(Answer):
    trials: list[TrialPartAnswer]


def to_trial_part(trial: TrialView, fields: Container[str]) -> dict[str, Any]:
    """The number of a trial and those of its fields."""
    document = to_trial(trial)
    return {name: document[name] for name in document if name == "number" or name in fields}


async def answer_trial(trial: TrialView, fields: Container[str] = WHOLE) -> Response:
    """200 with a trial."""
    return await write_trials([trial], lambda: JsonAnswer(to_trial_part(trial, fields)))


async def write_trials(trials: Iterable[TrialView], write: Callable[[], Response]) -> Response:
    """What `write` makes of these trials; beside the event loop if there is much of them."""
    if sum(map(_count_items, trials)) < _QUICKLY_WRITTEN_ITEMS:
        return write()
    return await asyncio.to_thread(write)


def _count_items(trial: TrialView) -> int:
    return (
        _ITEMS_OF_EACH + len(trial.intermediate_values) + len(trial.params) + len(trial.user_attrs)
    )
