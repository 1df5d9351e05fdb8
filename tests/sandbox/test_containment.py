"""What keeps user files in: each way by itself, and the processes that start them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.sandbox import Sandbox, SandboxUnavailable, UserFile
from service.sandbox.containment import contains_files, cuts_network, describe_ways
from service.sandbox.inside.syscalls import find_syscalls
from tests.sandbox.conftest import LIMITS, list_sandbox_processes

EMPTY = UserFile("def objective(trial): pass")
ENDLESS = UserFile(
    "def objective(trial):\n    trial.suggest_float('x', 0, 1)\n    while True: pass"
)
WAYS = (
    *("network", "ipc", "processes", "user", "own files"),
    *("calls", "landlock", "limits", "memory", "new rights"),
)
WRITTEN = Path(f"/tmp/asktell-sandbox-{os.getpid()}")
ATTEMPTS = {
    "read": lambda: Path("/etc/passwd").read_text(),
    "write": lambda: WRITTEN.write_text("x"),
    "tamper": lambda: os.close(os.open(os.__file__, os.O_WRONLY)),
    "create": lambda: os.close(os.open("/", os.O_TMPFILE | os.O_WRONLY)),  # a file without a name
    "chroot": lambda: os.chroot("/"),
    "fork": lambda: os.fork() or os._exit(0),
    "signal": lambda: os.kill(os.getppid(), 0),
}

REFUSED = {
    "landlock": dict.fromkeys(("read", "write", "tamper", "create"), "EACCES"),
    "calls": {
        **dict.fromkeys(("write", "tamper", "create"), "EACCES"),
        **dict.fromkeys(("chroot", "fork", "signal"), "EPERM"),
    },
    # A file to write to is not there; but where Python lies beside it, its folder is.
    "own files": {"read": "ENOENT", "tamper": "EROFS", "create": "EROFS"},
    "capabilities": {"chroot": "EPERM"},
    "limits": {"write": "EFBIG", "fork": "EAGAIN"},
}


def suggest(_name: str, _document: Mapping[str, Any]) -> Any:
    return 0.5


def test_what_is_in_force_is_said(sandbox: Sandbox) -> None:
    sentences = sandbox.describe_containment()
    assert len(sentences) == len(WAYS)
    assert all(each.startswith(("In force: ", "Not in force: ")) for each in sentences)


def test_network_is_cut_by_either_of_two_ways() -> None:
    none_works = dict.fromkeys(WAYS, "Operation not permitted")
    assert not cuts_network(none_works)
    assert cuts_network(none_works | {"network": ""})
    assert cuts_network(none_works | {"calls": ""})
    assert describe_ways(none_works | {"calls": ""})[:2] == [
        "In force: a user file can make no system calls but those of plain computing: no sockets, "
        "no new processes.",
        "Not in force: a user file sees the network's interfaces (Operation not permitted).",
    ]


def test_files_are_kept_by_either_of_two_ways_and_not_by_the_filter() -> None:
    none_works = dict.fromkeys(WAYS, "Operation not permitted")
    assert not contains_files(none_works | {"network": "", "calls": ""})
    assert contains_files(none_works | {"own files": ""})
    assert contains_files(none_works | {"landlock": ""})


@pytest.mark.parametrize("gone", [{"network", "calls"}, {"own files", "landlock"}])
def test_contained_means_from_the_network_and_from_files(gone: set[str]) -> None:
    with Sandbox(LIMITS) as opened:
        all_work = dict.fromkeys(WAYS, "")
        opened._facts = all_work
        assert opened.is_contained
        opened._facts = all_work | dict.fromkeys(gone, "Operation not permitted")
        assert not opened.is_contained


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these")
def test_each_way_holds_by_itself() -> None:
    """Namespaces and filters overlap: one that does nothing would not show in other tests."""
    program = "from tests.sandbox.test_containment import try_each_way; try_each_way()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    refused = json.loads(done.stdout)
    for way, expected in REFUSED.items():
        if way in refused:
            assert refused[way].items() >= expected.items(), way
    if "own files" in refused:
        assert refused["own files"]["write"] in ("ENOENT", "EROFS")


def try_each_way() -> None:
    """Print by way, if the kernel allows it, what it makes fail and how; runs in a process."""
    from service.sandbox.inside import landlock, own_root, sealing, seccomp, system

    folders = own_root.list_python_folders()
    steps: dict[str, list[Any]] = {
        "landlock": [system.forbid_new_rights, lambda: landlock.read_only(folders)],
        "calls": [system.forbid_new_rights, seccomp.refuse_other_calls],
        "capabilities": [system.drop_capabilities],
        "own files": [lambda: own_root.enter_own_root(folders)],
        "limits": [
            sealing._become_nobody,
            lambda: sealing._set_limits({"cpu_seconds": 9, "memory_bytes": 2**30}, 0),
        ],
    }
    WRITTEN.touch()
    WRITTEN.chmod(0o666)
    found = {way: _try_alone(each) for way, each in steps.items()}
    WRITTEN.unlink()
    print(json.dumps({way: refused for way, refused in found.items() if refused is not None}))


def _try_alone(steps: list[Any]) -> dict[str, str] | None:
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(_list_refused(steps)).encode())
        os._exit(0)
    os.wait()
    refused: dict[str, str] | None = json.loads(os.read(reading, 65536))
    return refused


def _list_refused(steps: list[Any]) -> dict[str, str] | None:
    import errno

    try:
        for step in steps:
            step()
    except OSError:
        return None
    refused = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            refused[name] = errno.errorcode[error.errno or 0]
    return refused


@pytest.mark.parametrize(("machine", "clone", "pipe"), [("x86_64", 56, 293), ("aarch64", 220, 59)])
def test_each_architecture_has_its_numbers(
    monkeypatch: pytest.MonkeyPatch, machine: str, clone: int, pipe: int
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    found = find_syscalls()
    assert found is not None
    assert found.conditional["clone"] == clone
    assert pipe in found.free
    assert not set(found.conditional.values()) & set(found.free)
    assert len(set(found.free)) == len(found.free)


def test_an_unknown_architecture_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert find_syscalls() is None


def test_nothing_runs_before_the_first_call_or_after_the_last() -> None:
    before = list_sandbox_processes()
    with Sandbox(LIMITS) as opened:
        assert list_sandbox_processes() == before
        opened.run_objective(EMPTY, 0, suggest)
        zygote = list_sandbox_processes() - before
        assert zygote
        opened.run_objective(EMPTY, 1, suggest)
        assert list_sandbox_processes() - before == zygote

        def close(_name: str, _document: Mapping[str, Any]) -> Any:
            opened.close()
            return 0.5

        with pytest.raises(SandboxUnavailable, match="was killed"):
            opened.run_objective(ENDLESS, 0, close)
        assert list_sandbox_processes() == before
    with pytest.raises(SandboxUnavailable, match="closed"):
        opened.run_objective(EMPTY, 0, suggest)


def test_a_killed_zygote_is_replaced() -> None:
    before = list_sandbox_processes()

    def kill_all(_name: str, _document: Mapping[str, Any]) -> Any:
        # The oldest first: one that lives on would tell how its child has ended.
        for process in sorted(list_sandbox_processes() - before):
            os.kill(process, signal.SIGKILL)
        return 0.5

    with Sandbox(LIMITS) as opened:
        with pytest.raises(SandboxUnavailable, match="was killed"):
            opened.run_objective(ENDLESS, 0, kill_all)
        while list_sandbox_processes() != before:  # They were killed, and take their time.
            os.sched_yield()
        opened.run_objective(EMPTY, 0, suggest)


def test_calls_run_at_once_and_each_gets_its_own_answers(sandbox: Sandbox) -> None:
    source = "def objective(trial):\n    print(trial.suggest_int('n', 0, 99))"
    together = threading.Barrier(4)

    def run(number: int) -> str:
        def answer(_name: str, _document: Mapping[str, Any]) -> Any:
            together.wait()
            return number

        return sandbox.run_objective(UserFile(source), number, answer).output

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(4))) == ["0", "1", "2", "3"]
