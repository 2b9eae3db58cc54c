"""`recipe tricks --search` finds tricks by their words, their other names and their descriptions, best first."""

from __future__ import annotations

import pytest

from recipe.explain.search import search
from tests.helpers import command
from tests.strategies import all_tricks


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("label smoothing", "loss smooth"),
        ("label-smoothing", "loss smooth"),
        ("smoothing", "loss smooth"),
        ("cosine", "lr cosine"),
        ("amp", "precision"),
        ("bf16", "precision"),
        ("swa", "ema"),
        ("flip", "augment flip"),
        ("early stopping", "patience"),
        ("learning rate warmup", "lr warmup"),
        ("MOMENTUM nesterov", "optimizer nag"),
        ("Polyak Juditsky", "ema"),
        ("running statistics frozen", "freeze norms"),
    ],
)
def test_the_trick_that_people_mean_comes_first(query: str, first: str) -> None:
    found = search(all_tricks(), query)
    assert [trick.declared.word for trick in found][:1] == [first]


def test_all_words_must_match() -> None:
    assert search(all_tricks(), "cosine qqqq") == []
    assert search(all_tricks(), "") == []
    assert search(all_tricks(), "overfitting") == [], "`over` is another word"


def test_the_command_lists_what_it_finds() -> None:
    done = command("tricks", "--search", "label smoothing")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("loss smooth  Take some of the probability")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["qqqq"], "no trick matches `qqqq`"),
        (["multilabel"], "multi-label classification is not supported"),
        (["lr", "warmup"], "--search takes its words in quotes"),
    ],
)
def test_the_command_says_that_it_finds_nothing(words: list[str], said: str) -> None:
    done = command("tricks", "--search", *words)
    assert done.status == 2
    assert said in done.stderr
