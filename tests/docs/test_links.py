"""The links of all Markdown files resolve: the file exists, and it has the heading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.markdown import anchors, links
from tests.helpers import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "AGENTS.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def unresolved(page: Path, within: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a page, which may not lead out of a folder."""
    for line, target in links(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / unquote(file)).resolve() if file else page
        if not path.exists():
            yield f"line {line}: no file {target}"
        elif not path.is_relative_to(within):
            yield f"line {line}: {target} is outside of {within.name}/"
        elif anchor and anchor not in _anchors(path):
            yield f"line {line}: no heading {target}"


def _anchors(path: Path) -> set[str]:
    text = path.read_text("utf-8")
    named = {line.removeprefix("::: ") for line in text.splitlines() if line.startswith("::: ")}
    return anchors(text) | named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page: Path) -> None:
    docs = ROOT / "docs"
    assert [*unresolved(page, docs if page.is_relative_to(docs) else ROOT)] == []


def test_links_that_do_not_resolve_are_found(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "README.md").write_text("# Top\n")
    (docs / "other.md").write_text("# A *b* `c.d`: E030\n\n## Same\n\n## Same\n\n```sh\n# Not a heading\n```\n")
    page = docs / "page.md"
    good = "[x](other.md#a-b-cd-e030) [y](other.md#same-1) [z](#here) ![p](other.md) [w](https://example.org/none)"
    page.write_text(f"# Here\n\n{good}\n\n```text\n[code](none.md)\n```\n\n`[code](none.md)`\n")
    assert [*unresolved(page, docs)] == []
    page.write_text("[x](none.md)\n[y](other.md#not-a-heading)\n[z](../README.md)\n[w](#there)\n")
    assert [*unresolved(page, docs)] == [
        "line 1: no file none.md",
        "line 2: no heading other.md#not-a-heading",
        "line 3: ../README.md is outside of docs/",
        "line 4: no heading #there",
    ]
