"""Refusals of what is about trials."""

from collections.abc import Iterator

from tests.api.refusals import (
    INT,
    KEY,
    LONG,
    NUL,
    PARAMS,
    Refusal,
    X,
    imported,
    list_bad_params,
    list_bad_spaces,
    refuse,
)


def list_trial_refusals() -> Iterator[Refusal]:
    """Of everything in a trial's life, and of bringing in others."""
    yield from _list_asks()
    yield from _list_suggestions()
    yield from _list_reports()
    yield from _list_tells()
    yield from _list_batches()
    yield from _list_queued()
    yield from _list_imports()
    yield from _list_attempts()


def _list_asks() -> Iterator[Refusal]:
    call = "POST /studies/open/ask"
    for body, hint in (
        ({"count": 0}, "count"),
        ({"count": 1001}, "count"),
        ({"count": True}, "count"),
        ({"cuont": 2}, '"count"'),
        ({"lease_seconds": 0.5}, "lease_seconds"),
        ({"lease_seconds": "study"}, "lease_seconds"),
        ({"wait_seconds": 61}, "wait_seconds"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"client_id": LONG}, "client_id"),
        ({"client_id": NUL}, "NUL"),
    ):
        yield refuse(call, body, hint)
    for params in (*list_bad_params(), {"layers": 2**70}):
        yield Refusal(call, {"params": params}, 422, "invalid-params")
    yield Refusal(call, {"distributions": {"x": X}}, 422, "invalid-space")
    for space in list_bad_spaces():
        yield Refusal("POST /studies/free/ask", {"distributions": space}, 422, "invalid-space")
    for params in ({"x": {"y": [1]}}, {"": 1}, {LONG: 1}):
        yield Refusal("POST /studies/free/ask", {"params": params}, 422, "invalid-params")
    yield Refusal("POST /studies/paused/ask", {}, 409, "study-paused")
    yield Refusal("POST /studies/paused/ask", {"wait_seconds": 0.01}, 409, "study-paused")
    for name in ("stopped", "spent", "exhausted"):
        yield Refusal(f"POST /studies/{name}/ask", {}, 409, "study-finished")
    for body in ({}, {"count": 5}, {"wait_seconds": 0.01}):
        yield Refusal("POST /studies/full/ask", body, 429, "parallelism-reached")
    for name in ("gone", "plain", "nobody", "a%00b", LONG):
        yield Refusal(f"POST /studies/{name}/ask", {}, 404, "study-not-found")
    yield Refusal("POST /studies/keyed/ask", {"count": 2}, 422, "idempotency-key-reused", KEY)


def _list_suggestions() -> Iterator[Refusal]:
    call = "POST /studies/free/trials/0/suggest"
    for space in list_bad_spaces():
        yield Refusal(call, {"new": X} | space, 422, "invalid-space")
    for other in (INT, X | {"low": -1.0}, X | {"high": 2.0}):
        yield Refusal(call, {"new": X, "x": other}, 422, "invalid-params", hint="x")
    yield refuse(call, {NUL: X}, "NUL")
    yield refuse(call, [X])
    for number, status, code in (
        (0, 409, "trial-not-running"),
        (2, 409, "trial-not-running"),
        (9, 404, "trial-not-found"),
        (2**31, 422, "invalid-request"),
        ("one", 422, "invalid-request"),
        (-1, 422, "invalid-request"),
    ):
        yield Refusal(f"POST /studies/open/trials/{number}/suggest", {"y": X}, status, code)


def _list_reports() -> Iterator[Refusal]:
    call = "POST /studies/open/trials/1/report"
    for change in (
        {"step": -1},
        {"step": 2**31},
        {"step": 1.5},
        {"step": True},
        {"step": None},
        {"value": None},
        {"value": "nan"},
        {"value": "0.5"},
        {"points": [{"step": 1, "value": 1}]},
        {"vlaue": 1},
        {"attempt": 0},
        {"attempt": 2},
    ):
        yield refuse(call, {"step": 1, "value": 0.5} | change)
    for points in (
        [],
        [{"step": 1}],
        [{"step": 1, "value": 0.5}, {"step": 2**31, "value": 0.5}],
        [{"step": 1, "value": 0.5}, {"step": 2, "value": "much"}],
    ):
        yield refuse(call, {"points": points})
    point = {"step": 1, "value": 0.5}
    yield Refusal("POST /studies/two/trials/0/report", point, 422, "invalid-report")
    for number in (0, 2):
        ended = f"POST /studies/open/trials/{number}/report"
        yield Refusal(ended, point, 409, "trial-not-running")
    yield Refusal("POST /studies/open/trials/0/heartbeat", {}, 409, "trial-not-running")
    yield Refusal("POST /studies/open/trials/2/heartbeat", {}, 409, "trial-not-running")
    for route, body in (("report", point), ("prune", {}), ("heartbeat", {})):
        yield Refusal(f"POST /studies/open/trials/9/{route}", body, 404, "trial-not-found")
        yield refuse(f"POST /studies/open/trials/1/{route}", body | {"colour": "red"}, "colour")


