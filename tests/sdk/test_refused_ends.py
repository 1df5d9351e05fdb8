"""No trial stays running because of what is told along with its end, or of another trial."""

from collections.abc import Callable
from typing import Any

import asktell
import pytest


class NulError(Exception):
    """Its repr is no text that a database keeps."""

    def __str__(self) -> str:
        return "nul \0 and half \ud800"


def set_half_of_the_constraints(trial: asktell.Trial) -> None:
    trial.set_constraint("other", 1.0)


def nest(depth: int) -> list[Any]:
    """Deeper than servers read, which only they know."""
    return [nest(depth - 1)] if depth else []


def set_an_odd_attribute(trial: asktell.Trial) -> None:
    trial.set_user_attr("odd", nest(300))


def ends(study: asktell.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


@pytest.fixture
def constrained(study: asktell.Study) -> asktell.Study:
    """A study of which one trial was told, with a constraint."""
    study.tell(study.ask(), 1.0, constraints={"one": 0.0})
    return study


@pytest.mark.parametrize("spoil", [set_half_of_the_constraints, set_an_odd_attribute])
@pytest.mark.parametrize(
    ("error", "state"), [(asktell.TrialPruned(), "PRUNED"), (OSError("full"), "FAIL")]
)
def test_a_trial_ends_without_what_is_refused(
    constrained: asktell.Study,
    spoil: Callable[[asktell.Trial], None],
    error: Exception,
    state: str,
) -> None:
    def objective(trial: asktell.Trial) -> float:
        spoil(trial)
        raise error

    constrained.optimize(objective, n_trials=1, catch=(OSError,))
    assert ends(constrained) == ["COMPLETE", state]


@pytest.mark.parametrize("returned", [None, "no number"])
def test_so_does_one_whose_result_is_none(constrained: asktell.Study, returned: Any) -> None:
    def objective(trial: asktell.Trial) -> Any:
        set_an_odd_attribute(trial)
        return returned

    constrained.optimize(objective, n_trials=1)
    with constrained.ask() as trial:
        set_an_odd_attribute(trial)
    assert ends(constrained) == ["COMPLETE", "FAIL", "FAIL"]


def test_an_error_is_told_in_characters_that_the_server_keeps(study: asktell.Study) -> None:
    with pytest.raises(NulError), study.ask():
        raise NulError
    assert study.trials[0].reason == r"NulError: nul \x00 and half \ud800"


async def test_an_asynchronous_trial_ends_likewise(
    client: asktell.Client, constrained: asktell.Study
) -> None:
    token = client._connection.server.token
    async with asktell.AsyncClient(client.url, token) as other:
        study = await other.get_study(constrained.name)
        async with await study.ask() as trial:
            trial.set_user_attr("odd", nest(300))
            raise asktell.TrialPruned
    assert ends(constrained) == ["COMPLETE", "PRUNED"]


def test_what_another_trial_has_lost_fails_the_one_that_trips_over_it(
    client: asktell.Client, study: asktell.Study, name: str
) -> None:
    inner = client.create_study(f"{name}-inner")
    lost = inner.ask()
    lost.tell(1.0)

    with pytest.raises(asktell.ConflictError, match="already-told"):
        study.optimize(lambda _: lost.tell(2.0), n_trials=1)
    with pytest.raises(asktell.ConflictError, match="already-told"), study.ask():
        lost.tell(2.0)
    assert ends(study) == ["FAIL", "FAIL"]


def test_a_trial_is_told_to_its_own_study_only(
    client: asktell.Client, study: asktell.Study, name: str
) -> None:
    other = client.create_study(f"{name}-other")
    strange, own = other.ask(), study.ask()
    with pytest.raises(ValueError, match="not of"):
        study.tell(strange, 5.0)
    with pytest.raises(ValueError, match="not of"):
        study.tell_many([(own, 1.0), (strange, 5.0)])
    assert ends(study) == ends(other) == ["RUNNING"]
