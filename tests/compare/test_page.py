"""The page: it shows what differs, loads nothing, and fits the window of a real browser."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, title
from tests.compare.helpers import compared

PAIRS = {
    "tweaks": ("base resnet50; tweak A", "base resnet50; tweak C D; lr warmup 5 cosine; batch 1024; decay no-bias"),
    "bases": ("base resnet18; data digits", "base resnet34"),
    "nothing": ("base resnet18", "base resnet18"),
}

# Find every element that is wider than the window or its box, and boxes of a grid that overlap.
SCRIPT = """
const page = document.querySelector('iframe').contentDocument;
page.querySelectorAll('details').forEach(d => { d.open = true; });
const wide = page.documentElement.scrollWidth - page.documentElement.clientWidth;
const over = [...page.querySelectorAll('body *')].filter(e =>
  !(e instanceof page.defaultView.SVGElement) && e.clientWidth && e.scrollWidth > e.clientWidth + 1
  && getComputedStyle(e).display !== 'inline').map(e => e.tagName + '.' + e.className);
let lap = 0;
page.querySelectorAll('.pair').forEach(p => { const [a, b] = [...p.children].map(c => c.getBoundingClientRect());
  if (a && b && a.right > b.left + 1) lap += 1; });
const ground = page.defaultView.getComputedStyle(page.body).backgroundColor;
document.title = JSON.stringify({wide, over, lap, ground, nodes: page.querySelectorAll('.node').length});
"""


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "polyline", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("pair", PAIRS)
def test_the_page_is_well_formed_and_loads_nothing(pair: str) -> None:
    page = compared(*PAIRS[pair]).to_html()
    parser = _Tags()
    parser.feed(page)
    assert parser.open == []
    assert parser.loads == []
    assert "http" not in page
    assert "@import" not in page and "url(" not in page  # noqa: PT018


def test_the_page_shows_every_operation_and_marks_what_differs() -> None:
    found = compared(*PAIRS["tweaks"])
    page = found.to_html()
    for change in ("added", "removed", "changed"):
        boxes = len(re.findall(rf'<details class="node {change}"', page))
        sides = 2 if change == "changed" else 1
        assert boxes == sides * sum(row.change == change for row in found.rows)
    for node in (*found.a.nodes, *found.b.nodes):
        assert f"<summary>{html.escape(node.address)} " in page
    assert "MACs: 118,013,952" in page  # hover over conv1
    assert page.count("<polyline") == 2


def test_text_of_a_recipe_is_escaped() -> None:
    from recipe.compare.api import Diff
    from tests.compare.helpers import known

    plan, facts = known("base resnet18")
    assert "<script>" not in Diff.between("<script>", plan, facts, "b", plan, facts).to_html()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("pair", PAIRS)
def test_the_page_fits_in_a_browser(pair: str, width: int, dark: bool, tmp_path: Path) -> None:
    page = html.escape(compared(*PAIRS[pair]).to_html(), quote=True)
    frame = f'<iframe srcdoc="{page}" style="width:{width}px;height:2000px;border:0"></iframe>'
    scheme = "dark" if dark else "light"
    style = f"<style>:root{{color-scheme:{scheme}}} iframe{{color-scheme:{scheme}}} body{{margin:0}}</style>"
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!doctype html>{style}<body>{frame}<script>onload = () => {{{SCRIPT}}}</script>")
    flags = [f"--window-size={max(width, 500)},2000"]
    if dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    found = json.loads(html.unescape(title(outer, tmp_path / "profile", *flags)))
    assert (found["wide"], found["over"], found["lap"]) == (0, [], 0)
    assert found["ground"] == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    assert found["nodes"] > 60