def _list_tells() -> Iterator[Refusal]:
    running, ended = "POST /studies/open/trials/1/tell", "POST /studies/open/trials/0/tell"
    for change in (
        {"state": "RUNNING"},
        {"state": None},
        {"values": "many"},
        {"values": [0.5, None]},
        {"valeus": 0.5},
        {"cause": "failed"},
        {"state": "FAIL", "values": None, "cause": "lost"},
        {"constraints": {"memory": "NaN"}},
        {"constraints": {"": 1}},
        {"constraints": 1},
        {"reason": "r" * 10_001},
        {"reason": NUL},
        {"user_attrs": {LONG: 1}},
        {"user_attrs": {"a": [NUL]}},
        {"attempt": 0},
        {"attempt": 2},
    ):
        yield refuse(running, {"state": "COMPLETE", "values": 0.5} | change)
    for change in (
        {"values": None},
        {"values": [0.5, 0.5]},
        {"values": []},
        {"values": "NaN"},
        {"state": "FAIL"},
        {"state": "PRUNED"},
        {"constraints": {"time": 1}},
        {"constraints": {"memory": 1, "time": 1}},
        {"constraints": [1]},
    ):
        body = {"state": "COMPLETE", "values": 0.5, "user_attrs": {"a": 1}} | change
        yield Refusal(running, body, 422, "invalid-values")
    for change in (
        {"values": 0.25},
        {"state": "PRUNED", "values": None},
        {"state": "FAIL", "values": None},
        {"user_attrs": {"gpu": 2}},
        {"user_attrs": {"cpu": 1}},
        {"reason": "because"},
        {"constraints": {"memory": 1}},
    ):
        body = {"state": "COMPLETE", "values": 0.5} | change
        yield Refusal(ended, body, 409, "already-told")
    done = {"state": "COMPLETE", "values": 0.5}
    yield Refusal("POST /studies/open/trials/2/tell", done, 409, "trial-not-running")
    yield Refusal("POST /studies/open/trials/9/tell", done, 404, "trial-not-found")
    yield Refusal("POST /studies/two/trials/0/tell", done, 422, "invalid-values")


def _list_batches() -> Iterator[Refusal]:
    good = {"number": 1, "state": "COMPLETE", "values": 0.5}
    for bad, status, code in (
        ({"number": 0, "state": "FAIL"}, 409, "already-told"),
        ({"number": 1, "state": "FAIL"}, 409, "already-told"),
        ({"number": 2, "state": "FAIL"}, 409, "trial-not-running"),
        ({"number": 9, "state": "FAIL"}, 404, "trial-not-found"),
        ({"number": 0, "state": "COMPLETE"}, 422, "invalid-values"),
        ({"number": 0}, 422, "invalid-request"),
        ({"number": -1, "state": "FAIL"}, 422, "invalid-request"),
        ({"state": "FAIL"}, 422, "invalid-request"),
    ):
        yield Refusal("POST /studies/open/tell", {"tells": [good, bad]}, status, code)
    named = [
        {"number": number, "state": "COMPLETE", "values": 0.5, "constraints": {name: 1}}
        for number, name in enumerate(("memory", "time"))
    ]
    yield Refusal("POST /studies/free/tell", {"tells": named}, 422, "invalid-values")
    older = [good, {"number": 0, "state": "FAIL", "attempt": 1}]
    yield Refusal("POST /studies/lost/tell", {"tells": older}, 409, "lease-lost")
    yield refuse("POST /studies/open/tell", {"tells": []})
    yield refuse("POST /studies/open/tell", {"tels": [good]}, '"tells"')


