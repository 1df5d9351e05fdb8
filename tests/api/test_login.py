"""How browsers get in, what their sessions may do, and when those end."""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from service.api.gate import GateRules
from service.domain.scopes import AttemptClaims
from service.domain.tokens import Credentials
from tests.api.conftest import BASE_URL, TOKEN, SettableClock
from tests.api.problems import assert_problem


async def make_token(api: httpx.AsyncClient, name: str, scope: str, **more: str) -> str:
    response = await api.post("/tokens", json={"name": name, "scope": scope, **more})
    token: str = response.raise_for_status().json()["token"]
    return token


async def open_link(api: httpx.AsyncClient) -> str:
    response = await api.post("/login-links")
    assert response.status_code == 200, response.text
    url: str = response.json()["url"]
    return url


async def test_a_link_lets_a_browser_in_once(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    url = await open_link(api)
    assert url.startswith(f"{BASE_URL}/login/")

    entered = await stranger.get(url)

    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert (await stranger.get("/studies")).status_code == 200
    assert_problem(await stranger.get(url), 404, "login-link-refused")


async def test_a_session_writes_as_its_token_does(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    token = await make_token(api, "gpu-box", "worker")
    await stranger.post("/login", data={"token": token})
    told = (await stranger.get("/session")).json()
    headers = {"X-CSRF-Token": told["csrf_token"]}

    assert (told["name"], told["scope"]) == ("gpu-box", "worker")
    study = {"name": "x", "direction": "minimize"}
    assert_problem(await stranger.post("/studies", json=study), 403, "csrf-token-wrong")
    refused = await stranger.post("/studies", json=study, headers=headers)
    assert_problem(refused, 403, "scope-missing")
    worker = {"name": "w", "executors": []}
    answer = await stranger.put("/workers/w", json=worker, headers=headers)
    assert answer.json()["code"] == "invalid-request"


async def test_a_link_lets_in_whoever_made_it(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    token = await make_token(api, "ada", "user")
    made = await stranger.post("/login-links", headers={"Authorization": f"Bearer {token}"})

    await stranger.get(made.json()["url"])

    told = (await stranger.get("/session")).json()
    assert (told["name"], told["scope"]) == ("ada", "user")
    assert_problem(await stranger.get("/tokens"), 403, "scope-missing")


async def test_a_revoked_token_ends_its_sessions(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    token = await make_token(api, "ada", "user")
    await stranger.post("/login", data={"token": token})
    assert (await stranger.get("/studies")).status_code == 200

    await api.delete("/tokens/ada")

    assert_problem(await stranger.get("/studies"), 401, "not-authenticated")


async def test_an_expired_token_ends_its_sessions(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, clock: SettableClock
) -> None:
    ends_at = clock() + timedelta(hours=1)
    token = await make_token(api, "ada", "user", expires_at=ends_at.isoformat())
    await stranger.post("/login", data={"token": token})

    clock.advance(minutes=59)
    assert (await stranger.get("/studies")).status_code == 200
    clock.advance(minutes=1)
    assert_problem(await stranger.get("/studies"), 401, "not-authenticated")


async def test_a_session_ends_after_thirty_days(
    stranger: httpx.AsyncClient, clock: SettableClock
) -> None:
    entered = await stranger.post("/login", data={"token": TOKEN})
    cookie = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}

    clock.advance(days=30, seconds=-1)
    assert (await stranger.get("/studies", headers=cookie)).status_code == 200
    clock.advance(seconds=1)
    refused = await stranger.get("/studies", headers=cookie)
    assert_problem(refused, 401, "not-authenticated")


async def test_logging_out_takes_the_cookie_away(stranger: httpx.AsyncClient) -> None:
    await stranger.post("/login", data={"token": TOKEN})
    csrf_token = (await stranger.get("/session")).json()["csrf_token"]

    assert_problem(await stranger.delete("/session"), 403, "csrf-token-wrong")
    left = await stranger.delete("/session", headers={"X-CSRF-Token": csrf_token})

    assert left.status_code == 204
    assert_problem(await stranger.get("/session"), 401, "not-authenticated")


async def test_a_program_is_told_who_it_is(api: httpx.AsyncClient) -> None:
    told = {"name": "server", "scope": "admin", "expires_at": None, "csrf_token": None}

    assert (await api.get("/session")).json() == told


@pytest.mark.parametrize(
    ("asked", "goes_to"),
    [
        ("/ui/study?name=a%20b", "/ui/study?name=a%20b"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\tx", "/"),
        ("evil", "/"),
    ],
)
async def test_the_login_page_leads_on_within_this_server(
    stranger: httpx.AsyncClient, asked: str, goes_to: str
) -> None:
    page = await stranger.get("/login", params={"next": asked})
    entered = await stranger.post("/login", data={"token": f" {TOKEN}\n", "next": asked})

    assert f'name="next" value="{goes_to}"' in page.text
    assert (entered.status_code, entered.headers["location"]) == (303, goes_to)


@pytest.mark.parametrize("token", ["", "wrong", "ask_" + 43 * "x", 600 * "x", "\udcff", "a\0b"])
async def test_a_wrong_token_lets_nobody_in(stranger: httpx.AsyncClient, token: str) -> None:
    content = urlencode({"token": token.encode("utf-8", "surrogateescape"), "next": "/"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    refused = await stranger.post("/login", content=content, headers=form)

    assert refused.status_code == 401
    assert 'role="alert"' in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("content", [20 * "a=b&", 9000 * "x", "token", "%ff=%ff"])
async def test_an_odd_form_lets_nobody_in(stranger: httpx.AsyncClient, content: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert (await stranger.post("/login", content=content, headers=form)).status_code == 401


async def test_servers_of_one_host_have_cookies_of_their_own(stranger: httpx.AsyncClient) -> None:
    other = Credentials.from_token("another-token-for-tests").sessions.cookie_name

    entered = await stranger.post("/login", data={"token": TOKEN})

    assert not entered.headers["set-cookie"].startswith(other)


async def test_an_attempts_token_logs_nobody_in(
    stranger: httpx.AsyncClient, rules: GateRules
) -> None:
    claims = AttemptClaims("digits", study_id=1, trial=0, attempt=1)
    token = rules.credentials.mint_attempt_token(claims)

    assert (await stranger.post("/login", data={"token": token})).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    for method, path in (("POST", "/login-links"), ("GET", "/session")):
        refused = await stranger.request(method, path, headers=headers)
        assert_problem(refused, 403, "scope-missing")


async def test_no_other_page_logs_a_browser_in(stranger: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://evil.example"}

    refused = await stranger.post("/login", data={"token": TOKEN}, headers=headers)

    assert_problem(refused, 403, "origin-not-allowed")


async def test_the_cookie_is_secure_behind_tls(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    path = urlsplit(await open_link(api)).path

    entered = await stranger.get(f"https://asktell.example{path}")

    assert "secure" in entered.headers["set-cookie"].lower()


async def test_a_proxy_may_be_what_has_tls(api: httpx.AsyncClient) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "Host": "asktell.example"}

    url = (await api.post("/login-links", headers=forwarded)).json()["url"]
    entered = await api.get(urlsplit(url).path, headers=forwarded)

    assert url.startswith("https://asktell.example/login/")
    assert "secure" in entered.headers["set-cookie"].lower()


async def test_a_link_ends_after_ten_minutes(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, clock: SettableClock
) -> None:
    in_time, too_late = await open_link(api), await open_link(api)

    clock.advance(minutes=9, seconds=59)
    assert (await stranger.get(in_time)).status_code == 303
    clock.advance(seconds=1)
    assert_problem(await stranger.get(too_late), 404, "login-link-refused")


async def test_strangers_make_no_links(stranger: httpx.AsyncClient) -> None:
    assert_problem(await stranger.post("/login-links"), 401, "not-authenticated")


async def test_a_used_link_tells_a_browser_what_to_do(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/login/guessed", headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert "asktell login-link" in response.text
    assert "set-cookie" not in response.headers


async def test_looking_at_a_link_does_not_use_it_up(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    link = await open_link(api)

    assert (await stranger.head(link)).status_code == 405
    assert (await stranger.get(f"{link}?from=mail")).status_code == 303
