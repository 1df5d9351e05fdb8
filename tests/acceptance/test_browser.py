"""What all pages share, and optuna-dashboard behind them, in Chromium."""

from urllib.parse import urlencode

import httpx
import pytest

from tests.acceptance.browser import Browser, poll
from tests.acceptance.pages import Server

pytestmark = pytest.mark.browser

LINK = """
const [url] = arguments;
const address = new URL("../words.js", document.querySelector("script[type=module]").src);
return import(address).then(({ setOutsideLink }) => {
  const link = document.createElement("a");
  setOutsideLink(link, "https://a.example");
  setOutsideLink(link, url);
  return [link.hidden, link.getAttribute("href")];
});
"""
PRINT = """
const [parts] = arguments;
const { src } = document.querySelector("script[type=module]");
const address = new URL("../attempt/log_view.js", src);
return import(address).then(({ LogView }) => {
  const element = document.createElement("pre");
  const view = new LogView(element, () => {});
  parts.forEach((part) => view.append(part));
  return element.textContent;
});
"""
DRAW = """
const [values] = arguments;
const address = new URL("../charts/scale.js", document.querySelector("script[type=module]").src);
return import(address).then(({ findRange, findTicks, scale }) => {
  const range = findRange(values);
  return [...values.map(scale(range, [0, 100])), ...findTicks(range).map(scale(range, [0, 100]))];
});
"""
FAIL_TWICE = """
const address = new URL("../study/section.js", document.querySelector("script[type=module]").src);
return import(address).then(async ({ Section }) => {
  let reads = 0;
  const section = new Section({
    pauseMs: 60000,
    read: () => { reads += 1; return Promise.reject(new Error("away")); },
  });
  await section.refresh(1).catch(() => {});
  await section.refresh(2).catch(() => {});
  return reads;
});
"""

# Even with the secret that lets our own pages write.
DELETE_AS_OURS = """
return fetch("/session").then((answer) => answer.json())
  .then(({ csrf_token }) => fetch(arguments[0], {
    method: "DELETE", headers: { "X-CSRF-Token": csrf_token },
  }))
  .then((answer) => answer.status);
"""


def test_only_pages_are_linked(server: Server, browser: Browser):
    browser.open(f"{server.url}/")

    for url in ("javascript:alert(1)", " https://a.example", "//a.example", None):
        assert browser.run(LINK, url) == [True, None]
    assert browser.run(LINK, "http://a.example") == [False, "http://a.example"]


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (["one\n", "tw", "o\nthree"], "one\ntwo\nthree"),
        (["  0%\r 50%", "\r100%\ndone\n"], "100%\ndone\n"),
        (["50%\r", "\nnext\r\r\n", "last\r\n"], "50%\nnext\nlast\n"),
        (["\x1b[1;32mgreen\x1b", "[0m and \x1b]0;title\x07plain\n"], "green and plain\n"),
        (["<b>&amp;</b>"], "<b>&amp;</b>"),
    ],
    ids=["lines", "overwritten", "line-ends", "escapes", "markup"],
)
def test_log_reads_as_in_a_terminal(server: Server, browser: Browser, parts: list[str], shown: str):
    browser.open(f"{server.url}/")

    assert browser.run(PRINT, parts) == shown


def test_a_long_line_of_a_log_does_not_stop_the_page(server: Server, browser: Browser):
    browser.open(f"{server.url}/")
    line = "." * 1_000_000

    # Chromium gives up on a script that takes longer than half a minute.
    assert browser.run(PRINT, ["begun\r", line, line]) == line * 2


@pytest.mark.parametrize("values", [[-1.7e308, 0, 1.7e308], [5e-324, 1e-323], [1.7e308]], ids=str)
def test_any_number_has_a_place_on_a_chart(server: Server, browser: Browser, values: list[float]):
    browser.open(f"{server.url}/")

    places = browser.run(DRAW, values)

    assert len(places) > len(values)
    assert [place for place in places if place is None or not 0 <= place <= 100] == []


def test_what_cannot_be_read_rests_as_well(server: Server, browser: Browser):
    browser.open(f"{server.url}/")

    assert browser.run(FAIL_TWICE) == 1


def test_nothing_is_shown_after_logging_out(server: Server, browser: Browser, study: str):
    browser.open(f"{server.url}/ui/study?{urlencode({'name': study})}")
    browser.wait_for("return !document.getElementById('account').hidden")
    browser.run("document.querySelector('[data-part=log-out]').click()")
    browser.wait_for("return location.pathname === '/login'")

    browser.run("history.back()")

    browser.wait_for("return location.pathname !== '/login' && document.readyState === 'complete'")
    assert browser.run("return document.title") == "Log in · Asktell"
    server.log_in(browser)


def test_study_has_a_page_in_the_dashboard(server: Server, browser: Browser):
    name = "in <the> dashboard"
    server.make_study(name)

    browser.open(f"{server.url}/ui/dashboard?{urlencode({'study': name})}")

    browser.wait_for("return location.pathname.startsWith('/dashboard/studies/')")
    browser.wait_for("return document.body.innerText.includes(arguments[0])", name)


def test_dashboard_lists_the_study_and_cannot_delete_it(
    server: Server, browser: Browser, study: str
):
    browser.open(f"{server.url}/dashboard")
    browser.wait_for("return document.body.innerText.includes(arguments[0])", study)
    study_id = find_study_id(server, study)

    status = browser.run(DELETE_AS_OURS, f"/api/studies/{study_id}")
    answer = server.client.delete(f"/api/studies/{study_id}")

    assert status == 405
    assert (answer.status_code, list(answer.json())) == (405, ["reason"])
    assert server.client.get(f"/studies/{study}").is_success


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/studies"),
        ("POST", "/api/studies/{id}/rename"),
        ("PUT", "/api/studies/{id}/note"),
        ("POST", "/api/trials/1/tell"),
    ],
    ids=["create", "rename", "note", "tell"],
)
def test_dashboards_writes_are_refused(server: Server, study: str, method: str, path: str):
    path = path.format(id=find_study_id(server, study))
    before = server.client.get("/studies").json()

    answer = server.client.request(method, path, json={"study_name": "renamed", "state": "Fail"})

    assert answer.status_code == 405
    assert server.client.get("/studies").json() == before


def test_strangers_see_neither_page(server: Server):
    for path in ("/", "/dashboard", "/api/studies", "/ui/dashboard?study=x"):
        assert httpx.get(server.url + path).status_code == 401


def find_study_id(server: Server, name: str) -> int:
    answer = poll(
        lambda: server.client.get("/api/studies"), what="the dashboard", accept=is_success
    )
    studies = answer.json()["study_summaries"]
    (study_id,) = (study["study_id"] for study in studies if study["study_name"] == name)
    return study_id


def is_success(answer: httpx.Response) -> bool:
    return answer.is_success
