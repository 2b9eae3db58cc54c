"""The words that can continue a recipe, as a shell or an editor offers them."""

from __future__ import annotations

import pytest

from recipe.plan.completing import completions
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import errors


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("wei", []),
        ("epo", ["epochs"]),
        ("batch 8; epo", ["batch 8; epochs"]),
        ("batch 8;e", ["batch 8;evaluation", "batch 8;epochs", "batch 8;ema"]),
        ("lr 0.1 war", ["lr 0.1 warmup"]),
        ("lr 0.1 warmup 5 cos", ["lr 0.1 warmup 5 cosine"]),
        ("precision format=f", ["precision format=fp32", "precision format=fp16"]),
        ("precision fp1", ["precision fp16"]),
        ("loss smooth over=", ["loss smooth over=others", "loss smooth over=all"]),
        ("loss smooth eps", ["loss smooth epsilon="]),
        ("loss smooth 0.1 ep", []),
        ("loss smooth nothing=", []),
        ("augment mixup u", ["augment mixup until="]),
        ("augment mixup 0.2 until=5 f", ["augment mixup 0.2 until=5 from=", "augment mixup 0.2 until=5 flip"]),
        ("base resnet15", ["base resnet152"]),
        ("drop augment mix", ["drop augment mixup"]),
        ("dialect g", ["dialect gluoncv"]),
        ('data folder "pho', []),
        ('data folder "photos" si', ['data folder "photos" size=']),
        ("nothing x", []),
        ("drop nothing x", []),
        ("lr", []),
    ],
)
def test_the_words_before_the_last_one_decide(text: str, found: list[str], vocabulary: Vocabulary) -> None:
    assert completions(text, vocabulary) == found


def test_what_is_offered_can_be_written(vocabulary: Vocabulary) -> None:
    """No word is unknown where it is offered: a verb, a clause, a value or a field."""
    for verb in vocabulary.in_reading_order():
        for text in completions(f"{verb} ", vocabulary):
            found = errors(text if verb == "base" else f"base resnet50; {text}")
            assert not {"E020", "E021", "E022"} & {*found}, text


def test_the_first_word_is_a_verb(vocabulary: Vocabulary) -> None:
    assert {*completions("", vocabulary)} == vocabulary.verbs()
