"""Creating, finding, listing and deleting studies on the real server."""

import json
from datetime import timedelta

import asktell
import optuna
import pytest

from tests.sdk.servers import ServerProcess


def test_a_study_comes_back_as_it_was_created(client: asktell.Client, name: str) -> None:
    space = {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}
    created = client.create_study(
        name,
        direction="maximize",
        space=space,
        sampler={"type": "RandomSampler"},
        pruner={"type": "MedianPruner", "args": {"n_startup_trials": 3}},
        seed=7,
        user_attrs={"team": "vision"},
    )
    found = client.get_study(name)
    for study in (created, found):
        assert study.name == name
        assert study.direction is optuna.study.StudyDirection.MAXIMIZE
        assert study.space == space
        assert study.sampler["type"] == "RandomSampler"
        assert study.pruner is not None
        assert study.pruner["args"]["n_startup_trials"] == 3
        assert study.seed == 7
        assert study.user_attrs == {"team": "vision"}


def test_a_sampler_is_named_and_made_on_the_server(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, sampler="RandomSampler", pruner="MedianPruner")
    assert study.sampler["type"] == "RandomSampler"
    assert study.pruner is not None
    assert study.pruner["type"] == "MedianPruner"
    with pytest.raises(TypeError, match=r'made on the server.*{"type": "TPESampler"'):
        client.create_study(name, sampler=optuna.samplers.TPESampler())  # type: ignore[arg-type]


def test_minimising_is_the_default(study: asktell.Study) -> None:
    assert study.direction is optuna.study.StudyDirection.MINIMIZE


@pytest.mark.parametrize(
    "odd", [".", "..", "a b", "50%", "what?#", "ü/ö".replace("/", "÷"), "a%2Fb", "…", "a;b=c&d+e"]
)
def test_odd_names_work_in_every_call(client: asktell.Client, odd: str) -> None:
    study = client.create_study(odd)
    assert client.get_study(odd).name == odd
    study.ask().tell(1.0)
    assert study.best_trial.number == 0
    client.delete_study(odd)


@pytest.mark.parametrize("impossible", ["", "a/b", "nul\0"])
def test_impossible_names_are_refused(client: asktell.Client, impossible: str) -> None:
    with pytest.raises(asktell.InvalidError):
        client.create_study(impossible)
    with pytest.raises(ValueError, match="name"):
        client.get_study(impossible)


def test_several_objectives_by_direction_or_by_name(client: asktell.Client, name: str) -> None:
    both = [optuna.study.StudyDirection.MAXIMIZE, asktell.StudyDirection.MINIMIZE]
    study = client.create_study(name, directions=both)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    with pytest.raises(RuntimeError, match="several objectives"):
        _ = study.direction
    named = client.create_study(f"{name}-named", objectives={"acc": "maximize", "ms": "minimize"})
    assert [objective.name for objective in named.objectives] == ["acc", "ms"]
    assert client.create_study(f"{name}-one", directions=["maximize"]).direction.name == "MAXIMIZE"


def test_directions_given_twice_are_refused(client: asktell.Client, name: str) -> None:
    with pytest.raises(ValueError, match="one of"):
        client.create_study(name, direction="minimize", directions=["minimize"])


def test_a_second_study_of_a_name_is_a_conflict_unless_loaded(
    client: asktell.Client, name: str
) -> None:
    first = client.create_study(name, seed=3)
    with pytest.raises(asktell.ConflictError) as caught:
        client.create_study(name, seed=3)
    assert caught.value.code == "study-exists"
    assert caught.value.status == 409
    assert client.create_study(name, seed=3, if_exists="load").seed == first.seed
    assert client.create_study(name, seed=3, load_if_exists=True).seed == first.seed
    with pytest.raises(asktell.ConflictError):
        client.create_study(name, seed=4, if_exists="load")


def test_a_refusal_says_which_field_is_wrong(client: asktell.Client, name: str) -> None:
    with pytest.raises(asktell.InvalidError) as caught:
        client.create_study(name, space={"lr": {"type": "float", "low": 2.0, "high": 1.0}})
    assert caught.value.code == "invalid-space"
    assert caught.value.request_id
    assert any("lr" in problem.field for problem in caught.value.errors)
    assert "lr" in str(caught.value)


def test_a_study_that_is_not_there(client: asktell.Client, name: str) -> None:
    with pytest.raises(asktell.NotFoundError) as caught:
        client.get_study(name)
    assert caught.value.code == "study-not-found"
    with pytest.raises(asktell.NotFoundError):
        client.delete_study(name)


def test_a_deleted_study_is_gone(client: asktell.Client, study: asktell.Study) -> None:
    client.delete_study(study.name)
    with pytest.raises(asktell.NotFoundError):
        study.ask()


