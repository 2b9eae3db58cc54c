"""The canonical layout that `recipe fmt` writes. It preserves words, their order, and comments."""

from __future__ import annotations

from recipe.language.ast import Recipe


def plain(text: str) -> str:
    """Return text without its byte order mark and with LF line endings, as recipes require."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def layout(recipe: Recipe) -> str:
    """Format a recipe: one statement per line, single spaces, at most one blank line in a row.

    A comment stays on its own line or after the last statement of its line.
    """
    lines: dict[int, list[str]] = {}
    for node in recipe.statements:
        lines.setdefault(node.span.line, []).append(str(node))
    for comment in recipe.comments:
        text = comment.text.rstrip()
        here = lines.setdefault(comment.span.line, [])
        if here:
            here[-1] += f"  {text}"
        else:
            here.append(text)
    written: list[str] = []
    last = None
    for number, here in sorted(lines.items()):
        if last is not None and number > last + 1:
            written.append("")
        written += here
        last = number
    return "".join(f"{line}\n" for line in written)
