"""Add: trials that nobody asked for, waiting or finished, all of them or none."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from service.engine.actor import Actor
from service.engine.draft import Draft
from service.engine.replies import KeyedRequest, keyed_request

Adder = Callable[[Draft, int], int]
"""Adds one trial to a draft, at a position of the recorded order; returns its number."""


async def add_trials(
    actor: Actor,
    adders: Sequence[Adder],
    *,
    operation: str,
    idempotency_key: str | None,
    body: Any,
    check: Callable[[Actor], None] = lambda _: None,
) -> tuple[int, ...]:
    """Runs the adders in turn and returns the numbers of their trials, committed.

    Args:
        body: JSON-like; what makes two requests with one key the same.
        check: Refuses, once nobody else changes what trials there will be.
    """
    if idempotency_key is None:
        return tuple(await _store(actor, adders, None, check))
    request = keyed_request(operation, idempotency_key, body, now=actor.clock())
    produce = partial(_store, actor, adders, request, check)
    return tuple(await actor.replies.once(request, produce))


async def _store(
    actor: Actor,
    adders: Sequence[Adder],
    request: KeyedRequest | None,
    check: Callable[[Actor], None],
) -> list[int]:
    async with actor.drawing:
        check(actor)
        await actor.reserve_trials(len(adders))
        seqs = actor.draw_seqs(len(adders))
        draft = actor.begin()
        numbers = [add(draft, seq) for add, seq in zip(adders, seqs, strict=True)]
        if request is not None:
            draft.replies.append(request.reply(numbers))
        committed = actor.accept(draft)
    await committed
    return numbers
