"""The schemas of the JSON that the tool writes, and the page docs/reference/json.md that is made from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs
from jsonschema import Draft202012Validator

from tests.docs.markdown import row
from tests.helpers import ROOT

FOLDER = ROOT / "docs" / "schemas"
PAGE = ROOT / "docs" / "reference" / "json.md"
NAMES = (
    "diagnostics",
    "failure",
    "explain",
    "diff",
    "table",
    "prediction",
    "evaluation",
    "runs",
    "show",
    "summary",
    "metrics",
    "environment",
    "classes",
    "preprocessing",
    "data",
)
"""The schemas, in the order of the page."""

INTRODUCTION = """\
# JSON

This page lists every field of the JSON that `recipe` writes for other programs. Each format also has a
[JSON Schema](https://json-schema.org) of draft 2020-12. This page is generated from those schemas.

Every document has a `schema_version`, except for the lines of `metrics.jsonl` and of `recipe predict --jsonl`. New
fields may appear within a version. Removing a field or changing its meaning increments the version. The schemas allow
only the fields that this version of `recipe` writes. A program that reads the JSON should ignore fields that it doesn't
know.

Every field is present unless it is marked as optional. In the tables, `a.b` is the field `b` of the object `a`, `a[]`
is an element of the array `a`, and `a[0]` is its first element. `a[Insert]` is an element whose `kind` is `Insert`.
`a.*` is a value of the object `a`, which can have any keys.
"""

Schema = dict[str, Any]


@attrs.frozen
class Row:
    """A field of a schema: its path, its type in words, and its meaning."""

    path: str
    type: str
    meaning: str
    optional: bool = False


@cache
def schema(name: str) -> Schema:
    read: Schema = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return read


def validate(name: str, value: object) -> None:
    """Raise `jsonschema.ValidationError` if a value does not follow a schema."""
    Draft202012Validator(schema(name)).validate(value)


def resolved(root: Schema, part: Schema) -> Schema:
    """Return a part of a schema with the definition that it refers to. Its own description takes precedence."""
    if "$ref" not in part:
        return part
    own = {key: value for key, value in part.items() if key != "$ref"}
    return {**root["$defs"][part["$ref"].rpartition("/")[2]], **own}


def variant(path: str, part: Schema) -> str:
    """Return the path of the elements of one kind: ``edits[]`` becomes ``edits[Insert]``."""
    return f"{path.removesuffix('[]')}[{part['properties']['kind']['const']}]"


def children(root: Schema, part: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the parts directly below a part of a schema: the path, the resolved part, and whether it is optional."""
    for name, child in part.get("properties", {}).items():
        yield f"{path}.{name}".removeprefix("."), resolved(root, child), name not in part["required"]
    if part.get("additionalProperties"):
        yield f"{path}.*", resolved(root, part["additionalProperties"]), False
    if "items" in part:
        yield f"{path}[]", resolved(root, part["items"]), False
    for index, child in enumerate(part.get("prefixItems", ())):
        yield f"{path}[{index}]", resolved(root, child), False
    for child in part.get("oneOf", ()):
        yield variant(path, child), child, False


def rows(root: Schema, part: Schema, path: str = "") -> Iterator[Row]:
    """Yield a row for everything below a part of a schema that has a description."""
    for below, child, optional in children(root, part, path):
        if "description" in child:
            yield Row(below, in_words(root, child), child["description"], optional)
        yield from rows(root, child, below)


def in_words(root: Schema, part: Schema) -> str:
    """Return the type of a part of a schema in words."""
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "enum" in part:
        return _either([f"`{json.dumps(value)}`" for value in part["enum"]])
    types = [part["type"]] if isinstance(part["type"], str) else part["type"]
    element = resolved(root, part.get("items", {})).get("type")
    if types == ["array"] and isinstance(element, str):
        count = f"{part['maxItems']} " if "maxItems" in part else ""
        return f"array of {count}{element}s"
    return _either(types)


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([INTRODUCTION, *map(_section, NAMES)]).rstrip("\n") + "\n"


def _section(name: str) -> str:
    root = schema(name)
    lines = [f"## {root['title']}", "", root["description"], "", f"Schema: [{name}.json](../schemas/{name}.json)", ""]
    if "oneOf" not in root:
        return "\n".join([*lines, *_table(root, root)])
    for kind in root["oneOf"]:
        lines += [f"### {kind['properties']['kind']['const']}", "", kind["description"], "", *_table(root, kind)]
    return "\n".join(lines)


def _table(root: Schema, part: Schema) -> list[str]:
    fields = rows(root, part)
    lines = [row((f"`{one.path}`{' (optional)' * one.optional}", one.type, one.meaning)) for one in fields]
    return ["| field | type | meaning |", "|---|---|---|", *lines, ""]
