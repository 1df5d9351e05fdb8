"""Refusals of what is about a whole study."""

from collections.abc import Iterator
from typing import Any

from service.domain.limits import MAX_NAME_LENGTH
from tests.api.conftest import SPACE
from tests.api.refusals import KEY, LONG, NUL, Refusal, X, list_bad_spaces, refuse


def list_study_refusals() -> Iterator[Refusal]:
    """Of creating, changing, adopting, releasing and deleting them, and of other addresses."""
    yield from _list_creations()
    yield from _list_settings("POST /studies", {"name": "new", "direction": "minimize"})
    yield from _list_settings("PATCH /studies/open", {})
    yield from _list_settings("POST /studies/plain/adopt", {})
    yield from _list_changes()
    yield from _list_handovers()
    yield from _list_addresses()


def _list_creations() -> Iterator[Refusal]:
    call, base = "POST /studies", {"name": "new", "direction": "minimize"}
    for change, code, hint in (
        ({"name": ""}, "invalid-name", ""),
        ({"name": "a/b"}, "invalid-name", "/"),
        ({"name": NUL}, "invalid-name", "NUL"),
        ({"name": LONG}, "invalid-name", str(MAX_NAME_LENGTH)),
        ({"name": 7}, "invalid-request", "name"),
        ({"direction": "up"}, "invalid-request", "direction"),
        ({"direction": None}, "invalid-request", "objectives"),
        ({"objectives": []}, "invalid-request", "objectives"),
        ({"objectives": [{"name": "v", "direction": "minimize"}]}, "invalid-request", "either"),
        ({"direcion": "minimize"}, "invalid-request", '"direction"'),
        ({"seed": -1}, "invalid-request", "seed"),
        ({"seed": 2**32}, "invalid-request", "seed"),
        ({"seed": True}, "invalid-request", "seed"),
        ({"if_exists": "maybe"}, "invalid-request", "if_exists"),
        ({"user_attrs": {"": 1}}, "invalid-request", "names"),
        ({"user_attrs": {LONG: 1}}, "invalid-request", "names"),
        ({"user_attrs": {"a": NUL}}, "invalid-request", "NUL"),
        ({"sampler": {"type": "NoSampler"}}, "invalid-sampler", ""),
        ({"sampler": {"type": "TPESampler", "args": {"n_start": 1}}}, "invalid-sampler", ""),
        ({"sampler": {"type": "GridSampler"}}, "invalid-sampler", ""),
        ({"pruner": {"type": "NoPruner"}}, "invalid-pruner", ""),
        ({"python": {"source": "x = 1"}}, "python-disabled", "ASKTELL_USER_CODE"),
        ({"python": {"source": ""}}, "invalid-request", "python.source"),
        ({"python": {"source": "x = 1", "sampler": "a b"}}, "invalid-request", "python.sampler"),
        ({"python": "x = 1"}, "invalid-request", "python"),
        ({"pruner": {"type": "PercentilePruner"}}, "invalid-pruner", ""),
        ({"name": "open"}, "study-exists", "if_exists"),
        ({"name": "open", "seed": 8, "if_exists": "load"}, "study-exists", "different"),
        ({"name": "plain"}, "study-exists", "does not manage"),
        ({"name": "plain", "if_exists": "load"}, "study-exists", "does not manage"),
    ):
        yield Refusal(call, base | change, 409 if code == "study-exists" else 422, code, hint=hint)
    for space in list_bad_spaces():
        yield Refusal(call, base | {"space": space}, 422, "invalid-space")
    yield Refusal(call, base | {"space": {NUL: X}}, 422, "invalid-request")
    yield Refusal(call, {}, 422, "invalid-request")
    keyed = {"name": "keyed", "direction": "minimize", "space": SPACE, "seed": 8}
    yield Refusal(call, keyed, 422, "idempotency-key-reused", KEY)
    for key in ("", "a b", "k" * 256):
        yield Refusal(call, base, 422, "invalid-request", {"Idempotency-Key": key})


