"""The fenced blocks of a page, and what a comment right before each says of it.

| comment | the block |
| --- | --- |
| none | is run, or checked, by its kind |
| `<!-- file: NAME -->` | is written to this file; one of YAML is a sweep file, and checked |
| `<!-- in a terminal of its own -->` | goes on while those after it run |
| `<!-- a search space -->` | is the `space` of a study |
| `<!-- not run: REASON -->` | is for readers; it must be well-formed all the same |
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "sdk" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

KINDS = frozenset({"sh", "console", "python", "yaml", "json", "ini", "text"})
BESIDE = "in a terminal of its own"
SPACE = "a search space"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One of them.

    Attributes:
        line: The page's line before its first one.
        note: What the comment says; "" without one.
    """

    page: Path
    line: int
    kind: str
    text: str
    note: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run: ")

    @property
    def file_name(self) -> str | None:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None

    def find_problem(self) -> str | None:
        """What nobody could do anything with; None if all is well."""
        if self.kind not in KINDS:
            return f"{self.place}: a block of the kind {self.kind!r}, which is not run"
        if self.note in ("", BESIDE, SPACE) or self.file_name or re.match("not run: .", self.note):
            return None
        return f"{self.place}: a comment that means nothing here: {self.note}"


def read_blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        yield Block(page, line, found["kind"], found["text"], found["note"] or "")
