"""The reason of a failed trial says in words what happened, wherever it is told from."""

import logging

import asktell
import pytest
from asktell._reasons import explain_error


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("disk full"), "OSError: disk full"),
        (ValueError('it\'s "odd"\nin two lines'), 'ValueError: it\'s "odd"\nin two lines'),
        (KeyError("lr"), "KeyError: 'lr'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asktell.ConfigurationError("No token."), "No token."),
    ],
)
def test_an_exception_in_words(error: BaseException, reason: str) -> None:
    assert explain_error(error) == reason


def test_an_exception_that_has_no_words_keeps_its_name() -> None:
    assert explain_error(MuteError()).startswith("MuteError: <")


def test_a_refused_suggestion_says_what_is_wrong_with_it(
    study: asktell.Study, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(asktell.InvalidError):
        study.optimize(lambda trial: trial.suggest_float("q", 2, 1), n_trials=1)

    reason = study.trials[0].reason or ""
    assert '"low" must not be greater than "high"' in reason
    assert "InvalidError(" not in reason
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert '"low" must not be greater than "high"' in warning.getMessage()


def test_a_with_block_says_it_too(study: asktell.Study) -> None:
    with pytest.raises(asktell.InvalidError), study.ask() as trial:
        trial.suggest_float("q", 2, 1)
    assert '"low" must not be greater than "high"' in (study.trials[0].reason or "")
