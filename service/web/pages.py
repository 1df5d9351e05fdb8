"""Renders the templates of this package, and says how a browser must treat them."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

# No inline script or style: what a study's name could smuggle into a page stays text.
PAGE_HEADERS = {
    # Or else Back would show a page, with all that it had read, to whoever comes after a log-out.
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def render_page(template: str, **values: object) -> str:
    """The HTML of one template, everything in `values` escaped."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("service.web"), autoescape=True, undefined=StrictUndefined
    )
