"""The values of a plan as recipes write them. Works without torch."""

from __future__ import annotations

from recipe.plan.plan import Plan


def values_of(plan: Plan) -> dict[str, str | None]:
    """Return the values of a plan: by trick for its first field, by trick and field for the others.

    A trick without fields is ``on``. A span that is set is given by trick and field.
    """
    values: dict[str, str | None] = {"dialect": plan.dialect}
    for use in plan.uses:
        if not use.declared.fields:
            values[use.word] = "on"
        for number, field in enumerate(use.fields):
            value = use.value(field)
            name = use.word if number == 0 and use.declared.fields else f"{use.word} {field.word}"
            values[name] = None if value is None else field.kind.write(value)
    return values
