"""Files that attack: each ends with a reason, and leaves nothing behind."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.sandbox import FileFailed, Sandbox, SandboxLimits, SearchSpaceRun, UserFile
from tests.sandbox.conftest import LIMITS, list_sandbox_processes

pytestmark = pytest.mark.usefixtures("nothing_left")

NO_NEW_PROCESS = "Operation not permitted|Resource temporarily unavailable"


def run(sandbox: Sandbox, lines: str) -> SearchSpaceRun:
    """Run lines as the whole body of `objective(trial)`."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    source = f"import ctypes, os, socket, sys, threading, time\ndef objective(trial):\n{body}"
    return sandbox.run_objective(UserFile(source), 0, lambda _name, _document: 0.5)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    """A sandbox that waits for half a second."""
    limits = SandboxLimits(seconds=0.5, cpu_seconds=30, output_bytes=LIMITS.output_bytes)
    with Sandbox(limits) as opened:
        assert opened.is_contained
        yield opened


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param("while True: os.fork()", NO_NEW_PROCESS, id="fork-bomb"),
        pytest.param("os.execv(sys.executable, ['python'])", NO_NEW_PROCESS, id="other-program"),
        pytest.param(
            "import subprocess\nsubprocess.run(['/bin/true'])",
            f"{NO_NEW_PROCESS}|No such file",
            id="subprocess",
        ),
        pytest.param(
            "for _ in range(10000): threading.Thread(target=time.sleep, args=(9,)).start()",
            "can't start new thread|MemoryError",
            id="thread-bomb",
        ),
        pytest.param(
            "while True: print('x' * 1000)", "It printed more than 10000 bytes", id="output"
        ),
        pytest.param("while True: os.write(2, b'x' * 1000)", "It printed more than", id="stderr"),
        pytest.param("bytearray(2**30)", "MemoryError", id="memory"),
        pytest.param("os._exit(9)", "Its process ended with exit code 9", id="exit"),
        pytest.param("while True: pass", "It used its 1 seconds of processor time", id="loop"),
        pytest.param(
            "i = 0\nwhile True:\n    i += 1\n    trial.suggest_float(f'x{i}', 0, 1)",
            "It suggested more than 50 times",
            id="suggestions",
        ),
        pytest.param(
            "trial.suggest_float('x' * 100000, 0, 1)",
            "It gave more than 50000 bytes at once",
            id="long-name",
        ),
        pytest.param(
            "while True:\n"
            "    try: trial.suggest_float('x' * 40000, 0, 1)\n"
            "    except ValueError: pass",
            "It gave more than 200000 bytes in all",
            id="many-bytes",
        ),
        pytest.param(
            "trial.suggest_categorical('x', list(range(101)))",
            '"x" has 101 choices; a parameter may have 100',
            id="choices",
        ),
        pytest.param("trial.set_user_attr('x', 'y' * 50001)", "more than 50000 bytes", id="attr"),
        pytest.param(
            "x = []\nfor _ in range(900): x = [x]\ntrial.set_user_attr('x', x)",
            "nested more than 16 deep|RecursionError",
            id="nested",
        ),
        pytest.param(
            "sys.setrecursionlimit(10**9)\n"
            "class Deep:\n"
            "    def __getattr__(self, name): return getattr(self, name + 'x')\n"
            "Deep().x",
            "SIGSEGV|MemoryError|RecursionError",
            id="recursion",
        ),
        pytest.param("ctypes.string_at(0)", "ended by SIGSEGV", id="null-pointer"),
        pytest.param("os.write(3, b'garbage\\n')\ntime.sleep(60)", "no message", id="garbage"),
        pytest.param("os.write(3, b'[' * 9999 + b'\\n')", "no message", id="deep-garbage"),
        pytest.param('os.write(3, b\'{"op": "ran"}\\n\')', "that no file can say", id="forged"),
        pytest.param(
            'os.write(3, b\'{"op": "suggest"}\\n\')\nos.read(3, 99)',
            "no message",
            id="forged-suggestion",
        ),
        pytest.param(
            "while True: os.write(3, b'x' * 4096)", "more than 50000 bytes at once", id="flood"
        ),
        pytest.param(
            "os.kill(os.getppid() or 2, 9)", "PermissionError|ProcessLookup", id="kill-parent"
        ),
        pytest.param("os.kill(-1, 9)", "PermissionError|ProcessLookupError", id="kill-all"),
        pytest.param("open('/etc/passwd').read()", "No such file|Permission", id="passwords"),
        pytest.param("open('/proc/1/environ').read()", "No such file|Permission", id="environment"),
        pytest.param("os.listdir('/root')", "No such file|Permission", id="home"),
        pytest.param("open('/tmp/x', 'w')", "Permission|Read-only|No such file", id="write"),
        pytest.param("os.mkdir('/x')", "PermissionError|Read-only", id="folder"),
        pytest.param("os.memfd_create('x')", "PermissionError", id="memory-file"),
        pytest.param("socket.socketpair()", "PermissionError", id="socket-pair"),
        pytest.param("socket.create_connection(('1.1.1.1', 53), 1)", "PermissionError", id="tcp"),
        pytest.param("socket.getaddrinfo('example.org', 80)", "gaierror|Permission", id="dns"),
    ],
)
def test_attack_ends_with_a_reason(sandbox: Sandbox, lines: str, reason: str) -> None:
    with pytest.raises(FileFailed, match=reason):
        run(sandbox, lines)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("time.sleep(60)", id="sleep"),
        pytest.param("threading.Event().wait()", id="wait"),
        pytest.param("os.close(3)\ntime.sleep(60)", id="closes-its-channel"),
        pytest.param("os.read(3, 1)", id="reads-its-channel"),
        pytest.param("while True:\n    try: time.sleep(60)\n    except: pass", id="stubborn"),
    ],
)
def test_a_file_that_never_answers_is_ended(hasty: Sandbox, lines: str) -> None:
    before = list_sandbox_processes()
    with pytest.raises(FileFailed, match=r"It did not answer within 0\.5 seconds"):
        run(hasty, lines)
    assert list_sandbox_processes() == before


