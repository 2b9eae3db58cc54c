"""An extension of mkdocstrings, which zensical.toml names: it improves how docstrings and values are shown."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:.+\n?)*\n?)+", re.M)
"""Paragraphs that start with a prompt."""


def fenced(text: str) -> str:
    """Put the examples of a docstring into fences.

    >>> fenced("One.\\n\\n>>> 1\\n1")
    'One.\\n\\n```pycon\\n>>> 1\\n1\\n```'
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0].strip()}\n```\n\n", text).rstrip()


def linked(text: str) -> str:
    """Turn the paths of pages into links.

    >>> linked("See docs/guides/export.md.")
    'See [guides/export.md](../guides/export.md).'
    """
    return re.sub(r"`?docs/([\w/-]+\.md)`?", r"[\1](../\1)", text)


def without(text: str, argument: str) -> str:
    """Remove an argument, described in one line, from the section of a docstring.

    >>> without("Args:\\n    a: One.\\n    b: Two.\\n", "b")
    'Args:\\n    a: One.\\n'
    """
    return re.sub(rf"^ +{argument}: .*\n", "", text, flags=re.M)


INTERNAL = {"runtime"}
"""Parameters of public functions that only tests of recipe itself use."""


class Readable(griffe.Extension):
    """Mark examples as code, show constants as their values, and hide what only recipe itself understands."""

    def __init__(self) -> None:
        self._named: list[griffe.Parameter] = []

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        for name in INTERNAL & {parameter.name for parameter in func.parameters}:
            del func.parameters[name]
            if func.docstring:
                func.docstring.value = without(func.docstring.value, name)
        self._named += [parameter for parameter in func.parameters if isinstance(parameter.default, griffe.ExprName)]

    def on_package(self, *, loader: griffe.GriffeLoader, **_: Any) -> None:
        for parameter in self._named:
            assert isinstance(parameter.default, griffe.ExprName)
            try:
                constant = loader.modules_collection[parameter.default.canonical_path]
            except KeyError:  # of another package
                continue
            if isinstance(constant, griffe.Attribute) and isinstance(constant.value, str):  # a literal
                parameter.default = constant.value

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = linked(obj.docstring.value)
        if obj.docstring and ">>> " in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        in_class = attr.parent is not None and attr.parent.is_class
        if in_class and isinstance(attr.value, griffe.Expr):  # such as attrs.field(…)
            attr.value = None
