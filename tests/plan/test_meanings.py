"""Words that people know from elsewhere: each gets the statement that means the same, or a sentence, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.plan.unsupported import UNSUPPORTED, plain, unsupported
from recipe.plugins.kinds import Number, Numbers
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import bind, diagnostics, errors
from tests.strategies import all_tricks


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("cosine", "`cosine` is a clause of `lr`: write `lr cosine`"),
        ("flip", "`flip` is a clause of `augment`: write `augment flip`"),
        ('folder "x"', '`folder` is a clause of `data`: write `data folder "x"`'),
        ("mixup 0.2", "`mixup` is a clause of `augment`: write `augment mixup 0.2`"),
        ("adam", "there is no `adam`; the most similar trick is `optimizer adamw`"),
        ("swa", "there is no `swa`; the most similar trick is `ema`"),
        ("amp", "for `amp`, write `precision fp16`"),
        ("fp16", "`fp16` is a value of `precision`: write `precision fp16`"),
        ("tta", "for `tta`, write `evaluation views=flip`"),
        ("resnet50", "`resnet50` is a value of `base`: write `base resnet50`"),
        ("model resnet50", "for `model`, write `base resnet50`"),
        ("pretrained", "for `pretrained`, write `base … weights=DEFAULT`"),
        ("label smoothing 0.1", "for `label smoothing`, write `loss smooth 0.1`"),
        ("label_smoothing", "`label_smoothing` is called `loss smooth` here"),
        ("dropout 0.5", "there is no `dropout`; the most similar trick is `tweak stochastic-depth`"),
        ("early stopping 5", "for `early stopping`, write `patience 5`"),
        ("weight decay 1e-4", "for `weight decay`, write `decay 1e-4`"),
        ("wd 1e-4", "for `wd`, write `decay 1e-4`"),
        ("batch_size 64", "for `batch_size`, write `batch 64`"),
        ("drop-path 0.1", "for `drop-path`, write `tweak stochastic-depth 0.1`"),
        ("smoothing 0.1", "for `smoothing`, write `loss smooth 0.1`"),
        ("model-ema", "`model-ema` is called `ema` here"),
        ("aa rand-m9", "there is no `aa`; the most similar trick is `augment trivial`"),
        ("reprob 0.25", "for `reprob`, write `augment erase 0.25`"),
        ("clip-grad 1", "for `clip-grad`, write `clip 1`"),
        ("sched cosine", "for `sched`, write `lr cosine`"),
        ("sched plateau", "`sched` is called `lr` here"),
        ("opt adamw", "`adamw` is called `optimizer adamw` here"),
        ("img-size 64", "for `img-size`, write `data … size=64`"),
        ("crop-pct 0.9", "for `crop-pct`, write `evaluation crop=0.9`"),
        ("temperature 4", "`temperature` is a field of `loss distill`: write `loss distill … temperature=4`"),
        ("mixupp 0.2", "did you mean `augment mixup 0.2`?"),
        ("freeze backbone", "`freeze backbone` is called `freeze body` here"),
        ("lr steps", "`lr steps` is called `lr step` here"),
        ("optimizer adam", "there is no `adam`; the most similar trick is `optimizer adamw`"),
        ("augment random-erasing", "`random-erasing` is called `augment erase` here"),
        ("loss focal", "the clauses of `loss` are `bce`, `distill`, `smooth`, `weights`"),
        ("optimizer adamw weight_decay=0.05", "for `weight_decay`, write `decay 0.05`"),
        ("optimizer sgd lr=0.1", "`lr` is a verb: write `lr 0.1`"),
        ("data digits num_workers=4", "for `num_workers`, write `workers=4`"),
        ("drop weight-decay", "`weight-decay` is called `decay` here: write `drop decay`"),
    ],
)
def test_a_word_from_elsewhere_gets_the_statement_that_means_the_same(text: str, help: str) -> None:
    (error,) = diagnostics("base mobilenet_v2", text)
    assert error.help == help


@pytest.mark.parametrize("word", ["gpu", "precision tf32", "lr plateau", "loss focal", "size3", "foo"])
def test_a_word_without_a_counterpart_gets_no_wrong_suggestion(word: str) -> None:
    (error,) = diagnostics("base mobilenet_v2", word)
    assert "did you mean" not in error.help
    assert "most similar" not in error.help


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("task multilabel", "multi-label classification is not supported: each image has exactly one class"),
        ("loss bce multilabel", "multi-label classification is not supported: each image has exactly one class"),
        ("loss mse", "regression is not supported: the targets are classes"),
        ("task regression", "regression is not supported: the targets are classes"),
        ("detection", "detection and segmentation are not supported"),
        ("task semantic segmentation", "the only task is classification"),
        ("multispectral 8", "images have three channels"),
        ("height 64", "images are square"),
        ("data digits width=64", "images are square"),
        ("data digits size=32 64", "images are square"),
    ],
)
def test_what_is_not_supported_is_reported_where_it_is_asked_for(text: str, help: str) -> None:
    (error,) = diagnostics("base mobilenet_v2", text)
    assert help in error.help


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("lr warmup cosine", "; for example, `lr warmup 5`"),
        ("lr step", "; for example, `lr step 30 60`"),
        ("patience", "; for example, `patience 5`"),
        ("lr 0.1, warmup 5", "separate items by spaces and statements by `;`, without commas"),
        ("lr 0.1,warmup 5", "separate items by spaces and statements by `;`, without commas"),
        ("lr 0,1", "write decimals with a point: `0.1`"),
        ('data folder "~nobody-here/photos"', 'write its path, or `"./~…"` for a folder of that name'),
    ],
)
def test_a_value_that_is_missing_or_written_otherwise_is_explained(text: str, help: str) -> None:
    (error,) = diagnostics("base mobilenet_v2", text)
    assert error.help.endswith(help)


def test_every_required_number_has_an_example_that_binds() -> None:
    for found in all_tricks():
        for field in found.declared.fields:
            if field.required and isinstance(field.kind, (Number, Numbers)):
                assert errors("base mobilenet_v2", f"{found.declared.word} {field.example}") == [], field


def test_a_path_in_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "teacher.recipe").write_text("base resnet18")
    plan = bind('base resnet18 weights="~/w.pth"; data folder "~/photos"; loss distill "~/teacher.recipe"')
    values = {use.word: use.trick for use in plan.uses}
    assert values["base"].weights == str(tmp_path / "w.pth")
    assert values["data folder"].path == str(tmp_path / "photos")
    assert values["loss distill"].teacher.path == str(tmp_path / "teacher.recipe")
    assert bind('base resnet18; data folder "./~"').uses
    (error,) = diagnostics('base resnet18; include "~/teacher.recipe"')
    assert error.code == "E042", "includes stay in the recipe's folder"


def test_other_names_are_no_words_of_the_vocabulary(vocabulary: Vocabulary) -> None:
    """A name that has a meaning of its own would never be explained, nor would one that two kinds of tricks share."""
    words = {plain(word) for key in vocabulary.keys() for word in key if word}  # noqa: SIM118
    meaning: dict[str, tuple[str, str]] = {}
    for found in all_tricks():
        for name, rest in found.declared.known_as.items():
            assert plain(name) not in words, name
            assert unsupported(name) == "", name
            text = (found.declared.verb if rest else found.declared.word, rest)
            assert meaning.setdefault(plain(name), text) == text, name
        for name in found.declared.similar_to:
            assert plain(name) not in words, name
            assert plain(name) not in meaning, name


def test_what_a_name_stands_for_can_be_written() -> None:
    for found in all_tricks():
        fields = {field.word: field for field in found.declared.fields}
        for name, rest in found.declared.known_as.items():
            if rest:
                field, equals, _ = rest.partition("=")
                assert field in fields if equals else found.declared.fields[0].kind.knows(rest), name


def test_words_without_support_are_no_words_of_the_vocabulary(vocabulary: Vocabulary) -> None:
    words = {plain(word) for key in vocabulary.keys() for word in key if word}  # noqa: SIM118
    assert not words & {plain(word) for text in UNSUPPORTED.values() for word in text.split()}
