"""Settings and scopes in the documentation are those that there are."""

import runpy
from pathlib import Path

from tests.docs.blocks import PAGES, ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "document_tables.py"))


def test_the_tables_are_up_to_date() -> None:
    for page in PAGES:
        assert SCRIPT["render"](page.read_text()) == page.read_text(), f"run {SCRIPT['__file__']}"


def test_each_table_is_in_one_page() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for name in SCRIPT["TABLES"]:
        assert text.count(f"<!-- {name}: written by") == 1


def test_a_stale_table_is_found(tmp_path: Path) -> None:
    marker = "<!-- scopes: written by scripts/document_tables.py -->\n"
    rendered = SCRIPT["render"](f"{marker}| `GET /gone` |\n<!-- end -->")
    assert "/gone" not in rendered
    assert "| `POST /studies/{study}/ask` | yes | yes |" in rendered
