"""Text from outside, such as recipes, file names, class names and exceptions, as text that is safe to show.

Data keeps the exact text. It is made printable where it is rendered: on a terminal, in a log, a table, a page or a
chart.
"""

from __future__ import annotations

import os
import re
import shlex


def printable(text: object) -> str:
    r"""Return text on one line, with every character that a terminal would obey or not show replaced by its escape.

    These are line breaks, controls, marks that reverse the direction of text, characters without width, and halves of
    characters that could not be decoded.

    >>> print(printable("a\x1b[31mb\nc"))
    a\x1b[31mb\nc
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in shown)


def printable_lines(text: object) -> str:
    """Return text made printable, except that its line breaks stay."""
    return "\n".join(map(printable, str(text).split("\n")))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def markdown(text: object) -> str:
    r"""Return text as Markdown that shows it literally, also in a table.

    >>> print(markdown("a|b <script> `x` wide_resnet"))
    a\|b \<script> \`x\` wide_resnet
    """
    return re.sub(r"[\\`*\[\]<|~&$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))


def python_string(text: str) -> str:
    r"""Return the source of a string in Python, on one line, with every character that can't be seen escaped.

    >>> print(python_string('a"b\n'))
    "a\"b\n"
    """
    return '"' + "".join(f"\\{letter}" if letter in '"\\' else printable(letter) for letter in text) + '"'


def command_line(*words: str | os.PathLike[str]) -> str:
    r"""Return a command that a shell splits into exactly these words, with all of its characters printable.

    >>> print(command_line("recipe", "run", "--resume=my runs/x"))
    recipe run '--resume=my runs/x'
    """
    return " ".join(_word(os.fspath(word)) for word in words)


def _word(word: str) -> str:
    quoted = shlex.quote(word)
    if quoted.isprintable():
        return quoted
    return "$'" + "".join(map(_in_quotes, word)) + "'"  # the shell reads escapes in these


def _in_quotes(letter: str) -> str:
    if letter.isprintable() and letter not in "\\'":
        return letter
    bytes_of = letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
    return "".join(map(r"\x{:02x}".format, bytes_of))


def path_word(path: str | os.PathLike[str]) -> str:
    """Return a path as a word of a command that can't be read as an option: ``./-x`` for ``-x``."""
    text = os.fspath(path)
    return os.path.join(os.curdir, text) if text.startswith("-") else text
