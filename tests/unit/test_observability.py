"""Lines of work that no request asked for, and lines from threads."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from service.engine.sampling import Sampling
from service.observability import log_context
from tests.log_lines import Log, open_log

_log = structlog.get_logger(__name__)


@pytest.fixture
def log() -> Iterator[Log]:
    with open_log() as log:
        yield log


def pick(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("study", "trial", "attempt"))


def test_a_context_names_what_its_lines_are_about(log: Log) -> None:
    with log_context(study="digits"):
        with log_context(trial=3, attempt=2):
            _log.info("lease.expired")
            logging.getLogger("afar").warning("told")
        _log.info("study.stopped")
    _log.info("reaper.finished")

    assert [pick(line) for line in log.read_lines()] == [
        ("digits", 3, 2),
        ("digits", 3, 2),
        ("digits", None, None),
        (None, None, None),
    ]


def test_a_context_ends_with_an_error(log: Log) -> None:
    with pytest.raises(ValueError, match="wrong"), log_context(study="digits"):
        raise ValueError("wrong")
    _log.info("reaper.finished")

    assert "study" not in log.read_lines()[-1]


def test_what_the_line_says_itself_goes_first(log: Log) -> None:
    with log_context(study="digits", trial=3):
        _log.info("trial.asked", trial=4)

    assert pick(log.read_lines()[-1]) == ("digits", 4, None)


def test_a_line_is_one_object_whatever_is_in_it(log: Log) -> None:
    with log_context(study="two\nlines\x1b[31m"):
        _log.info("study.stopped")
        logging.getLogger("afar").warning("two\nlines")

    assert [line["study"] for line in log.read_lines()] == ["two\nlines\x1b[31m"] * 2


def test_a_name_does_not_reach_the_terminal_s_controls() -> None:
    with open_log("console") as log, log_context(study="red\x1b[31m"):
        _log.info("study.stopped")
    logged = log.read_text()

    assert "\\x1b[31m" in logged
    assert "\x1b" not in logged


async def test_lines_from_the_sampling_thread_belong_to_who_waits(log: Log) -> None:
    with ThreadPoolExecutor(1) as threads, log_context(study="digits"):
        await Sampling(threads).run(lambda: _log.warning("sampler.complained"))

    assert pick(log.read_lines()[-1]) == ("digits", None, None)
