"""What people mean by a command or an option that doesn't exist."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from recipe.base.printable import command_line
from recipe.base.wording import did_you_mean
from recipe.language.recipe_input import SUFFIX, examples
from recipe.plan.meanings import meanings
from recipe.plugins.vocabulary import Vocabulary

OTHER_NAMES = {
    "ablate": "ablation sweep",
    "check": "lint validate verify",
    "diff": "compare",
    "doctor": "env environment info devices",
    "evaluate": "eval test val score",
    "explain": "describe summary",
    "export": "convert onnx",
    "finish": "stop",
    "fmt": "format",
    "log": "track",
    "new": "init create",
    "predict": "infer inference classify",
    "run": "train fit finetune fine-tune start",
    "runs": "ls list history",
    "tricks": "vocabulary words search",
}
"""Other names that people use for commands."""


def command_for(name: str, commands: Sequence[str]) -> str:
    """Return the help for an unknown command: the one of the same meaning, or the one that is spelled like it.

    A recipe in its place is to be trained.
    """
    if other := next((command for command, names in OTHER_NAMES.items() if name.lower() in names.split()), None):
        return f"use `recipe {other}`"
    if name in examples() or name.endswith(SUFFIX) or re.search(r"[;\s]", name.strip()):
        return f"to train a recipe, use `{command_line('recipe', 'run', name)}`"
    return did_you_mean(name, commands)


def option_for(error: click.NoSuchOption, arguments: Sequence[str]) -> click.UsageError:
    """Return the error for an unknown option: the statement to write for a word of recipes, or the option it is like.

    ``arguments`` are those of the program, in which a value may follow the option.
    """
    parameters = error.ctx.command.params if error.ctx else []
    after = ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        if option == error.option_name:
            after = value if equals else following if not following.startswith("-") else ""
            break
    options = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
    help = did_you_mean(error.option_name, options, form="{}".format)
    if "statements" in (parameter.name for parameter in parameters):
        help = _statement(error.option_name.lstrip("-"), after) or help
    message = f"no such option: {error.option_name}"
    return click.UsageError(f"{message}; {help}" if help else message, error.ctx)


def _statement(name: str, after: str) -> str:
    """Return the help for an option that is a word of recipes, with its value, or an empty string."""
    words = Vocabulary.installed()
    statement = f"{name} {after}".strip() if name in words.verbs() else ""
    if not statement:
        found = meanings(name, words, after) or (meanings(after, words) if after[:1].isalpha() else None)
        if found is None or found.how == "similar":
            return f"the most similar trick is `{found.tricks[0]}`" if found else ""
        statement = found.statement
    return f"options don't change a recipe: add the statement {command_line(statement)}"
