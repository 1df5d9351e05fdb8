"""What browsers see that are not logged in; complete in themselves, for they may load nothing."""

import html

from service.api.pages import render_page

LOGIN_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # Without a referrer browsers would hide the form's origin, which the gate looks at.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_FORM = """<form method="post" action="/login">
<input type="hidden" name="next" value="{next_path}">
<p><label for="token">Token</label><br>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password"
 spellcheck="false"{invalid}></p>
{refusal}<p><button>Log in</button></p>
</form>
<p>A token is what programs set as <code>ASKTELL_TOKEN</code>; an administrator makes one for you by
<code>asktell token create YOUR-NAME --scope user</code>.</p>
<p>Without a token at hand: <code>asktell login-link</code>, where the server or your token is,
prints a link that works once, within ten minutes.</p>
"""
_REFUSAL = """<p id="refusal" role="alert">This token opens nothing here: it is wrong, was
revoked, or has expired.</p>
"""


def render_login(*, next_path: str, was_refused: bool = False) -> str:
    """The login page, which leads to `next_path`."""
    form = _FORM.format(
        next_path=html.escape(next_path),
        invalid=' aria-invalid="true" aria-describedby="refusal"' if was_refused else "",
        refusal=_REFUSAL if was_refused else "",
    )
    return render_page("Log in", form)


def render_again(path: str) -> str:
    """A page that goes on to `path` at once, by itself.

    Browsers keep a strict cookie back while a link of another site is followed, the redirections
    after it included. From here it is not another site's link any more.
    """
    target = html.escape(path)
    refresh = f'<meta http-equiv="refresh" content="0; url={target}">'
    return render_page("One moment", f'{refresh}\n<p><a href="{target}">Go on</a></p>')


def render_link_refused() -> str:
    """What a browser with a used or old login link sees."""
    lead = "<p>This login link was used before, or is older than ten minutes.</p>\n"
    return render_page(
        "This link no longer works", lead + _FORM.format(next_path="/", invalid="", refusal="")
    )