def test_listing_pages_through_all(client: asktell.Client, name: str) -> None:
    names = [f"{name}-list-{index}" for index in range(5)]
    for each in names:
        client.create_study(each)
    client.create_study(f"{name}-unlisted")
    found = client.list_studies(name_contains=f"{name}-list-", page_size=2)
    assert [summary.name for summary in found] == names
    assert list(client.list_studies(name_contains=f"{name}-list-", state="finished")) == []


def test_a_summary_counts_and_names_the_best(study: asktell.Study) -> None:
    study.ask()
    study.ask().tell(2.0)
    study.ask().tell(1.0)
    study.ask().tell(state="FAIL")
    summary = study.summary()
    assert (summary.name, summary.state) == (study.name, "active")
    counts = summary.counts
    assert (counts.running, counts.complete, counts.fail, counts.total) == (1, 2, 1, 4)
    assert summary.best == asktell.BestTrial(number=2, value=1.0)
    assert summary.created_at.utcoffset() == timedelta(0)
    assert summary.created_at <= summary.last_activity_at
    assert [each.name for each in summary.objectives] == [each.name for each in study.objectives]


def test_there_is_no_best_before_the_first_complete_trial(study: asktell.Study) -> None:
    with pytest.raises(asktell.NotFoundError) as caught:
        _ = study.best_trial
    assert caught.value.code == "no-best-trial"
    assert study.summary().best is None


def test_a_wrong_token_is_said_to_be_one(server: ServerProcess) -> None:
    with (
        asktell.Client(server.url, "wrong") as client,
        pytest.raises(asktell.AuthenticationError),
    ):
        client.get_study("any")


def test_a_client_goes_on_after_close(client: asktell.Client, study: asktell.Study) -> None:
    client.close()
    assert study.ask().number == 0


def test_the_token_file_is_found(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("ASKTELL_TOKEN", raising=False)
    for key in ("ASKTELL_URL", "ASKTELL_DATA_DIR"):
        monkeypatch.setenv(key, server.environ[key])
    with asktell.Client() as client:
        assert client.create_study(name).name == name


class TestSettings:
    """What may change while a study runs."""

    def test_they_are_taken_at_creation(self, client: asktell.Client, name: str) -> None:
        study = client.create_study(
            name,
            budget={"max_trials": 5, "target": 0.5},
            parallelism=1,
            lease_seconds=None,
            retry={"max_attempts": 1},
        )
        summary = study.summary()
        assert (summary.max_trials, summary.started, summary.stop_reason) == (5, 0, None)
        # A failure is tried again only if the policy says so.
        study.ask(lease_seconds=None).tell(state="FAIL", cause="preempted")
        assert study.trials[0].state is optuna.trial.TrialState.FAIL

    def test_a_setting_that_makes_no_sense_is_refused(
        self, client: asktell.Client, name: str
    ) -> None:
        with pytest.raises(asktell.InvalidError, match="max_trails"):
            client.create_study(name, budget={"max_trails": 5})
        study = client.create_study(name)
        with pytest.raises(asktell.InvalidError):
            study.configure(parallelism=0)

    def test_only_what_is_given_changes(self, client: asktell.Client, name: str) -> None:
        study = client.create_study(name, budget={"max_trials": 1}, parallelism=1)
        study.configure(budget={"patience": 3})
        assert study.summary().max_trials == 1
        study.configure(budget={"max_trials": None}, parallelism=None)
        assert study.summary().max_trials is None
        assert len(study.ask(3)) == 3

    def test_user_attributes_are_set_one_by_one(self, study: asktell.Study) -> None:
        study.set_user_attr("team", "vision")
        study.set_user_attr("nothing", None)
        study.set_user_attr("team", ["vision", 2])
        assert study.user_attrs == {"team": ["vision", 2], "nothing": None}
        with pytest.raises(ValueError, match="nan"):
            study.set_user_attr("bad", float("nan"))


def test_exports_hold_all_trials(study: asktell.Study) -> None:
    study.ask(params={"x": 1.5}).tell(0.25)
    study.ask().tell(state="FAIL", reason="no, thanks")
    header, first, second = study.export().splitlines()
    assert {"number", "value", "state"} <= set(header.split(","))
    assert first.startswith("0,0.25,")
    assert '"no, thanks"' in second
    exported = json.loads(study.export("json"))
    assert [trial["state"] for trial in exported["trials"]] == ["COMPLETE", "FAIL"]
    with pytest.raises(asktell.InvalidError):
        study.export("xml")


def test_best_trials_are_the_pareto_front(client: asktell.Client, name: str) -> None:
    study = client.create_study(name, directions=["minimize", "maximize"])
    for values in ([1.0, 1.0], [2.0, 2.0], [2.0, 1.0]):
        study.ask().tell(values)
    assert [trial.number for trial in study.best_trials] == [0, 1]
