"""Training jobs as they are in the world: they die, stall, repeat, answer late and lie.

Each client takes trials until the study has finished, and lives each of them in a way drawn from
its own seed. All that it sends, and what it is answered, goes into one journal.
"""

import asyncio
import itertools
import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.acceptance.calls import DOCUMENTED, Call
from tests.acceptance.json_http import JsonHttp

STUDY = "bad-clients"
STEPS = 3
_REFUSED = frozenset({409, 422})
_NO_LEASE_LEFT = (1.1, 2.5)
_LOOK_AGAIN_SECONDS = 0.2

_Trial = Mapping[str, Any]


class BadClients:
    """Clients of one study.

    Args:
        http: Sends the token.
        lease_seconds: The study's.
    """

    def __init__(self, http: JsonHttp, *, lease_seconds: float) -> None:
        self.journal: list[Call] = []
        self._http = http
        self._lease_seconds = lease_seconds
        self._keys = (f"key-{number}" for number in itertools.count())

    async def run(self, count: int) -> None:
        """Lets `count` clients work until the study has finished."""
        async with asyncio.TaskGroup() as clients:
            for seed in range(count):
                clients.create_task(self._work(random.Random(seed)))

    async def _work(self, rng: random.Random) -> None:
        lives = {
            self._be_honest: 30,
            self._die: 15,
            self._stall: 15,
            self._repeat_everything: 15,
            self._lie: 15,
            self._be_preempted: 10,
        }
        while not await self._has_finished():
            if rng.random() < 0.05:
                await self._ask_and_hang_up()
            (live,) = rng.choices(list(lives), list(lives.values()))
            times = 3 if live == self._repeat_everything else 1
            for trial in await self._ask(rng, times=times):
                is_unlucky = trial["attempt"] > 1 and rng.random() < 0.5
                await (self._stall if is_unlucky else live)(trial, rng)

    # How a trial is lived

    async def _be_honest(self, trial: _Trial, rng: random.Random, *, times: int = 1) -> None:
        for step in range(STEPS):
            decision = await self._report(trial, step, rng.random(), times=times)
            if not decision.is_accepted:
                return
            if decision.answer["should_prune"]:
                await self._tell(trial, {"state": "PRUNED"}, times=times)
                return
        await self._call("heartbeat", trial, times=times)
        await self._tell(trial, _complete(rng), times=times)

    async def _repeat_everything(self, trial: _Trial, rng: random.Random) -> None:
        await self._be_honest(trial, rng, times=3)

    async def _die(self, trial: _Trial, rng: random.Random) -> None:
        for step in range(rng.randrange(STEPS)):
            await self._report(trial, step, rng.random())

    async def _stall(self, trial: _Trial, rng: random.Random) -> None:
        """Works on without a word for longer than its lease, and then takes its time as well."""
        await self._report(trial, 0, rng.random())
        await asyncio.sleep(self._lease_seconds * rng.uniform(*_NO_LEASE_LEFT))
        for verb in rng.sample(["report", "heartbeat", "prune"], rng.randrange(4)):
            late = {"step": 1, "value": rng.random()} if verb == "report" else {}
            await self._call(verb, trial, late)
            await asyncio.sleep(self._lease_seconds * rng.uniform(0.1, 0.4))
        await self._tell(trial, rng.choice([_complete(rng), _fail("late", rng)]))

    async def _be_preempted(self, trial: _Trial, rng: random.Random) -> None:
        await self._report(trial, 0, rng.random())
        await self._tell(trial, _fail("preempted", rng) | {"cause": "preempted"})

    async def _lie(self, trial: _Trial, rng: random.Random) -> None:
        lies = (self._talk_nonsense, self._pretend, self._speak_for_others)
        for lie in rng.sample(lies, len(lies)):
            await lie(trial, rng)
        ended = await self._tell(trial, _complete(rng))
        # What was refused for a newer attempt is welcome once that one is lost.
        again = {409} if ended.is_accepted else DOCUMENTED
        await self._tell(trial, _complete(rng), expected=again)
        if ended.is_accepted:
            await self._report(trial, STEPS, rng.random(), expected={409})
            await self._call("heartbeat", trial, expected={409})

    # Lies

    async def _talk_nonsense(self, trial: _Trial, rng: random.Random) -> None:
        complete = {"state": "COMPLETE"}
        for body in (
            {**complete, "values": "NaN"},
            {**complete, "values": [rng.random(), rng.random()]},
            {**complete, "values": []},
            {**complete, "values": rng.random(), "valeus": 1},
            {**complete, "values": rng.random(), "cause": "preempted"},
        ):
            await self._tell(trial, body, expected={422})
        await self._report(trial, 2**31, rng.random(), expected={422})
        await self._report(trial, 0, "NaN")

    async def _pretend(self, trial: _Trial, rng: random.Random) -> None:
        """Says that it is an attempt that never was, or one that is over."""
        for attempt in (0, trial["attempt"] + 100):
            false = {**trial, "attempt": attempt}
            await self._report(false, 1, rng.random(), expected=_REFUSED)
            await self._tell(false, _complete(rng), expected=_REFUSED)
        if trial["attempt"] > 1:
            earlier = {**trial, "attempt": trial["attempt"] - 1}
            await self._call("heartbeat", earlier, expected={409})
            await self._report(earlier, 1, rng.random(), expected={409})

    async def _speak_for_others(self, trial: _Trial, rng: random.Random) -> None:
        """Reports, and at times ends, whatever trial it can think of, in nobody's name."""
        other = {"number": rng.randrange(trial["number"] + 1), "attempt": None}
        await self._report(other, 1, rng.random())
        if rng.random() < 0.3:
            await self._tell(other, _complete(rng))
        unknown = {"number": 10**6 + rng.randrange(10**6), "attempt": 1}
        await self._report(unknown, 0, rng.random(), expected={404})
        await self._tell(unknown, _complete(rng), expected={404})

    # Requests

    async def _has_finished(self) -> bool:
        _, study = await self._http.send("GET", f"/studies/{STUDY}")
        return bool(study["state"] == "finished")

    async def _ask(self, rng: random.Random, *, times: int) -> list[_Trial]:
        body: dict[str, Any] = {"count": rng.choice([1, 1, 1, 3]), "wait_seconds": 1}
        if rng.random() < 0.1:
            # Fixed parameters are for new trials only: lost ones must wait.
            body["params"] = {"x": 0.5}
        asked = await self._send("ask", None, body, key=next(self._keys), times=times)
        if asked.code == "study-finished":
            # Trials that others lose may still come back.
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return list(asked.answer["trials"]) if asked.is_accepted else []

    async def _ask_and_hang_up(self) -> None:
        """Gets trials that nobody will ever hear of again."""
        await self._http.send_and_hang_up("POST", f"/studies/{STUDY}/ask", {"count": 2})

    async def _report(self, trial: _Trial, step: int, value: Any, **how: Any) -> Call:
        return await self._call("report", trial, {"step": step, "value": value}, **how)

    async def _tell(self, trial: _Trial, outcome: Mapping[str, Any], **how: Any) -> Call:
        return await self._call("tell", trial, outcome, **how)

    async def _call(
        self,
        verb: str,
        trial: _Trial,
        body: Mapping[str, Any] | None = None,
        *,
        times: int = 1,
        expected: set[int] | frozenset[int] = DOCUMENTED,
    ) -> Call:
        sent = {**(body or {}), "attempt": trial["attempt"]}
        return await self._send(verb, trial["number"], sent, times=times, expected=expected)

    async def _send(
        self,
        verb: str,
        number: int | None,
        body: Mapping[str, Any],
        *,
        times: int,
        key: str | None = None,
        expected: set[int] | frozenset[int] = DOCUMENTED,
    ) -> Call:
        """Sends the same `times` times at once, and returns what the first was answered."""
        send_once = [self._send_once(verb, number, body, key, expected) for _ in range(times)]
        first, *_ = await asyncio.gather(*send_once)
        return first

    async def _send_once(
        self,
        verb: str,
        number: int | None,
        body: Mapping[str, Any],
        key: str | None,
        expected: set[int] | frozenset[int],
    ) -> Call:
        of_trial = "" if number is None else f"/trials/{number}"
        headers = {} if key is None else {"Idempotency-Key": key}
        sent_at = datetime.now(UTC)
        path = f"/studies/{STUDY}{of_trial}/{verb}"
        status, answer = await self._http.send("POST", path, body, headers)
        call = Call(
            verb=verb,
            number=number,
            body=body,
            status=status,
            answer=answer,
            sent_at=sent_at,
            answered_at=datetime.now(UTC),
            key=key,
            expected=frozenset(expected),
        )
        self.journal.append(call)
        return call


def _complete(rng: random.Random) -> dict[str, Any]:
    return {"state": "COMPLETE", "values": rng.random()}


def _fail(reason: str, rng: random.Random) -> dict[str, Any]:
    # No two alike, so that none is taken for a repeat of another's.
    return {"state": "FAIL", "reason": f"{reason} {math.floor(rng.random() * 1e9)}"}
