"""What a program said last, from a log that ends with what wandb says."""

from pathlib import Path

import pytest

from service.schedulers.executors.process.log_files import LogWriter
from service.schedulers.executors.wandb.local.last_words import find_last_words

# As wandb 0.31 ends a run.
FOOTER = (
    b"\x1b[1;34mwandb\x1b[0m: \n"
    b"\x1b[1;34mwandb\x1b[0m: You can sync this run to the cloud by running:\n"
    b"\x1b[1;34mwandb\x1b[0m: Find logs at: \x1b[1;35mruns/wandb/offline-run/logs\x1b[0m\n"
)


def find(folder: Path, *printed: bytes) -> str | None:
    log = LogWriter(str(folder))
    for piece in printed:
        log.write(piece)
    return find_last_words(str(folder))


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"Traceback:\nRuntimeError: boom\n" + FOOTER, "RuntimeError: boom"),
        (b"ValueError: no\r\n \n" + FOOTER + b"wandb: plain", "ValueError: no"),
        (b"10 %\r20 %\r" + FOOTER, "20 %"),
        (b"\x1b[31mRuntimeError\x1b[0m: boom\n", "RuntimeError: boom"),
        (b"the end of wandb: boom\n", "the end of wandb: boom"),
        (b"\xff\0" + b"x" * 1000 + b"\n" + FOOTER, "\ufffd" + "x" * 498),
        (FOOTER, None),
        (b"", None),
    ],
)
def test_last_words_are_the_programs_own(tmp_path: Path, printed: bytes, words: str | None):
    assert find(tmp_path, printed) == words


def test_half_a_line_is_not_taken_for_the_programs_own(tmp_path: Path):
    long = b"wandb: " + b"." * 100_000 + b"\n"

    assert find(tmp_path, b"RuntimeError: boom\n", long, FOOTER) is None
