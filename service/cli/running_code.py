"""Whether users' Python runs here, as the settings say, and where."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.engine.user_code import CodeRunner, open_sandbox
from service.settings import Settings


@contextmanager
def open_code_runner(settings: Settings) -> Iterator[CodeRunner]:
    """What runs it; nothing of it is left at the end."""
    if not _runs_user_code(settings):
        with CodeRunner(None) as runner:
            yield runner
        return
    may_be_uncontained = settings.user_code == "uncontained"
    with (
        open_sandbox() as sandbox,
        CodeRunner(sandbox, may_be_uncontained=may_be_uncontained) as runner,
    ):
        yield runner


def _runs_user_code(settings: Settings) -> bool:
    if settings.user_code is None:
        return settings.database_url is None
    return settings.user_code != "off"
