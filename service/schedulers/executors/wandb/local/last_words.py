"""What a program printed last, apart from what wandb prints for it.

wandb ends every run with lines of its own, such as where it was recorded: after the traceback of a
program that failed.
"""

from service.schedulers.executors.process.collecting import split_lines, strip_colours
from service.schedulers.executors.process.log_files import read_log

_TAIL_BYTES = 64 * 1024
_MAX_BYTES = 500
_WANDBS = b"wandb:"


def find_last_words(folder: str) -> str | None:
    """Returns the last line of an attempt's log that is the program's own, without colours.

    None if there is none near its end.

    Raises:
        OSError: The log cannot be read.
    """
    start, tail = read_log(folder, 0, limit=_TAIL_BYTES, max_behind=_TAIL_BYTES)
    lines = split_lines(tail)
    # The first may be the second half of one.
    for line in reversed(lines if start == 0 else lines[1:]):
        words = strip_colours(line).strip()
        if words and not words.startswith(_WANDBS):
            return words[:_MAX_BYTES].decode("utf-8", "replace").replace("\0", "")
    return None
