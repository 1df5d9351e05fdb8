"""What travels to another process, and with which token."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import asktell
import httpx
import pytest

from tests.sdk.servers import ServerProcess


def parabola(study: asktell.Study) -> float:
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=1)
    return study.best_value


@pytest.fixture
def _token(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKTELL_TOKEN", server.token)


@pytest.mark.usefixtures("_token")
def test_a_process_works_on_a_study_that_it_was_passed(study: asktell.Study) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        value = pool.submit(parabola, study).result()
    assert value == study.best_value


@pytest.mark.usefixtures("_token")
def test_a_client_finds_its_token_anew(server: ServerProcess, study: asktell.Study) -> None:
    with server.open_client(timeout=7.0, deadline=8.0, max_retries=9) as client:
        pickled = pickle.dumps(client)
    assert server.token.encode() not in pickled
    with pickle.loads(pickled) as copy:
        assert copy._connection.server == client._connection.server
        assert copy.get_study(study.name).name == study.name


@pytest.mark.usefixtures("_token")
def test_an_objective_may_pass_on_the_study_that_runs_it(study: asktell.Study) -> None:
    def objective(_: asktell.Trial) -> float:
        copy = pickle.loads(pickle.dumps(study))
        try:
            return float(len(copy.trials))
        finally:
            copy._connection.close()

    study.optimize(objective, n_trials=1)
    assert study.best_value == 1.0


def test_what_stays_in_its_process_says_so(study: asktell.Study) -> None:
    with study.ask() as trial, pytest.raises(TypeError, match="stays in the process"):
        pickle.dumps(trial)
    transport = httpx.MockTransport(lambda _: httpx.Response(500))
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(asktell.Client("http://box", "t", transport=transport))
