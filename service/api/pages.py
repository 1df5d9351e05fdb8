"""Plain pages of the API itself."""

import html
from collections.abc import Iterator

from service.api.problems import EDGE_PROBLEMS, find_status
from service.domain.errors import AsktellError

PLAIN_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title} · Asktell</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}}
code{{font-size:1.05em}}dt{{margin-top:1rem}}
pre{{overflow:auto;padding:.5rem;border:1px solid #8888}}
input,button{{font:inherit;padding:.4rem .6rem;box-sizing:border-box;max-width:100%}}
input{{width:24rem}}
[role=alert]{{color:#c22}}@media(prefers-color-scheme:dark){{[role=alert]{{color:#f88}}}}</style>
<h1>{title}</h1>
{content}
</html>
"""


def render_page(title: str, content: str) -> str:
    """A plain page around content that is HTML already."""
    return _PAGE.format(title=title, content=content)


def wants_html(accept: str) -> bool:
    """Whether a browser navigates here, rather than a program calling."""
    return "text/html" in accept


def render_problem_list() -> str:
    """What `type` of a problem points to: every code, its status and its meaning."""
    meanings = {kind.code: (find_status(kind), _describe(kind)) for kind in _walk(AsktellError)}
    entries = "\n".join(
        f'<dt id="{code}"><code>{code}</code> · {status}</dt><dd>{html.escape(meaning)}</dd>'
        for code, (status, meaning) in sorted({**EDGE_PROBLEMS, **meanings}.items())
    )
    return render_page("Problems", f"<dl>\n{entries}\n</dl>")


def _walk(kind: type[AsktellError]) -> Iterator[type[AsktellError]]:
    for child in kind.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from _walk(child)


def _describe(kind: type[AsktellError]) -> str:
    described = next(each for each in kind.__mro__ if each.__doc__)
    return str(described.__doc__).partition("\n")[0]
