"""A shell or a Python that runs one block after another, and keeps what they have set."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

_STOP_SECONDS = 60

# Reads orders as the shell does; tracebacks have the lines of the page.
_PYTHON = """
import sys
names = {"__name__": "__main__"}
for order in sys.stdin:
    file, line, page, mark = order.rstrip().split("\\t")
    with open(file) as block:
        text = "\\n" * int(line) + block.read()
    exec(compile(text, page, "exec"), names)
    print(mark, flush=True)
"""


class Interpreter:
    """One process, in which a failure is the end."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, order: str) -> str:
        """What was printed meanwhile; fails the test if the block fails.

        Args:
            order: With `{mark}`, which is printed once the block is done.
        """
        mark = uuid4().hex
        assert self._process.stdin is not None
        self._process.stdin.write(order.replace("{mark}", mark) + "\n")
        self._process.stdin.flush()
        printed: list[str] = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            before, found, _ = line.partition(mark)
            printed.append(before)
            if found:
                return "".join(printed)
        raise AssertionError(f"It ended with {self._process.wait()}:\n{''.join(printed)}")

    def close(self) -> None:
        end_group(self._process)


class Shell(Interpreter):
    """`sh`, which stops at the first command that fails."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        super().__init__(["sh", "-eu"], folder, environ)

    def run_file(self, file: Path) -> str:
        return self.run(f". '{file}' </dev/null\necho {{mark}}")


class Python(Interpreter):
    """Python, to which warnings are errors."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        super().__init__([sys.executable, "-W", "error", "-c", _PYTHON], folder, environ)

    def run_file(self, file: Path, *, line: int, page: Path) -> str:
        return self.run(f"{file}\t{line}\t{page}\t{{mark}}")


def end_group(process: subprocess.Popen[str]) -> None:
    """Ends it with all that it has started and that has not left its group."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
    with process:
        pass


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
