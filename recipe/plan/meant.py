"""The help for a word that is unknown where it stands: what it means, or which word is spelled like it."""

from __future__ import annotations

from collections.abc import Iterable

from recipe.base.wording import did_you_mean
from recipe.plan.meanings import Meanings, meanings, spelled_like
from recipe.plan.unsupported import plain, unsupported
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
    verb: str = "",
    before: str = "",
    after: str = "",
) -> str:
    """Return the help for an unknown word: what recipes write for it, or else the candidate that is spelled like it.

    ``verb`` is the verb of its statement, if that is known. ``before`` is what to write before a trick's words.
    ``after`` is the rest of the statement. ``otherwise`` is returned if nothing fits.
    """
    after = after if len(after) <= LONGEST else ""
    if word in SPAN_WORDS:
        return f"write its value directly after it, as in `{word}=5` for epochs or `{word}=90%` of the training"
    if verbs := sorted(verb for verb, clause in vocabulary.keys() if clause == word):  # noqa: SIM118
        ways = " or ".join(f"`{before}{verb} {word}{'' if before else after}`" for verb in verbs[:3])
        return f"`{word}` is a clause of {' and '.join(f'`{verb}`' for verb in verbs[:3])}: write {ways}"
    if word in vocabulary.verbs():
        text = f"{before}{word}" if before else f"{word}{after}" * bool(after)
        return f"`{word}` is a verb: write {f'`{text}`' if text else 'it at the start of a statement'}"
    candidates = [*candidates]
    if same := next((one for one in candidates if plain(one) == plain(word)), None):
        return f"did you mean `{same}`?"
    found = (meanings(f"{verb} {word}", vocabulary) if verb else None) or meanings(word, vocabulary, after)
    if found is not None and found.how == "name":
        return _told(found, before)
    if sentence := unsupported(word, after.strip().partition(" ")[0]):
        return sentence
    if found is not None:
        return _told(found, before)
    if near := did_you_mean(word, candidates):
        return near
    if after and not before and (help := _of_the_next(vocabulary, after)):
        return help
    found = spelled_like(word, vocabulary, after)
    return otherwise if found is None else _told(found, before)


def _of_the_next(vocabulary: Vocabulary, after: str) -> str:
    """Return the help for an unknown verb before a clause or a value that belongs to a single verb, or nothing."""
    word, _, rest = after.strip().partition(" ")
    found = meanings(word, vocabulary, rest) if word[:1].isalpha() else None
    return _told(found, "") if found is not None and found.how in ("name", "value", "similar") else ""


def _told(found: Meanings, before: str) -> str:
    """Return the help that explains what a word means. ``before`` precedes the words of a trick that are written."""
    said = f"`{found.said}`"
    tricks = [f"`{words}`" for words in found.tricks]
    listed = f"{tricks[0]}, {tricks[1]} and others" if len(tricks) > 2 else " and ".join(tricks)
    text = f"{before}{found.tricks[0]}" if before else found.statement
    write = f": write `{text}`" if text != found.tricks[0] else ""
    if found.how == "spelling" or (found.how == "value" and found.said not in text.split()):  # spelled otherwise
        return f"did you mean `{text}`?"
    if found.how == "similar":
        write = write if before else ""
        closest = "the most similar trick is" if len(tricks) == 1 else "the most similar tricks are"
        return f"there is no {said}; {closest} {listed}{write}"
    if found.how == "name":
        return f"for {said}, write `{text}`" if write and not before else f"{said} is called {listed} here{write}"
    return f"{said} is a {found.how} of {listed}{write}"
