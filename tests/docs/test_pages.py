"""Whoever follows a page of the documentation word for word gets what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import asktell
import optuna
import pytest

from service.storage.database import Database
from tests.docs.blocks import PAGES, ROOT, Block, read_blocks
from tests.docs.machine import Machine, Reader, check_shown, check_yaml
from tests.plain_optuna import open_rdb_storage

BLOCKS = [block for page in PAGES for block in read_blocks(page)]
FOLLOWED = [page for page in PAGES if any(block.is_run for block in read_blocks(page))]
# Speaks the worker's protocol by itself, so nobody else may claim what it is to get.
API = ROOT / "docs" / "api.md"
# Of Markdown, and of the pictures' HTML.
LINKS = re.compile(r"""(?:\]\(|\bsrc(?:set)?=")([^)\s"]+)[)"]""")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def machines(shared_open_folder: Path, prepared_data: Path) -> Iterator[Callable[[int], Machine]]:
    """Machines by the slots of their workers; each is there once it is asked for."""
    with ExitStack() as running:

        def start(slots: int) -> Machine:
            data_dir = shared_open_folder / f"data-{slots}"
            subprocess.run(["cp", "-a", prepared_data, data_dir], check=True)
            machine = Machine(data_dir, slots=slots)
            running.enter_context(machine.serving())
            return machine

        yield cache(start)


@pytest.fixture
def reader(page: Path, machines: Callable[[int], Machine], open_folder: Path) -> Iterator[Reader]:
    reader = Reader(machines(0 if page == API else 2), open_folder)
    yield reader
    reader.close()


@pytest.mark.skipif(
    shutil.which("curl") is None and os.environ.get("CI") != "true",
    reason="needs curl, which CI installs",
)
@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_can_be_followed(page: Path, reader: Reader) -> None:
    if page == API:
        make_plain_study(reader.machine.database)
    reader.follow(page)


def test_a_job_of_the_tutorial_needs_the_sdk_alone(
    machines: Callable[[int], Machine], tmp_path: Path
) -> None:
    """Another environment stands for the node of a cluster that it runs on."""
    machine = machines(2)
    (job,) = (block.text for block in BLOCKS if block.file_name == "job.py")
    (tmp_path / "job.py").write_text(job.replace('"cluster"', '"elsewhere"'))
    environ = {"ASKTELL_URL": machine.url, "ASKTELL_TOKEN": machine.token}

    python = install_sdk(tmp_path)
    subprocess.run([python, "job.py"], cwd=tmp_path, env=environ, check=True)

    with asktell.Client(machine.url, machine.token) as client:
        assert len(client.get_study("elsewhere").trials) == 12
    assert not list(tmp_path.glob("environment/lib/*/site-packages/optuna"))


def test_every_block_is_run_or_says_why_not() -> None:
    problems = [problem for block in BLOCKS if (problem := block.find_problem())]
    assert not problems, "\n".join(problems)
    fences = sum(len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert fences == 2 * len(BLOCKS), "there are blocks that the tests do not see"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if not block.is_run], ids=lambda block: block.place
)
def test_what_is_not_run_is_well_formed(block: Block) -> None:
    match block.kind:
        case "json":
            json.loads(block.text)
        case "yaml":
            check_yaml(block.text)
        case "python":
            compile(block.text.replace("…", "..."), block.place, "exec")
        case "sh":
            subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINKS.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not _leads_somewhere(page, link)] == []


def test_what_a_page_shows_is_looked_for() -> None:
    printed = "one 12.5 (a thing)\nanother line\ntwo 7\n"
    check_shown(["one 3   (…)", "two 1"], printed, "here")
    for wrong in (["two 1", "one 3 (…)"], ["one two (…)"], ["three"]):
        with pytest.raises(AssertionError, match="not in its place"):
            check_shown(wrong, printed, "here")


def install_sdk(folder: Path) -> Path:
    """The Python of a new environment with the SDK and what it needs."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*build, ROOT / "sdk"], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment")
    python = folder / "environment" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-compile"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    return python


def make_plain_study(database: Database) -> None:
    """What the page about the API adopts."""
    with open_rdb_storage(database) as storage:
        optuna.create_study(study_name="old", storage=storage)


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, part = link.partition("#")
    target = page if not path else page.parent / path
    return target.exists() and (not part or part in _list_anchors(target))


def _list_anchors(page: Path) -> list[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return [
        re.sub(r"[^\w -]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(
            " ", "-"
        )
        for heading in headings
    ]