def _list_queued() -> Iterator[Refusal]:
    call, good = "POST /studies/open/enqueue", {"params": {"layers": 1}}
    for params in list_bad_params():
        yield Refusal(call, {"params": params}, 422, "invalid-params")
        yield Refusal(call, {"trials": [good, {"params": params}]}, 422, "invalid-params")
    for body in (
        {},
        {"trials": []},
        good | {"trials": [good]},
        {"user_attrs": {"a": 1}},
        good | {"user_attrs": {LONG: 1}},
        {"trials": [good, good | {"colour": "red"}]},
        {"params": {"optimizer": NUL}},
    ):
        yield refuse(call, body)
    for params in ({"x": [1]}, {"": 1}, {LONG: 1}):
        yield Refusal("POST /studies/free/enqueue", {"params": params}, 422, "invalid-params")
    for name in ("stopped", "spent"):
        body = {"params": {"x": 1}}
        yield Refusal(f"POST /studies/{name}/enqueue", body, 409, "study-finished")
    other = {"params": {"layers": 2}}
    yield Refusal("POST /studies/keyed/enqueue", other, 422, "idempotency-key-reused", KEY)


def _list_imports() -> Iterator[Refusal]:
    call = "POST /studies/open/trials"
    times = {"started_at": "2026-01-02T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z"}
    for change, code in (
        ({"params": {"lr": 0.001, "layers": 2}}, "invalid-params"),
        ({"params": PARAMS | {"extra": 1}}, "invalid-params"),
        *(({"params": PARAMS | params}, "invalid-params") for params in list_bad_params()),
        ({"distributions": {"lr": X}}, "invalid-request"),
        ({"values": None}, "invalid-values"),
        ({"values": [0.5, 0.5]}, "invalid-values"),
        ({"values": "NaN"}, "invalid-values"),
        ({"state": "FAIL"}, "invalid-values"),
        ({"state": "PRUNED"}, "invalid-values"),
        ({"state": "RUNNING"}, "invalid-request"),
        ({"constraints": {"time": 1}}, "invalid-values"),
        ({"constraints": {"memory": "NaN"}}, "invalid-request"),
        ({"intermediate_values": [{"step": 2**31, "value": 1}]}, "invalid-request"),
        ({"intermediate_values": [{"step": 1, "value": 1}] * 2}, "invalid-request"),
        ({"started_at": "2026-01-01T00:00:00"}, "invalid-request"),
        ({"started_at": "yesterday"}, "invalid-request"),
        (times, "invalid-request"),
        ({"reason": NUL}, "invalid-request"),
        ({"user_attrs": {"": 1}}, "invalid-request"),
        ({"vaules": 1}, "invalid-request"),
    ):
        yield Refusal(call, {"trials": [imported(), imported(**change)]}, 422, code)
    yield refuse(call, {"trials": []})
    yield refuse(call, imported())
    for change, code in (
        ({"params": {"y": 1}}, "invalid-params"),
        ({"params": {}, "distributions": {"y": X}}, "invalid-params"),
        ({"params": {"y": 2}, "distributions": {"y": X}}, "invalid-params"),
        ({"params": {"x": 1}, "distributions": {"x": INT}}, "invalid-params"),
        ({"params": {"y": 1}, "distributions": {"y": {"type": "real"}}}, "invalid-space"),
    ):
        body = {"trials": [imported(params={}), imported(**change)]}
        yield Refusal("POST /studies/free/trials", body, 422, code)
    reported = imported(params={}, values=[1, 2], intermediate_values=[{"step": 1, "value": 1}])
    yield Refusal("POST /studies/two/trials", {"trials": [reported]}, 422, "invalid-report")
    other = {"trials": [imported(values=0.25)]}
    yield Refusal("POST /studies/keyed/trials", other, 422, "idempotency-key-reused", KEY)


def _list_attempts() -> Iterator[Refusal]:
    for route, body in (
        ("report", {"step": 1, "value": 0.5}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", {"state": "COMPLETE", "values": 0.5}),
    ):
        call = f"POST /studies/lost/trials/0/{route}"
        yield Refusal(call, body | {"attempt": 1}, 409, "lease-lost")
        for attempt in (0, -1, 3, 2**31, True, "2", 1.5):
            yield refuse(call, body | {"attempt": attempt}, "attempt")
