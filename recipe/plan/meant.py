"""The help for a word that is unknown where it stands: where it belongs, or which word is spelled like it."""

from __future__ import annotations

from collections.abc import Iterable

from recipe.base.wording import did_you_mean
from recipe.plugins.during import SPAN_WORDS
from recipe.plugins.vocabulary import Vocabulary

LONGEST = 40
"""Characters of the longest rest of a statement that a help text repeats."""


def meant(
    word: str,
    vocabulary: Vocabulary,
    candidates: Iterable[str],
    otherwise: str = "",
    *,
    before: str = "",
    after: str = "",
) -> str:
    """Return the help for an unknown word: the verb that it belongs to, or else the candidate that is spelled like it.

    ``before`` and ``after`` are what to write around a clause with its verb. ``otherwise`` is returned if nothing fits.
    """
    if word in SPAN_WORDS:
        return f"write its value directly after it, as in `{word}=5` for epochs or `{word}=90%` of the training"
    if verbs := sorted(verb for verb, clause in vocabulary.keys() if clause == word):  # noqa: SIM118
        rest = after if len(after) <= LONGEST else ""
        ways = " or ".join(f"`{before}{verb} {word}{rest}`" for verb in verbs[:3])
        return f"`{word}` is a clause of {' and '.join(f'`{verb}`' for verb in verbs[:3])}: write {ways}"
    if word in vocabulary.verbs():
        return f"`{word}` is a verb: write {f'`{before}{word}`' if before else 'it at the start of a statement'}"
    return did_you_mean(word, candidates, otherwise)
