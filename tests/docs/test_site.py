"""The site builds without warnings, its links resolve, and its pages load nothing from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import pytest

from tests.browser import CHROMIUM, title
from tests.helpers import ROOT

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "use": "href"}
"""The elements that make a browser load something, with the attribute that names it."""


SEARCH = """
const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
const wait = async (test) => {
  for (;;) {
    const found = all(document).find(test);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
};
addEventListener("load", async () => {
  (await wait((e) => e.matches(".md-search__button"))).click();
  const texts = "input[type=text], input[type=search], input:not([type])";
  const input = await wait((e) => e.offsetParent && e.matches(texts));
  input.value = "E030";
  input.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true }));
  document.title = (await wait((e) => e.matches("a[href*='h=E030']"))).href;
});
"""
"""Search for E030, and make the address of the first result the title of the page."""


@attrs.define
class Read:
    """What a page of the site has: anchors, links, and what it loads."""

    anchors: set[str] = attrs.field(factory=set)
    links: list[str] = attrs.field(factory=list)
    loads: list[str] = attrs.field(factory=list)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.read = Read()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        if identifier := given.get("id"):
            self.read.anchors.add(identifier)
        if tag == "a" and (link := given.get("href")):
            self.read.links.append(link)
        if (name := LOADING.get(tag)) and (loaded := given.get(name)) and given.get("rel") not in ("canonical",):
            self.read.loads.append(loaded)


def read(page: Path) -> Read:
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    return reader.read


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, built from a copy of its sources, and what the build printed."""
    root = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", root)
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("recipe", "tests"):  # mkdocstrings reads docstrings, and zensical.toml names an extension of it
        (root / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return root / "site", done.stdout


def unresolved(folder: Path) -> Iterator[str]:
    """Yield the links of pages in a folder that lead nowhere, and what is loaded from elsewhere."""
    pages = {path: read(path) for path in folder.rglob("*.html") if path.name != "404.html"}  # a server's page
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{path.relative_to(folder)} loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                yield f"{path.relative_to(folder)}: {link}"


@pytest.mark.slow
def test_the_site_builds_without_warnings(site: tuple[Path, str]) -> None:
    assert "No issues found" in site[1]
    assert "Warning" not in site[1]


@pytest.mark.slow
def test_links_of_the_site_resolve_and_nothing_is_loaded_from_elsewhere(site: tuple[Path, str]) -> None:
    assert len([*site[0].rglob("*.html")]) > 20
    assert [*unresolved(site[0])] == []


@pytest.mark.slow
def test_the_search_has_its_index(site: tuple[Path, str]) -> None:
    """A page that is opened as a file can't fetch, so the index is a script."""
    index = (site[0] / "search.js").read_text("utf-8")
    assert "E030: conflicting tricks" in index
    assert 'src="./assets/iframe-worker.js"' in (site[0] / "index.html").read_text("utf-8")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_search_works_in_a_page_that_is_opened_as_a_file(site: tuple[Path, str], tmp_path: Path) -> None:
    page = site[0] / "driven.html"
    page.write_text((site[0] / "index.html").read_text("utf-8").replace("</body>", f"<script>{SEARCH}</script></body>"))
    found = title(page, tmp_path / "profile", milliseconds=20_000)
    page.unlink()
    assert found.endswith("reference/codes.html?h=E030#e030-conflicting-tricks")


def test_the_navigation_has_every_page() -> None:
    def named(entries: list[Any]) -> Iterator[str]:
        for entry in entries:
            for below in entry.values():
                yield from [below] if isinstance(below, str) else named(below)

    nav = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(named(nav)) == sorted(pages)


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    links = '<a href="#top"></a><a href="b.html#top"></a><img src="no.png">'
    (tmp_path / "a.html").write_text(f'<h1 id="top">A</h1>{links}')
    links = '<a href="a.html#top"></a><a href="https://a.org"></a><script src="//b.org"></script>'
    (tmp_path / "b.html").write_text(links)
    assert sorted(unresolved(tmp_path)) == ["a.html: b.html#top", "a.html: no.png", "b.html loads //b.org"]
