"""Which programs a worker runs, and what it says of the others."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.schedulers.executors.base import LaunchRefused
from service.schedulers.executors.process.commands import CommandContext, build_command
from service.schedulers.executors.process.programs import AllowedPrograms, check_program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A worker's folder with a script, a program and a text file."""
    for name, mode in (("train.py", 0o644), ("run.sh", 0o755), ("notes.sh", 0o644)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("")
    (tmp_path / "bin" / "tool").chmod(0o755)
    return tmp_path


def check(folder: Path, command: Sequence[str], *allowed: str) -> None:
    context = CommandContext(None, "python", {}, "")
    check_program(
        build_command(command, {}, context),
        directory=folder,
        search_path=f"{folder}/nothing{os.pathsep}bin",
        allowed=AllowedPrograms.from_patterns(allowed or [f"{folder}/*"]),
        outputs=[folder / "attempts", folder / "wandb"],
    )


@pytest.mark.parametrize(
    "command",
    [
        ["${env}", "${interpreter}", "train.py"],
        ["${interpreter}", "./train.py"],
        ["./run.sh"],
        ["${env}", "./run.sh"],
        ["tool"],
        ["bin/tool"],
    ],
)
def test_programs_of_the_folder_are_allowed(folder: Path, command: list[str]):
    check(folder, command)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["${interpreter}", "gone.py"], r"gone\.py: no such file in /"),
        (["${interpreter}", "tool"], r"tool: no such file in /"),
        (["./gone"], r"\./gone: no such file"),
        (["run.sh"], r"run\.sh: no such program on PATH\. A script here is \./run\.sh"),
        (["./notes.sh"], r"permission denied\. Make it executable \(chmod \+x\)"),
        (["/bin/sh"], r"--allow-program '/.*sh'"),
        (["/bin/sh", "./run.sh"], "--allow-program"),
        (["${env}", "/bin/sh"], "--allow-program"),
        (["${interpreter}", "../x.py"], "no such file"),
        (["${interpreter}", "-c", "pass"], r"'-c', which is no file .* --allow-program '\*'"),
        (["${interpreter}", "-m", "train"], r"--allow-program '\*'"),
        (["${env}", "A=1", "./run.sh"], r"'A=1', which is no file"),
        (["${env}", "-S", "./run.sh"], r"'-S', which is no file"),
    ],
)
def test_refusal_says_what_to_do(folder: Path, command: list[str], message: str):
    with pytest.raises(LaunchRefused, match=message):
        check(folder, command)


def test_link_is_judged_by_where_it_leads(folder: Path):
    (folder / "link.sh").symlink_to("/bin/sh")

    with pytest.raises(LaunchRefused, match=r"link\.sh \(/.*\) is not among the programs"):
        check(folder, ["./link.sh"])
    check(folder, ["./link.sh"], str(Path("/bin/sh").resolve()))


def test_folder_that_is_a_link_may_be_in_a_pattern(folder: Path):
    link = folder.parent / f"{folder.name}-link"
    link.symlink_to(folder)

    check(link, ["./run.sh"], f"{link}/*.sh")
    check(folder, ["./run.sh"], f"{link}/run.sh")


def test_only_the_single_star_allows_what_is_no_file(folder: Path):
    check(folder, ["${interpreter}", "-m", "train"], "*")
    with pytest.raises(LaunchRefused):
        check(folder, ["${interpreter}", "-m", "train"], "/*", "**")


@pytest.mark.parametrize("pattern", ["{folder}/*", "*"])
@pytest.mark.parametrize("output", ["attempts/k3v9x2ab-0-1/log.0", "wandb/run-1/output.log"])
def test_what_programs_have_printed_is_no_program(folder: Path, pattern: str, output: str):
    log = folder / output
    log.parent.mkdir(parents=True)
    log.write_text("print('hello')")
    (folder / "link.py").symlink_to(log)

    for program in (output, "link.py"):
        with pytest.raises(LaunchRefused, match="folder of an attempt"):
            check(folder, ["${interpreter}", program], pattern.format(folder=folder))


def test_star_does_not_make_up_programs(folder: Path):
    with pytest.raises(LaunchRefused, match="no such file"):
        check(folder, ["${interpreter}", "gone.py"], "*")


def test_neighbour_of_the_folder_is_not_in_it(folder: Path):
    beside = folder.parent / f"{folder.name}-beside"
    beside.mkdir()
    (beside / "x.py").write_text("")

    with pytest.raises(LaunchRefused, match="not among"):
        check(folder, ["${interpreter}", f"../{beside.name}/x.py"])


def test_missing_working_directory_is_named(folder: Path):
    with pytest.raises(LaunchRefused, match=r"/gone is no folder of this machine"):
        check(folder / "gone", ["./run.sh"], "*")


def test_named_interpreter_is_told_about_the_macro(folder: Path):
    (folder / "bin" / "python3").write_text("")
    (folder / "bin" / "python3").chmod(0o755)

    with pytest.raises(LaunchRefused, match=r"write \$\{interpreter\} in its place"):
        check(folder, ["${env}", "python3", "train.py"], "/nowhere/*")
