"""The page of the command line, from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from recipe.cli import COMMANDS, cli
from recipe.exporters.formats import installed
from recipe.plugins.declared import OWN
from tests.docs.markdown import row
from tests.docs.rendering import linked

INTRO = """\
# Commands

`recipe COMMAND --help` prints the help of a command, and `recipe --version` the version. [Exit
codes](run-folder.md#exit-codes) are the same for all commands.

## Completion

With Tab, a shell completes commands and options, shipped examples, run folders, the names of tricks, and words inside a
quoted statement: `recipe run first 'lr 0.1 war` becomes `recipe run first 'lr 0.1 warmup'`. To enable it, add the line
of your shell to the file:

| shell | file | line |
|---|---|---|
| bash (4.4 or later) | `~/.bashrc` | `eval "$(_RECIPE_COMPLETE=bash_source recipe)"` |
| zsh | `~/.zshrc`, after `compinit` | `eval "$(_RECIPE_COMPLETE=zsh_source recipe)"` |
| fish | `~/.config/fish/completions/recipe.fish` | `_RECIPE_COMPLETE=fish_source recipe \\| source` |

The line runs `recipe` whenever a shell starts. To avoid that, write its output to a file once, and source the file.
"""

NOT_RUN = {
    "finish": "nothing is training",
    "test-plugin": "the package is not installed",
    "doctor": "it measures for a while",
}
"""Commands whose examples the tests don't run, with the reason."""


def page() -> str:
    context = click.Context(cli, info_name="recipe")
    parts = [INTRO]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        parts += _section(command, inner)
        if isinstance(command, click.Group):
            for below, each in command.commands.items():
                parts += _section(each, click.Context(each, info_name=below, parent=inner))
    return linked("\n".join(parts))


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"## {context.command_path}\n\n```text\n{usage}\n```\n"
    reason = NOT_RUN.get(str(context.info_name))
    note = f"not run: {reason}" if reason else "dry run"
    yield from (_paragraph(text, note) for text in inspect.cleandoc(command.help or "").split("\n\n"))
    if options := [param for param in command.params if isinstance(param, click.Option) and not param.hidden]:
        yield "| option | meaning | default |\n|---|---|---|"
        yield from (_row(option, context) for option in options)
        yield ""
    if context.info_name == "export":
        ours = {name: format for name, format in installed()[0].items() if format.package == OWN}
        assert ours, "the installation of recipe is out of date; run `pip install -e .`"
        yield "| format | files | `--deploy` | needs |\n|---|---|---|---|"
        for name, format in ours.items():
            deploy = "yes" if format.deploy else "no"
            yield row((f"`{name}`", format.help, deploy, ", ".join(f"`{module}`" for module in format.needs)))
        yield ""


def _paragraph(text: str, note: str) -> str:
    """Return a paragraph of a help text as Markdown. One after ``\\b`` is a sentence with the commands below it."""
    if not text.startswith("\b"):
        return f"{' '.join(text.split())}\n"
    lines = text.splitlines()[1:]
    said = " ".join(line for line in lines if not line.startswith(" "))
    commands = "\n".join(line.strip() for line in lines if line.startswith(" "))
    return f"{said}\n\n<!-- {note} -->\n```sh\n{commands}\n```\n"


def _row(option: click.Option, context: click.Context) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.opts)
    shown = "" if option.is_flag else _values(option, context)
    help = option.help or ""
    said, _, stated = help.partition(" Default: ")
    repeatable = " Repeatable." if stated.endswith(" Repeatable.") else ""
    default = stated.removesuffix(" Repeatable.").rstrip(".")
    if default.isdecimal():
        default = f"`{default}`"
    if option.show_default and option.default is not None:
        default = f"`{option.default}`"
    cells = (f"{flags} {shown}".strip(), f"{said}{repeatable}", "required" if option.required else default)
    return row(cells)


def _values(option: click.Option, context: click.Context) -> str:
    """Return what an option takes: its choices, its range, or its placeholder."""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    if isinstance(option.type, click.IntRange):
        least, most = option.type.min, option.type.max
        return f"`N` (at least {least})" if most is None else f"`N` ({least} to {most})"
    return f"`{option.make_metavar(context)}`"
