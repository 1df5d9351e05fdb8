"""`/tokens`: access for people, programs and workers. For administrators."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.api.answers import Answer, JsonAnswer, to_timestamp
from service.api.bodies import Body
from service.api.dependencies import EngineDependency
from service.api.fields import Moment
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.api.token_cache import TokenCache
from service.domain.errors import FieldError, Invalid, TokenExists, TokenNotFound
from service.domain.scopes import TokenScope
from service.domain.tokens import (
    MAX_TOKEN_NAME_LENGTH,
    AccessToken,
    digest_token,
    mint_access_token,
)

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=StrictRoute)


def _check_name(name: str) -> str:
    is_addressable = "/" not in name and name not in (".", "..")
    if not (name.isprintable() and name == name.strip() and is_addressable):
        raise PydanticCustomError(
            "token_name", "must be printable, without a slash, and without spaces around it"
        )
    return name


class CreateTokenBody(Body):
    """Whom a token is for, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "gpu-box-1", "scope": "worker"},
                {"name": "ada", "scope": "user", "expires_at": "2099-12-31T00:00:00Z"},
            ]
        }
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=MAX_TOKEN_NAME_LENGTH),
        AfterValidator(_check_name),
    ]
    scope: TokenScope = Field(
        description="admin: everything; user: studies and sweeps; worker: launching attempts, "
        "and reading"
    )
    expires_at: Moment | None = Field(default=None, description="null: never")


class TokenAnswer(Answer):
    """A token without its text."""

    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None


class NewTokenAnswer(Answer):
    name: str
    scope: TokenScope
    token: str = Field(description="Shown this once; only its digest is kept")
    created_at: datetime
    expires_at: datetime | None


class TokensAnswer(Answer):
    tokens: list[TokenAnswer]


@router.post(
    "",
    status_code=201,
    responses={
        201: describe_answer(NewTokenAnswer, "Made; its text is shown this once"),
        **describe_problems(400, 409, 413, 415),
    },
)
async def create_token(body: CreateTokenBody, engine: EngineDependency) -> Response:
    """Make a token. The name of one that expired or was revoked is free again."""
    text = mint_access_token()
    token = AccessToken(
        body.name, body.scope, created_at=engine.clock(), expires_at=body.expires_at
    )
    if not token.is_good(token.created_at):
        _refuse_end()
    if not await engine.tokens.insert(token, digest_token(text.encode())):
        raise TokenExists(
            f"There is a token of the name {body.name!r}. Revoke it first, or choose another name."
        )
    return JsonAnswer(_describe_new(token, text), 201, headers={"Cache-Control": "no-store"})


@router.get("", responses={200: describe_answer(TokensAnswer, "All of them, by name")})
async def list_tokens(engine: EngineDependency) -> Response:
    """List the tokens that were made here; the server's own is not among them."""
    tokens = await engine.tokens.list_all()
    return JsonAnswer({"tokens": [_describe(token) for token in tokens]})


@router.delete("/{name}", status_code=204, responses=describe_problems(404))
async def revoke_token(
    request: Request,
    name: Annotated[str, Path(max_length=MAX_TOKEN_NAME_LENGTH)],
    engine: EngineDependency,
) -> Response:
    """Make a token worthless: here at once, at other servers within five seconds."""
    cache: TokenCache = request.app.state.token_cache
    # Postgres could not even compare a text with NUL in it.
    is_there = "\0" not in name and await engine.tokens.revoke(name, engine.clock())
    if not is_there:
        raise TokenNotFound(f"There is no token of the name {name!r}; GET /tokens lists them.")
    await cache.forget(name)
    return Response(status_code=204)


def _refuse_end() -> None:
    message = "must be in the future; leave it out for a token that does not expire"
    error = FieldError("expires_at", message)
    raise Invalid(f"The request is not valid. expires_at: {message}.", errors=[error])


def _describe(token: AccessToken) -> Mapping[str, Any]:
    return {
        "name": token.name,
        "scope": token.scope.value,
        "created_at": to_timestamp(token.created_at),
        "expires_at": to_timestamp(token.expires_at),
        "last_used_at": to_timestamp(token.last_used_at),
        "revoked_at": to_timestamp(token.revoked_at),
    }


def _describe_new(token: AccessToken, text: str) -> Mapping[str, Any]:
    return {
        "name": token.name,
        "scope": token.scope.value,
        "token": text,
        "created_at": to_timestamp(token.created_at),
        "expires_at": to_timestamp(token.expires_at),
    }
