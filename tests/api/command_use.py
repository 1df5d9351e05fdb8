"""Commands in this process, beside the event loop that serves the application to them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from service.cli.main import app as command_line
from tests.api.conftest import TOKEN

Run = Callable[..., Awaitable[Result]]


def build_run(url: str, *words: str) -> Run:
    """Runs `asktell` with these words and those of each call, against the server at `url`."""

    async def run(
        *arguments: str | Path, token: str = TOKEN, status: int | None = 0, **environ: str
    ) -> Result:
        result = await asyncio.to_thread(
            CliRunner().invoke,
            command_line,
            [*words, *map(str, arguments)],
            env={"ASKTELL_URL": url, "ASKTELL_TOKEN": token, **environ},
        )
        assert status is None or result.exit_code == status, result.output
        return result

    return run
