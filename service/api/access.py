"""Whether a caller may do what it asks for, and what it is told if not."""

from fastapi import Response
from starlette.types import Scope

from service.api.problems import METHOD_NOT_ALLOWED, NOT_FOUND, build_problem
from service.api.scopes import Address, find_address
from service.domain.scopes import Access, Principal, list_scopes


def refuse_access(principal: Principal, scope: Scope) -> Response | None:
    """The refusal of a request that its sender may not make; None if it may.

    What is not in the table of addresses is refused to everybody who is asked about here.
    """
    address = find_address(scope["path"])
    if address is None:
        return build_problem(404, "not-found", NOT_FOUND)
    access = address.access.get("GET" if scope["method"] == "HEAD" else scope["method"])
    if access is None:
        return _refuse_method(address)
    params = address.params
    if principal.may(access, study=params.get("study"), trial=params.get("number")):
        return None
    return build_problem(403, "scope-missing", _explain_scope(principal, access))


def _refuse_method(address: Address) -> Response:
    methods = {*address.access, *({"HEAD"} if "GET" in address.access else ())}
    headers = {"Allow": ", ".join(sorted(methods))}
    return build_problem(405, "method-not-allowed", METHOD_NOT_ALLOWED, headers=headers)


def _explain_scope(principal: Principal, access: Access) -> str:
    if principal.attempt is not None:
        own = principal.attempt
        return (
            f"The token of an attempt is for its own trial alone, {own.trial} of study "
            f"{own.study[:80]!r}, and for looking at that study."
        )
    scopes = " or ".join(f"`{scope}`" for scope in list_scopes(access))
    return (
        f"This takes a token of the scope {scopes}; {principal.name!r} has `{principal.scope}`. "
        "An administrator makes others by `asktell token create NAME --scope SCOPE`."
    )
