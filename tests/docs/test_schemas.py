"""The schemas describe what the tool writes: all of it, and nothing that it never writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.docs.outputs import OUTPUTS
from tests.docs.schemas import FOLDER, NAMES, PAGE, Schema, children, page, rows, schema, validate

LINES = ("metrics", "prediction")
"""The schemas of single lines, which have no `schema_version`."""

pytestmark = pytest.mark.xdist_group("schemas")  # some share their runs


def seen(root: Schema, part: Schema, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of every part of a schema that occurs in a value, with "null", "value" or "absent"."""
    given = {variant["properties"]["kind"]["const"]: variant for variant in part.get("oneOf", ())}
    named = part.get("properties", {})
    for below, child, _ in children(root, part, path):
        name = below.removeprefix(path).lstrip(".")
        if name in named:
            found = [value[name]] if isinstance(value, dict) and name in value else []
            if isinstance(value, dict) and not found:
                yield below, "absent"
        elif name == "*":
            found = [inner for key, inner in value.items() if key not in named]
        elif given:
            found = [value] if given[value["kind"]] is child else []
        elif name == "[]":
            found = value or []
        else:
            found = [value[int(name.strip("[]"))]]
        for inner in found:
            yield below, "null" if inner is None else "value"
            yield from seen(root, child, inner, below)


def parts(root: Schema, part: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Yield all parts below a part of a schema: the path, the part, and whether it is optional."""
    for below, child, optional in children(root, part, path):
        yield below, child, optional
        yield from parts(root, child, below)


def nullable(part: Schema) -> bool:
    """Whether a part is of one type or null. Values of many types are those of tricks, which may also be null."""
    return isinstance(part.get("type"), list) and "null" in part["type"] and len(part["type"]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_outputs_follow_their_schema_and_have_every_field_of_it(name: str) -> None:
    root, outputs = schema(name), OUTPUTS[name]()
    for output in outputs:
        validate(name, output)
    found = {each for output in outputs for each in seen(root, root, output)}
    expected = {(path, "value") for path, _, _ in parts(root, root)}
    expected |= {(path, "absent") for path, _, optional in parts(root, root) if optional}
    expected |= {(path, "null") for path, part, _ in parts(root, root) if nullable(part)}
    assert expected - found == set(), "these never occur"


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_describes_every_field(name: str) -> None:
    root = schema(name)
    Draft202012Validator.check_schema(root)
    assert root["title"]
    assert root["description"].endswith(".")
    for path, part, _ in parts(root, root):
        assert part.get("type") or "oneOf" in part, path
        if not path.endswith("[]"):
            assert part["description"].endswith("."), path
        if "properties" in part:
            assert "additionalProperties" in part, path
            assert set(part["required"]) <= set(part["properties"]), path


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LINES])
def test_an_unknown_field_and_another_version_are_refused(name: str) -> None:
    required = {"schema_version": schema(name)["properties"]["schema_version"]["const"]}
    for wrong in ({**required, "unknown": 1}, {**required, "schema_version": 0}):
        messages = [error.message for error in Draft202012Validator(schema(name)).iter_errors(wrong)]
        assert any("unknown" in message or "was expected" in message for message in messages)


def test_a_line_of_metrics_has_the_fields_of_its_kind_alone() -> None:
    line = {"kind": "skipped", "step": 1, "epoch": 0.5, "part": "training", "image": 3, "why": "it is broken"}
    validate("metrics", line)
    with pytest.raises(ValidationError):
        validate("metrics", {**line, "lr": 0.1})


def test_both_formats_with_diagnostics_describe_them_alike() -> None:
    assert schema("failure")["$defs"] == schema("diagnostics")["$defs"]


def test_the_page_is_that_of_the_schemas() -> None:
    assert {path.stem for path in FOLDER.glob("*")} == {*NAMES}
    text = page()
    for name in NAMES:
        root = schema(name)
        assert f"## {root['title']}\n\n{root['description']}\n\nSchema: [{name}.json](../schemas/{name}.json)" in text
        assert all(f"| {row.meaning} |" in text for kind in root.get("oneOf", [root]) for row in rows(root, kind))
    assert text == PAGE.read_text("utf-8"), "write it again"