def _list_settings(call: str, base: dict[str, Any]) -> Iterator[Refusal]:
    for name in ("max_trials", "max_failures", "patience"):
        for value in (0, -1, 2**31, 1.5, True, "9"):
            yield refuse(call, base | {"budget": {name: value}}, f"budget.{name}")
    for change, hint in (
        ({"budget": {"max_seconds": 0.5}}, "budget.max_seconds"),
        ({"budget": {"target": "NaN"}}, "budget.target"),
        ({"budget": {"max_trial": 3}}, '"max_trials"'),
        ({"budget": 3}, "budget"),
        ({"parallelism": 0}, "parallelism"),
        ({"parallelism": 2**31}, "parallelism"),
        ({"lease_seconds": 0.5}, "lease_seconds"),
        ({"lease_seconds": 1e300}, "lease_seconds"),
        ({"lease_seconds": "study"}, "lease_seconds"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts"),
        ({"retry": {"on": ["crashed"]}}, "retry.on"),
        ({"retry": {"on": "lost"}}, "retry.on"),
        ({"retry": {"mode": "again"}}, "retry.mode"),
        ({"retry": {"max_attempt": 1}}, '"max_attempts"'),
        ({"colour": "red"}, "colour"),
    ):
        yield refuse(call, base | change, hint)


def _list_changes() -> Iterator[Refusal]:
    call = "PATCH /studies/open"
    for fixed in ("name", "direction", "objectives", "space", "sampler", "pruner", "seed"):
        yield refuse(call, {fixed: None}, "cannot be changed")
    good = {"user_attrs": {"team": "red"}, "parallelism": 3}
    yield refuse(call, good | {"seed": 3}, "cannot be changed")
    yield refuse(call, good | {"user_attrs": {"": 1}}, "names")
    for limit in ("target", "patience"):
        body = good | {"budget": {limit: 1}}
        yield Refusal("PATCH /studies/two", body, 422, "invalid-settings", hint=f"budget.{limit}")
        objectives = [{"name": name, "direction": "minimize"} for name in "ab"]
        new = {"name": "new", "objectives": objectives, "budget": {limit: 1}}
        yield Refusal("POST /studies", new, 422, "invalid-settings", hint=f"budget.{limit}")
    yield Refusal("POST /studies/spent/resume", None, 409, "study-finished", hint="PATCH")
    yield Refusal("POST /studies/exhausted/resume", None, 409, "study-finished", hint="sampler")
    for state in ("pause", "resume", "stop"):
        yield Refusal(f"POST /studies/gone/{state}", None, 404, "study-not-found")
    yield Refusal("PATCH /studies/gone", good, 404, "study-not-found")
    yield Refusal("PATCH /studies/plain", good, 404, "study-not-found")
    for name in ("gone", "plain"):
        yield Refusal(f"DELETE /studies/{name}", None, 404, "study-not-found")


def _list_handovers() -> Iterator[Refusal]:
    yield Refusal("POST /studies/nobody/adopt", {}, 404, "study-not-found")
    yield Refusal("POST /studies/open/adopt", {}, 409, "study-exists")
    yield Refusal("POST /studies/odd/adopt", {}, 409, "study-not-adoptable")
    for change, code in (
        ({"sampler": {"type": "NoSampler"}}, "invalid-sampler"),
        ({"pruner": {"type": "NoPruner"}}, "invalid-pruner"),
        ({"seed": -1}, "invalid-request"),
        ({"space": {}}, "invalid-request"),
    ):
        yield Refusal("POST /studies/plain/adopt", change, 422, code)
    for name in ("open", "full", "spent"):
        yield Refusal(f"POST /studies/{name}/release", {}, 409, "study-in-use", hint="force")
    for name in ("nobody", "plain"):
        yield Refusal(f"POST /studies/{name}/release", {}, 404, "study-not-found")
    yield refuse("POST /studies/open/release", {"force": "yes"}, "force")
    yield refuse("POST /studies/open/release", {"froce": True}, '"force"')


def _list_addresses() -> Iterator[Refusal]:
    yield Refusal("POST /nowhere", {}, 404, "not-found")
    yield Refusal("POST /studies/open/asks", {}, 404, "not-found")
    for call in ("PUT /studies/open", "DELETE /studies", "DELETE /studies/open/trials/0"):
        yield Refusal(call, None, 405, "method-not-allowed")
