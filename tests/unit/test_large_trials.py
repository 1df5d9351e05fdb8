"""What is made of many or long trials is made beside the event loop."""

import threading
from dataclasses import replace

import pytest
from fastapi import Response

from service.api.trial_fields import write_trials
from service.domain.trials import AttemptPhase, Decision, TrialState, TrialView
from service.storage.trial_rows import build_page

TRIAL = TrialView(
    number=0,
    state=TrialState.RUNNING,
    params={"x": 0.5},
    values=None,
    intermediate_values={0: 0.5},
    user_attrs={},
    constraints=None,
    attempt=1,
    phase=AttemptPhase.LIVE,
    decision=Decision(should_prune=False, step=None, lease_expires_at=None),
    reason=None,
    ask_seq=0,
    tell_seq=None,
    started_at=None,
    finished_at=None,
)
ROW = {"points": None, "params": b"[]", "user_attrs": None}
MANY = dict.fromkeys(range(5000), 0.5)
LONG_JSON = b"[%s]" % (b" " * 60_000)


@pytest.mark.parametrize(
    ("trials", "is_beside"),
    [
        ([TRIAL], False),
        ([TRIAL] * 25, False),
        ([TRIAL] * 1000, True),
        ([replace(TRIAL, intermediate_values=MANY)], True),
        ([replace(TRIAL, params={str(name): 0 for name in MANY})], True),
        ([replace(TRIAL, user_attrs={str(name): 0 for name in MANY})], True),
    ],
    ids=["one", "a page", "many", "reports", "params", "attributes"],
)
async def test_large_answers_are_written_beside_the_loop(
    trials: list[TrialView], is_beside: bool
) -> None:
    answer = await write_trials(trials, lambda: Response(str(threading.get_ident())))

    assert (answer.body != str(threading.get_ident()).encode()) == is_beside


@pytest.mark.parametrize(
    ("rows", "is_beside"),
    [
        ([ROW], False),
        ([ROW] * 25, False),
        ([ROW] * 1000, True),
        ([ROW | {"points": LONG_JSON}], True),
        ([ROW | {"params": LONG_JSON}], True),
        ([ROW | {"user_attrs": LONG_JSON}], True),
    ],
    ids=["one", "a page", "many", "reports", "params", "attributes"],
)
async def test_large_rows_are_read_beside_the_loop(
    rows: list[dict[str, bytes | None]], is_beside: bool
) -> None:
    (thread,) = await build_page(rows, lambda _rows: [threading.get_ident()])

    assert (thread != threading.get_ident()) == is_beside
