"""Writes the tables of the documentation that the code knows better: settings and scopes.

Each stands between `<!-- NAME: written by scripts/document_tables.py -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from service.api.scopes import ADDRESSES
from service.domain.scopes import Access, AttemptClaims, Principal, TokenScope
from service.settings import Settings, WorkerSettings

DOCS = Path(__file__).parents[1] / "docs"

_TABLE = re.compile(
    r"(<!-- ([a-z-]+): written by scripts/document_tables\.py -->\n).*?(?=<!-- end -->)", re.DOTALL
)
_ATTEMPT = Principal("attempt", None, AttemptClaims("digits", study_id=1, trial=7, attempt=1))


def main() -> None:
    for page in DOCS.glob("*.md"):
        page.write_text(render(page.read_text()))


def render(page: str) -> str:
    """The page with each of its tables as the code has it now."""
    return _TABLE.sub(lambda found: found[1] + "\n".join(TABLES[found[2]]()) + "\n", page)


def _list_settings(kind: type[Settings] | type[WorkerSettings]) -> Iterator[str]:
    yield "| variable | meaning | default |"
    yield "| --- | --- | --- |"
    prefix = str(kind.model_config["env_prefix"])
    for name, field in kind.model_fields.items():
        meaning = str(field.description).replace("|", "\\|")
        yield f"| `{prefix}{name.upper()}` | {meaning} | {_describe_default(field)} |"


def _describe_default(field: FieldInfo) -> str:
    """Those that depend on the machine are in the description."""
    value = field.default
    if field.default_factory is not None or value is None or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _list_scopes() -> Iterator[str]:
    yield "| call | `admin` | `user` | `worker` | an attempt | nobody |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for template, access in sorted(ADDRESSES.items()):
        for method, asked in sorted(access.items()):
            scopes = (_may(Principal("", scope), asked) for scope in TokenScope)
            marks = [*scopes, _describe_attempt(asked), _mark(asked is Access.ANYBODY)]
            yield f"| `{method} {template}` | {' | '.join(marks)} |"


def _may(principal: Principal, access: Access) -> str:
    return _mark(principal.may(access, study="digits", trial="7"))


def _describe_attempt(access: Access) -> str:
    if access is Access.ANYBODY:
        return _mark(True)
    if not _ATTEMPT.may(access, study="digits", trial="7"):
        return ""
    return "its study" if _ATTEMPT.may(access, study="digits", trial="8") else "its trial"


def _mark(allowed: bool) -> str:
    return "yes" if allowed else ""


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "server-settings": lambda: _list_settings(Settings),
    "worker-settings": lambda: _list_settings(WorkerSettings),
    "scopes": _list_scopes,
}

if __name__ == "__main__":
    main()
