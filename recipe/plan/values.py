"""The values of a plan as recipes write them. Works without torch."""

from __future__ import annotations

from recipe.plan.plan import Plan


def values_of(plan: Plan) -> dict[str, str | None]:
    """Return the values of a plan: by trick for its first field, by trick and field for the others.

    A trick without fields is ``on``.
    """
    values: dict[str, str | None] = {"dialect": plan.dialect}
    for use in plan.uses:
        if not use.declared.fields:
            values[use.word] = "on"
        for number, field in enumerate(use.declared.fields):
            value = getattr(use.trick, field.name)
            name = f"{use.word} {field.word}" if number else use.word
            values[name] = None if value is None else field.kind.write(value)
    return values
