"""Login links: one browser each, once, for ten minutes."""

from urllib.parse import urlsplit

import httpx

from tests.api.conftest import BASE_URL, SettableClock
from tests.api.problems import assert_problem


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
    refused = await stranger.post("/studies", json={"name": "x", "direction": "minimize"})
    assert_problem(refused, 401, "not-authenticated")
    assert_problem(await stranger.get(url), 404, "login-link-refused")


async def test_the_cookie_is_secure_behind_tls(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    path = urlsplit(await open_link(api)).path

    entered = await stranger.get(f"https://asktell.example{path}")

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
