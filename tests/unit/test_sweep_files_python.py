"""Sweep files for W&B's schedulers that name Python: in a file beside them, or in an artifact."""

import json
import re
from pathlib import Path

import pytest

from service.cli.sweep.wishes import Wishes, draft_wished
from service.sweep_files import Defaults, Dialect, draft_sweep_file
from tests.unit.scheduler_file_use import ENGINE, LAUNCH, SOURCES, FewSources, list_notes, read


def test_python_of_the_launch_scheduler() -> None:
    text = LAUNCH + "scheduler: {settings: {optuna_source: %s, sampler: {type: QMCSampler}}}\n"

    space, tools = read(text % "search.py"), read(text % "tools.py")

    assert space.document["python"] == {"source": SOURCES["search.py"]}
    assert "space" not in space.document
    assert space.document["sampler"] == {"type": "QMCSampler"}
    assert space.document["pruner"] == {"type": "MedianPruner"}
    assert any("the Python file declares the parameters" in each for each in list_notes(space))
    assert tools.document["python"] == {"source": SOURCES["tools.py"]}
    assert tools.document["space"].keys() == {"n"}
    assert {"sampler", "pruner"}.isdisjoint(tools.document)
    assert "As in W&B, that of the Python file counts." in list_notes(tools)


@pytest.mark.parametrize(
    "named",
    [
        "optuna_source: 'digits/search:latest'",
        "artifact: 'digits/search:latest'",
        "artifact: 'digits/search:latest', optuna_source: 'digits/search:latest'",
    ],
)
def test_python_in_an_artifact(named: str) -> None:
    sources = FewSources()
    settings = f"{{{named}, optuna_source_filename: search.py}}"
    text = f"{LAUNCH}entity: acme\nscheduler: {{settings: {settings}}}\n"

    file = draft_sweep_file(text, Defaults(name="s"), sources)

    file.problems.check()
    (wanted,) = sources.wanted
    assert (wanted.artifact, wanted.file) == ("digits/search:latest", "search.py")
    assert (wanted.entity, wanted.project) == ("acme", "digits")
    assert file.document["python"] == {"source": SOURCES["search.py"]}
    assert file.document["user_attrs"] == {
        "python_source": "wandb-artifact://acme/digits/search:v3/search.py"
    }
    assert "space" not in file.document
    assert file.document["pruner"] == {"type": "MedianPruner"}
    assert any("search.py of acme/digits/search:v3" in each for each in list_notes(file))


def test_a_file_needs_no_name_in_an_artifact() -> None:
    settings = "{optuna_source: search.py, optuna_source_filename: tools.py}"

    file = read(f"{LAUNCH}scheduler: {{settings: {settings}}}\n")

    assert file.document["python"] == {"source": SOURCES["search.py"]}
    assert "`optuna_source` is a file itself, so this has no effect." in list_notes(file)


def test_python_needs_no_parameters() -> None:
    text = "job: a/b/c:v1\nproject: p\nlaunch: {queue: q}\nmetric: {name: loss}\n"
    file = read(f"{text}scheduler: {{settings: {{optuna_source: search.py}}}}\n")

    assert file.dialect is Dialect.WANDB
    assert file.find_place("python.source") == file.places["python.source"]


def test_python_of_wandbs_sweep_scheduler() -> None:
    functions = "engine: optuna, source: search.py, search_space: objective, optimizer: build"

    file = read(f"{ENGINE}scheduler: {{{functions}}}\n")

    assert file.document["python"] == {
        "source": SOURCES["search.py"],
        "search_space": "objective",
        "optimizer": "build",
    }
    assert "space" not in file.document


@pytest.mark.parametrize(
    "scheduler",
    [
        "{engine: optuna, source: search.py, search_space: objective}",
        "{settings: {optuna_source: search.py}}",
        "{settings: {optuna_source: 'acme/digits/search:latest'}}",
    ],
)
def test_the_server_opens_no_file(scheduler: str) -> None:
    file = draft_sweep_file(f"{ENGINE}scheduler: {scheduler}\n", Defaults(name="s"))

    (error,) = file.problems.to_error().errors
    assert re.search("`asktell sweep run` .*sends the text.* under `python: ", error.message)


def test_python_in_our_own_form() -> None:
    body = {
        "direction": "minimize",
        "python": {"source": SOURCES["search.py"], "objective": "objective"},
        "launch": {"program": "train.py"},
    }

    assert read(json.dumps(body)).document == body | {"name": "s"}


def test_the_command_line_reads_what_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text(SOURCES["search.py"])
    text = f"{LAUNCH}scheduler: {{settings: {{optuna_source: ./search.py}}}}\n"

    found = draft_wished(text, Wishes(), name="s", directory=str(tmp_path))
    lacking = draft_wished(text, Wishes(), name="s", directory=str(tmp_path / "elsewhere"))

    assert found.document["python"] == {"source": SOURCES["search.py"]}
    assert "cannot be read: No such file" in lacking.problems.to_error().message


def test_the_method_bayes_is_no_gaussian_process_where_python_declares_the_parameters() -> None:
    text = f"{LAUNCH}scheduler: {{settings: {{method: bayes, optuna_source: search.py}}}}\n"

    file = draft_sweep_file(text, Defaults(name="s", has_gp=True), FewSources())

    assert file.document["sampler"] == {"type": "TPESampler"}
    assert any("TPESampler here: of parameters that Python declares" in each for each in file.notes)
