"""HTML that notebooks show in place of an object's text."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Sequence
from html import escape

from recipe.base.printable import printable, printable_lines


def preformatted(text: str) -> str:
    r"""Return text as HTML that keeps its lines and columns.

    >>> preformatted("a < b\n")
    '<pre>a &lt; b\n</pre>'
    """
    return f"<pre>{escape(printable_lines(text))}</pre>"


def framed(page: str) -> str:
    """Return a whole page as HTML that keeps its styles to itself."""
    return f'<iframe srcdoc="{escape(page)}" style="width: 100%; height: 40rem; border: 0"></iframe>'


def data_url(png: bytes) -> str:
    """Return a PNG picture as an address that holds the picture itself.

    >>> data_url(b"not a picture")
    'data:image/png;base64,bm90IGEgcGljdHVyZQ=='
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def table(rows: Iterable[Sequence[object]], right: Collection[int] = ()) -> str:
    """Return rows as an HTML table, the first one as its heading. ``right`` are the columns of numbers."""
    first, *rest = rows
    body = "".join(_row(row, "td", right) for row in rest)
    return f"<table><thead>{_row(first, 'th', right)}</thead><tbody>{body}</tbody></table>"


def paragraphs(lines: Iterable[str]) -> str:
    """Return each line as a paragraph, with what is in backticks as code."""
    return "".join(f"<p>{marked(line)}</p>" for line in lines)


def blocks(lines: Iterable[str]) -> str:
    """Return lines one below the other, without space between them, with what is in backticks as code."""
    return "".join(f"<div>{marked(line)}</div>" for line in lines)


def marked(line: str) -> str:
    """Return the text of a message as HTML, on one line, with what is in backticks as code.

    >>> marked("`a<b` is not `c`")
    '<code>a&lt;b</code> is not <code>c</code>'
    """
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(printable(line)))


def _row(cells: Sequence[object], tag: str, right: Collection[int]) -> str:
    sides = ("right" if at in right else "left" for at in range(len(cells)))
    shown = (
        f'<{tag} style="text-align: {side}">{escape(printable(cell))}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"
