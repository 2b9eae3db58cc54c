"""What a published table says for or against a trick in a recipe."""

from __future__ import annotations

import attrs

VERDICTS = ("for", "against", "mixed")


@attrs.frozen
class Evidence:
    """One finding: what was measured, in which table, and whether it speaks ``for`` or ``against``, or is ``mixed``.

    What speaks against becomes a warning of `recipe check`; `recipe explain` shows all.
    """

    verdict: str = attrs.field(validator=attrs.validators.in_(VERDICTS))
    text: str
    table: str
