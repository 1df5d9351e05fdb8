"""The refusal of everything but reading, for an application that has no such switch."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READING = ("GET", "HEAD")
_REASON = "This dashboard is read-only: change studies through Asktell's API."


class ReadOnly:
    """Lets GET and HEAD through to `app`; answers 405 to any other method.

    The body is `{"reason": …}`, which optuna-dashboard's pages show to their user.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _READING:
            refusal = JSONResponse(
                {"reason": _REASON}, status_code=405, headers={"Allow": ", ".join(_READING)}
            )
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)
