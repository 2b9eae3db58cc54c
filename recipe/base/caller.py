"""Who called this package, the command line or a program in Python, and what a message asks that caller to do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from recipe.base.printable import command_line, path_word, python_string

_commands = 0

SWITCHES = {
    "--allow-changed": "allow_changed=True",
    "--resume": "resume=True",
    "--skip-test": "test=False",
    "--strict": "strict=True",
}
"""Options of commands without a value, with the arguments of functions that mean the same."""
ARGUMENTS = {"--plugin": "plugins="}
"""Options with a value whose arguments have another name."""
COMMAND_ONLY = ("--log", "--nproc")
"""Options of `recipe run` that `recipe.run` has no argument for."""


@contextlib.contextmanager
def commanding() -> Iterator[None]:
    """A context in which a command of the command line is the caller."""
    global _commands
    _commands += 1
    try:
        yield
    finally:
        _commands -= 1


def is_command() -> bool:
    """Whether a command is the caller, rather than a program in Python or a notebook."""
    return _commands > 0


def option(name: str) -> str:
    """Return an option of a command as its caller writes it. In Python, it is an argument.

    >>> option("--out"), option("--allow-changed")
    ('`out=`', '`allow_changed=True`')
    """
    if is_command():
        return name
    return f"`{SWITCHES.get(name) or ARGUMENTS.get(name) or _argument(name) + '='}`"


def named(name: str) -> str:
    """Return the name of an option, or in Python that of its argument, for a message about its value.

    >>> named("--max-time")
    '`max_time`'
    """
    return f"`{name if is_command() else _argument(name)}`"


def another_folder() -> str:
    """Return what to do if a folder can't be used.

    >>> another_folder()
    'choose another folder with `out=`'
    """
    return f"choose another folder with {option('--out')}"


def opening(folder: str | os.PathLike[str]) -> str:
    """Return how to use the run in a folder: commands, or the call of `recipe.load` in Python.

    >>> opening("runs/x")
    'open it with `recipe.load("runs/x")`'
    """
    if is_command():
        predict, evaluate = (command_line("recipe", name, path_word(folder)) for name in ("predict", "evaluate"))
        return f"use it with `{predict} IMAGES` or `{evaluate}`"
    return f"open it with `recipe.load({python_string(os.fspath(folder))})`"


def resuming(folder: str | os.PathLike[str], options: Sequence[str] = ()) -> str:
    """Return the command that resumes the run in a folder, or the call of `recipe.run` in Python.

    Args:
        folder: The run folder.
        options: The other options of the command.

    >>> resuming("runs/x", ["--strict", "--device", "cpu"])
    'recipe.run("runs/x", resume=True, strict=True, device="cpu")'
    """
    if is_command():
        return command_line("recipe", "run", f"--resume={path_word(folder)}", *options)
    words, plugins, rest = [python_string(os.fspath(folder)), SWITCHES["--resume"]], list[str](), iter(options)
    for name in rest:
        if name in SWITCHES:
            words.append(SWITCHES[name])
        elif name == "--plugin":
            plugins.append(python_string(next(rest)))
        elif name in COMMAND_ONLY:
            next(rest)
        else:
            value = next(rest)
            words.append(f"{_argument(name)}={value if name == '--checkpoints' else python_string(value)}")
    words += [f"plugins=[{', '.join(plugins)}]"] if plugins else []
    return f"recipe.run({', '.join(words)})"


def _argument(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")
