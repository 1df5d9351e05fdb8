"""Commands that are refused: in the words of the command line, with one rule of exit codes."""

import json
import re

import httpx
import pytest

from tests.api.command_use import Run, build_run

# What only programs know: requests, headers, fields of bodies.
API_WORDS = re.compile(
    r"\b(GET|POST|PATCH|DELETE|Authorization)\b|if_exists|wait_seconds|max_trials:|state\.\d|"
    r"/studies|/sweeps|/tokens"
)

REFUSALS = [
    ("study create digits", 1, "study 'digits' already. --load uses it"),
    ("study create digits --load --seed 3", 1, "`asktell study show` shows what it is"),
    (
        "study create new --seed -3",
        2,
        "asktell: --seed: Input should be greater than or equal to 0.",
    ),
    ("study create new --sampler TPSampler", 2, "--sampler type: "),
    ("study create new --sampler=TPSampler", 2, "--sampler type: "),
    ('study create new --from {"budget":{"max_trial":3}}', 2, "budget.max_trial: unknown field"),
    ("study ls --state gone", 2, "asktell: --state: "),
    ("study trials digits --state gone", 2, "asktell: --state: "),
    ("study show -dash", 2, "No such option: -d; a value like -dash goes after --"),
    ("study trials digits --where x<1,x>0", 2, "  One condition per --where; repeat it"),
    ("study show none", 1, "There is no study 'none' here. `asktell study ls`"),
    ("study best digits", 1, "No trial of 'digits' is complete yet"),
    ("study adopt none", 1, "neither of Optuna nor here."),
    ("study adopt digits", 1, "Asktell manages study 'digits' already."),
    ("study set digits", 2, "--trials"),
    ("study set digits --trials 0", 2, "--trials"),
    ("study set digits --lease-seconds 1e99", 2, "asktell: --lease-seconds: "),
    ("study set a/b --trials 3", 2, "no /"),
    ("ask --lease-seconds 5 none", 1, "There is no study 'none' here."),
    ("ask --json digits", 4, "As many trials of 'digits' run as its parallelism allows."),
    ("tell digits 9 0.5", 1, "Study 'digits' has no such trial; `asktell study trials`"),
    ("tell digits 0 --state GONE", 2, "asktell: --state: "),
    ("report digits 9 0 0.5", 1, "Study 'digits' has no such trial"),
    ("study release digits", 1, "--force"),
    ("sweep show digits", 1, "There is no sweep 'digits' here."),
    ("sweep show a/b", 2, "no /"),
    ("sweep pause a/b", 2, "no /"),
    ("sweep logs a/b", 2, "no /"),
    ("sweep ls --state gone", 2, "asktell: --state: "),
    ("sweep set digits", 2, "--trials"),
    ("sweep check none.yaml", 2, "none.yaml cannot be read (No such file or directory)."),
    ("token revoke none", 1, "no token of the name 'none'; `asktell token ls`"),
    ("study ls --url ftp://server", 2, "looks like http"),
    ("study ls --limit 3", 2, "--limit"),
    ("study enqueue digits x=1e400", 2, "between -1.8e308 and 1.8e308, and 1e400 does not."),
    ("study create new --attr a=[-1e999]", 2, "1.8e308, and -1e999 does not."),
    ("tell digits 0 1 --constraint c=1e999", 2, "1.8e308, and 1e999 does not."),
    ("study create new --lease-seconds inf", 2, "--lease-seconds is a finite number, not inf."),
    ("study set digits --lease-seconds nan", 2, "--lease-seconds"),
    ("ask digits --lease-seconds inf", 2, "--lease-seconds is a finite number, not inf."),
    ("ask digits --wait-seconds nan", 2, "--wait-seconds"),
    ("worker --drain-seconds inf", 2, "--drain-seconds is a finite number, not inf."),
    ("study show \udcff", 2, "NAME is not text in UTF-8: '\\udcff'."),
    ("study ls --name \udcff", 2, "--name is not text in UTF-8"),
    ("study trials digits --where x=\udcff", 2, "--where is not text in UTF-8: 'x=\\udcff'."),
    ("study create new --attr a=\udcff", 2, "--attr is not text in UTF-8"),
    ('study create new --attr a=["\\ud800"]', 2, "half of a surrogate pair in the value of 'a'"),
    ("tell digits 0 --state FAIL --reason \udcff", 2, "--reason is not text in UTF-8"),
    ("sweep ls --name \udcff", 2, "--name is not text in UTF-8"),
    ("sweep logs \udcff", 2, "is not text in UTF-8"),
    ("token create \udcff --scope user", 2, "NAME is not text in UTF-8"),
    ("token revoke \udcff", 2, "NAME is not text in UTF-8"),
]


@pytest.fixture
def run(url: str) -> Run:
    return build_run(url)


@pytest.fixture
async def busy(api: httpx.AsyncClient) -> None:
    """A study whose one trial at a time runs."""
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    body = {"name": "digits", "direction": "minimize", "parallelism": 1, "space": space}
    await api.post("/studies", json=body)
    await api.post("/studies/digits/ask")


@pytest.mark.usefixtures("busy")
async def test_refusals_name_commands_and_options(run: Run) -> None:
    for typed, status, words in REFUSALS:
        refused = await run(*typed.split(), status=None)

        assert refused.exit_code == status, (typed, refused.output)
        assert words in refused.stderr, typed
        assert not API_WORDS.search(refused.stderr), (typed, refused.stderr)
        assert refused.stdout == "", typed


async def test_a_token_that_opens_nothing(run: Run) -> None:
    refused = await run("study", "ls", token="x" * 20, status=1)
    assert "Set ASKTELL_TOKEN to a good one" in refused.stderr
    assert not API_WORDS.search(refused.stderr)


@pytest.mark.usefixtures("busy")
async def test_a_study_that_came_to_its_limit_goes_on(run: Run) -> None:
    await run("study", "set", "digits", "--trials", "1", "--parallelism", "4")
    refused = await run("ask", "digits", status=3)
    assert "`asktell study set` changes the limits." in refused.stderr

    told = await run(
        *("study", "set", "digits", "--trials", "2", "--max-failures", "9"),
        *("--lease-seconds", "60", "--json"),
    )

    study = json.loads(told.stdout)
    limits = (study["budget"]["max_trials"], study["budget"]["max_failures"])
    assert (limits, study["parallelism"], study["lease_seconds"]) == ((2, 9), 4, 60)
    assert "Trial 1 of digits" in (await run("ask", "digits")).stdout


async def test_a_paused_study_says_how_to_resume_it(run: Run, api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={"name": "s", "direction": "minimize"})
    await run("study", "pause", "s")
    assert "`asktell study resume`" in (await run("ask", "s", status=4)).stderr
