"""Which address asks what of whoever calls it: the one table of it.

Administrators are let in everywhere without a look at it. For everybody else an address that is
not in here does not exist, so that a new one is closed until somebody has thought about it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starlette.routing import compile_path

from service.domain.scopes import Access

_ANYBODY = {"GET": Access.ANYBODY}
_READ = {"GET": Access.READ}
_WORKER_POST = {"POST": Access.WORKER}
_USER_POST = {"POST": Access.USER}
_STUDY_READ = {"GET": Access.STUDY}
_TRIAL_POST = {"POST": Access.TRIAL}

# By the templates of the routes; of those that share a beginning the hot ones come first.
ADDRESSES: Mapping[str, Mapping[str, Access]] = {
    "/studies/{study}/trials/{number}/report": _TRIAL_POST,
    "/studies/{study}/trials/{number}/heartbeat": _TRIAL_POST,
    "/studies/{study}/ask": _USER_POST,
    "/studies/{study}/trials/{number}/tell": _TRIAL_POST,
    "/studies/{study}/trials/{number}/suggest": _TRIAL_POST,
    "/studies/{study}/trials/{number}/prune": _TRIAL_POST,
    "/studies/{study}/trials/{number}": _STUDY_READ,
    "/studies/{study}/trials": {"GET": Access.STUDY, "POST": Access.USER},
    "/studies/{study}": {"GET": Access.STUDY, "PATCH": Access.USER, "DELETE": Access.USER},
    "/studies": {"GET": Access.READ, "POST": Access.USER},
    "/studies/{study}/tell": _USER_POST,
    "/studies/{study}/enqueue": _USER_POST,
    "/studies/{study}/best": _STUDY_READ,
    "/studies/{study}/pareto": _STUDY_READ,
    "/studies/{study}/export": _STUDY_READ,
    "/studies/{study}/distributions": _STUDY_READ,
    "/studies/{study}/history": _STUDY_READ,
    "/studies/{study}/curves": _STUDY_READ,
    "/studies/{study}/importances": _STUDY_READ,
    "/studies/{study}/plots/{kind}": _STUDY_READ,
    "/studies/{study}/python": _READ,
    "/studies/{study}/pause": _USER_POST,
    "/studies/{study}/resume": _USER_POST,
    "/studies/{study}/stop": _USER_POST,
    "/studies/{study}/adopt": _USER_POST,
    "/studies/{study}/release": _USER_POST,
    "/sweeps": {"GET": Access.READ, "POST": Access.USER},
    "/sweeps/{study}": _READ,
    "/sweeps/{study}/pause": _USER_POST,
    "/sweeps/{study}/resume": _USER_POST,
    "/sweeps/{study}/stop": _USER_POST,
    "/sweeps/{study}/cancel": _USER_POST,
    "/sweeps/{study}/attempts": _READ,
    "/sweeps/{study}/attempts/{attempt_id}": _READ,
    "/sweeps/{study}/attempts/{attempt_id}/log": _READ,
    "/attempts/{attempt_id}/observe": _WORKER_POST,
    "/attempts/{attempt_id}/log": _WORKER_POST,
    "/attempts/claim": _WORKER_POST,
    "/mirrors/claim": _WORKER_POST,
    "/sweeps/{study}/mirror": _WORKER_POST,
    "/workers": _READ,
    "/workers/{worker_id}": {"PUT": Access.WORKER, "DELETE": Access.WORKER},
    "/tokens": {"GET": Access.ADMIN, "POST": Access.ADMIN},
    "/tokens/{name}": {"DELETE": Access.ADMIN},
    "/session": {"GET": Access.READ, "DELETE": Access.READ},
    "/login-links": {"POST": Access.READ},
    "/login": {"GET": Access.ANYBODY, "POST": Access.ANYBODY},
    "/login/{code}": _ANYBODY,
    "/healthz": _ANYBODY,
    "/readyz": _ANYBODY,
    "/metrics": _READ,
    "/openapi.json": _READ,
    "/docs": _READ,
    "/docs/problems": _READ,
    "/": _READ,
    "/ui/{rest:path}": _READ,
    # optuna-dashboard's.
    "/dashboard": _READ,
    "/dashboard/{rest:path}": _READ,
    "/api/{rest:path}": _READ,
    "/artifacts/{rest:path}": _READ,
    "/csv/{rest:path}": _READ,
    "/static/{rest:path}": _READ,
    "/favicon.ico": _READ,
}


@dataclass(frozen=True, slots=True)
class Address:
    """An address that is served.

    Attributes:
        template: Its path with names for the parts that vary.
        access: What it asks of whoever calls it, by method; HEAD is as GET.
        params: The parts of the path that vary.
    """

    template: str
    access: Mapping[str, Access]
    params: Mapping[str, str]


def find_address(path: str) -> Address | None:
    """The entry that a decoded path falls under, if any."""
    for pattern, template in _PATTERNS.get(_get_first_part(path), ()):
        if (match := pattern.match(path)) is not None:
            return Address(template, ADDRESSES[template], match.groupdict())
    return None


def _get_first_part(path: str) -> str:
    return path[1:].partition("/")[0]


def _compile() -> Iterator[tuple[str, re.Pattern[str], str]]:
    for template in ADDRESSES:
        # The router reads templates by the same function, so that both agree on every path.
        yield _get_first_part(template), compile_path(template)[0], template


_PATTERNS: dict[str, list[tuple[re.Pattern[str], str]]] = {}
for _first, _pattern, _template in _compile():
    _PATTERNS.setdefault(_first, []).append((_pattern, _template))