def test_the_time_of_suggestions_counts_in_the_total() -> None:
    asked: list[str] = []

    def wait(name: str, _document: Mapping[str, Any]) -> Any:
        asked.append(name)
        threading.Event().wait(0.2)
        return 0.5

    source = "def objective(t):\n    for n in range(40): t.suggest_float(f'x{n}', 0, 1)"
    with (
        Sandbox(SandboxLimits(seconds=60, total_seconds=0.1)) as hurried,
        pytest.raises(FileFailed, match=r"It took more than 0\.1 seconds, with its suggestions"),
    ):
        hurried.run_objective(UserFile(source), 0, wait)
    assert asked in ([], ["x0"])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("threading.Thread(target=time.sleep, args=(60,)).start()", id="thread"),
        pytest.param("import atexit\natexit.register(time.sleep, 60)", id="at-exit"),
        pytest.param("import signal\nsignal.signal(15, signal.SIG_IGN)", id="signals"),
    ],
)
def test_nothing_outlives_a_call_that_went_well(sandbox: Sandbox, lines: str) -> None:
    run(sandbox, lines)


@pytest.mark.parametrize("call", [41, 56, 57, 101, 165, 250, 272, 298, 321, 425, 435])
def test_system_calls_by_number_are_refused(sandbox: Sandbox, call: int) -> None:
    """Socket, clone, fork, ptrace, mount, keyctl, unshare, perf, bpf, io_uring, clone3."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    found = run(sandbox, f"print(ctypes.CDLL(None).syscall({call}, 2, 1, 0, 0, 0, 0))")
    assert found.output == "-1"


def test_a_listening_socket_gets_no_connection(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        with pytest.raises(FileFailed, match="PermissionError"):
            run(sandbox, f"socket.create_connection({server.getsockname()}, 1)")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_file_of_the_server_cannot_be_read(sandbox: Sandbox, open_folder: Path) -> None:
    secret = open_folder / "token"
    secret.write_text("secret")
    with pytest.raises(FileFailed, match=r"No such file|Permission"):
        run(sandbox, f"open({str(secret)!r}).read()")


def test_environment_and_descriptors_are_not_inherited(sandbox: Sandbox) -> None:
    lines = """assert all(name.endswith(("_NUM_THREADS", "LC_CTYPE")) for name in os.environ)
for number in range(4, 100):
    try: os.fstat(number)
    except OSError: continue
    raise ValueError(number)
assert os.getuid() != 0"""
    assert "PATH" in os.environ
    run(sandbox, lines)


def test_python_is_as_isolated_as_with_its_own_switch(sandbox: Sandbox) -> None:
    run(
        sandbox,
        """assert sys.flags.no_user_site and sys.flags.safe_path
assert '' not in sys.path and '/' not in sys.path and os.getcwd() not in sys.path""",
    )


def test_sets_have_the_same_order_in_every_sandbox(sandbox: Sandbox) -> None:
    lines = "print(list({f'choice {number}' for number in range(40)}))"
    with Sandbox(LIMITS) as other:
        assert run(sandbox, lines).output == run(other, lines).output


def test_one_file_sees_nothing_of_the_one_before(sandbox: Sandbox) -> None:
    run(sandbox, "import math\nmath.pi = 3\nsys.modules['planted'] = math")
    run(sandbox, "import math\nassert math.pi > 3.1 and 'planted' not in sys.modules")


def test_random_numbers_differ_from_call_to_call(sandbox: Sandbox) -> None:
    lines = "import random, numpy\nprint(random.random(), numpy.random.random())"
    first, second = (run(sandbox, lines).output.split() for _ in range(2))
    assert set(first).isdisjoint(second)


def test_what_a_search_space_suggests_is_checked(sandbox: Sandbox) -> None:
    asked: list[Any] = []
    forged = '{"op": "suggest", "name": "x", "distribution": {"type": "float", "low": 1e999}}'
    source = f"""
import os
def objective(trial):
    os.write(3, {(forged + chr(10)).encode()!r})
    raise ValueError(os.read(3, 999))
"""
    with pytest.raises(FileFailed, match="number that is not finite"):
        sandbox.run_objective(UserFile(source), 0, lambda *args: asked.append(args))
    assert asked == []


def test_a_forged_constraint_is_checked(sandbox: Sandbox) -> None:
    forged = '{"op": "ran", "constraints": {"a": 1%s}, "user_attrs": {}}\n' % ("0" * 400)
    with pytest.raises(FileFailed, match="Constraint a: Integers must lie between"):
        run(sandbox, f"os.write(3, {forged.encode()!r})\ntime.sleep(60)")


def test_a_forged_suggestion_that_leaves_things_out_is_completed(sandbox: Sandbox) -> None:
    asked: list[Any] = []
    forged = '{"op": "suggest", "name": "x", "distribution": {"type": "int", "low": 0, "high": 1}}'
    source = f"""
import os
def objective(trial):
    os.write(3, {(forged + chr(10)).encode()!r})
    os.read(3, 999)
"""

    def answer(_name: str, document: Mapping[str, Any]) -> Any:
        asked.append(document)
        return 0

    sandbox.run_objective(UserFile(source), 0, answer)
    assert asked == [{"type": "int", "low": 0, "high": 1, "log": False, "step": 1}]
    assert sandbox.describe(UserFile(source)).has_search_space
