"""The canonical layout of a recipe: what `recipe fmt` writes. Words, order and comments stay as they are."""

from __future__ import annotations

from recipe.language.ast import Recipe


def plain(text: str) -> str:
    """Text without a byte order mark and with plain line ends, which is what a recipe must be."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def layout(recipe: Recipe) -> str:
    """The text that `recipe fmt` writes: one statement a line, single blanks, at most one empty line in a row.

    A comment keeps its place: on a line of its own, or behind the last statement of its line.
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
