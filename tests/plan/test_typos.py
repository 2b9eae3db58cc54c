"""Typos: every mistyped word is rejected, and the right one is suggested."""

from __future__ import annotations

import random

from recipe.language.overlays import DIALECTS
from recipe.plugins.kinds import Choice, quoted
from recipe.plugins.vocabulary import DIRECTIVES, Vocabulary
from tests.helpers import diagnostics, errors
from tests.strategies import INSTEAD, STATED, all_tricks


def _with_every_word(vocabulary: Vocabulary) -> list[tuple[str, list[tuple[int, set[str]]]]]:
    """Return valid recipes, each with the words to mistype: their positions, and what else would be valid there."""
    verbs = vocabulary.verbs()
    found = []
    for found_trick in all_tricks():
        verb, clause = found_trick.declared.verb, found_trick.declared.clause
        text, places = "", []

        places.append((0, verbs))
        text += f"{verb} "
        if clause is not None:
            places.append((len(text), vocabulary.clauses(verb)))
            text += f"{clause} "
        names = {field.word for field in found_trick.declared.fields}
        for field in found_trick.declared.fields:
            if (found_trick.declared.word, field.name) in INSTEAD:
                continue
            places.append((len(text), names))
            text += f"{field.word}="
            if isinstance(field.kind, Choice):
                words = sorted(field.kind.words)
                value = words[len(words) // 2] if field.required or field.default is None else field.default
                value = STATED.get((found_trick.declared.word, field.name), value)
                places.append((len(text), set(words)))
                text += f"{value} "
            else:
                sample = {
                    "lr warmup epochs": "5",
                    "lr step epochs": "30",
                    "loss bce threshold": "0.2",
                    "base least": "0.5",
                    "input channels": "1",
                    "input mean": "0.5 0.4 0.3",
                    "input std": "0.2 0.2 0.2",
                    "evaluation crop": "0.9",
                    "data folder group": '"{}_*"',
                    "data torchvision group": '"{}_*"',
                    "data hf val": '"y"',
                    "data hf test": '"z"',
                }
                given = sample.get(f"{found_trick.declared.word} {field.name}")
                given = given or STATED.get((found_trick.declared.word, field.name))
                stated = not field.required and field.default is not None
                text_of = field.kind.write(field.default) if stated else "8"
                text += (given or (quoted("x") if "quotes" in field.kind.expects else text_of)) + " "
        found.append((text.strip(), places))
    for word, rest, valid in (("dialect", "gluoncv", set(DIALECTS)), ("drop", "augment", verbs - set(DIRECTIVES))):
        found.append((f"{word} {rest}", [(0, verbs), (len(word) + 1, valid)]))
    return found


def _mistyped(word: str, chance: random.Random) -> str:
    """Return a word with one letter deleted, inserted, replaced or swapped with the next."""
    place, letter = chance.randrange(len(word)), chance.choice("abcdefghijklmnopqrstuvwxyz")
    return {
        "delete": word[:place] + word[place + 1 :],
        "insert": word[:place] + letter + word[place:],
        "replace": word[:place] + letter + word[place + 1 :],
        "transpose": word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
    }[chance.choice(["delete", "insert", "replace", "transpose"])]


def test_typos_are_rejected_and_the_right_word_is_suggested(vocabulary: Vocabulary) -> None:
    """All of 200 typos in verbs, clauses, fields and choices are rejected, 9 in 10 with the right word."""
    chance = random.Random(2019)
    recipes = _with_every_word(vocabulary)
    base, below = "base resnet50\n", "base resnet50; augment flip"
    tried, accepted, unhelped = 0, [], []
    while tried < 200:
        text, places = chance.choice(recipes)
        start, valid = chance.choice(places)
        end = next(i for i in range(start, len(text) + 1) if i == len(text) or text[i] in " =")
        word = text[start:end]
        wrong = _mistyped(word, chance)
        if wrong in valid or not wrong[:1].isalpha():
            continue
        tried += 1
        typo = text[:start] + wrong + text[end:]
        if text.startswith("drop"):
            found = diagnostics(below, typo)
        else:
            found = diagnostics(typo if text.startswith("base") else base + typo)
        if not any(error.span is not None and error.span.text == wrong for error in found):
            accepted.append(typo)
        if not any(f"`{word}`" in error.help for error in found):
            unhelped.append((typo, word, [error.help for error in found]))
    assert not accepted
    told = f"the right word is suggested for {tried - len(unhelped)} of {tried} typos, but not for {unhelped}"
    assert len(unhelped) <= tried // 10, told


def test_the_recipes_with_every_word_bind(vocabulary: Vocabulary) -> None:
    for text, _ in _with_every_word(vocabulary):
        if text.startswith("drop"):
            assert errors("base resnet50; augment flip", text) == [], text
        else:
            assert errors(text if text.startswith("base") else f"base resnet50\n{text}") == [], text
