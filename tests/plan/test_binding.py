"""Binding: words become tricks, and values get their types and origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipe.api import PlanView, Training, Trick, fail, number, numbers, trick
from recipe.language.overlays import DIALECTS
from tests.helpers import bind, diagnostics, errors, vocabulary_with


@pytest.mark.parametrize(
    ("text", "word", "values"),
    [
        # Items before the first clause belong to the trick of the verb.
        ("batch 1024", "batch", {"total": 1024}),
        ("lr 0.1", "lr", {"rate": 0.1, "every": "batch"}),
        ("lr 0.1 epoch", "lr", {"rate": 0.1, "every": "epoch"}),
        ("lr every=epoch", "lr", {"rate": 0.1, "every": "epoch"}),
        ("lr 0.5 every=epoch", "lr", {"rate": 0.5, "every": "epoch"}),
        ("precision fp16", "precision", {"format": "fp16"}),
        ("loss", "loss", {"aux": 0.4}),
        # A word registered under the verb opens a clause.
        ("lr 0.1 per 512 warmup 5 cosine", "lr", {"rate": 0.1}),
        ("lr 0.1 per 512 warmup 5 cosine", "lr per", {"images": 512}),
        ("lr 0.1 per 512 warmup 5 cosine", "lr warmup", {"epochs": 5.0}),
        ("lr 0.1 per 512 warmup 5 cosine", "lr cosine", {"floor": 0.0}),
        ("augment mixup 0.3 flip", "augment mixup", {"alpha": 0.3}),
        ("augment mixup 0.3 flip 10%", "augment flip", {"probability": 0.1}),
        ("decay 1e-5 no-bias", "decay no-bias", {"norms": "skip"}),
        ("loss smooth 0.2 over=all", "loss smooth", {"epsilon": 0.2, "over": "all"}),
        # A field that takes all following values.
        ("lr step 30 60 90 by=0.5", "lr step", {"epochs": (30.0, 60.0, 90.0), "by": 0.5}),
        ("lr step epochs=30 60", "lr step", {"epochs": (30.0, 60.0)}),
        # Any notation of a whole number.
        ("batch 1e3", "batch", {"total": 1000}),
        ("decay -0", "decay", {"rate": 0.0}),
        # Names outside any list.
        ("data fake size=64", "data fake", {"size": 64, "classes": 1000}),
    ],
)
def test_words_become_tricks_with_typed_values(text: str, word: str, values: dict[str, Any]) -> None:
    use = bind(f"base resnet50\n{text}").find(word)
    assert use is not None
    assert {name: use.values[name] for name in values} == values
    assert [type(use.values[name]) for name in values] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("tweak B C D", "tweak B; tweak C; tweak D"),
        ("lr warmup 5 cosine", "lr warmup 5; lr cosine"),
        ("lr 0.1 per 256", "lr 0.1; lr per 256"),
        ("loss smooth", "loss aux=0.4 smooth 0.1"),
        ("augment crop flip", "augment flip; augment crop"),
    ],
)
def test_a_statement_with_several_clauses_equals_one_statement_for_each(short: str, long: str) -> None:
    assert bind(f"base resnet50; {short}") == bind(f"base resnet50; {long}")


@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v2", "inception_v3", "timm:resnet50d", "timm:not_looked_up"])
def test_a_base_is_a_torchvision_model_or_any_timm_model(model: str) -> None:
    use = bind(f"base {model}").find("base")
    assert use is not None
    assert use.values == {"model": model, "weights": None, "classes": None, "least": None}


def test_a_path_is_resolved_relative_to_the_recipe(tmp_path: Path) -> None:
    use = bind('base resnet50 weights="w/net.safetensors"; data folder "a b"', folder=tmp_path).find("data folder")
    assert use is not None
    assert use.values["path"] == str(tmp_path / "a b")
    base = bind('base resnet50 weights="w/net.safetensors"', folder=tmp_path).find("base")
    assert base is not None
    assert base.values["weights"] == str(tmp_path / "w/net.safetensors")
    named = bind("base resnet50 weights=IMAGENET1K_V2", folder=tmp_path).find("base")
    assert named is not None
    assert named.values["weights"] == "IMAGENET1K_V2"


@pytest.mark.parametrize(
    ("text", "code", "about", "said"),
    [
        # Verbs.
        ("bach 256", "E020", "bach", "did you mean `batch`?"),
        ("Batch 256", "E020", "Batch", "did you mean `batch`?"),
        ("qqqqq 1", "E020", "qqqqq", "run `recipe tricks` to list the vocabulary"),
        # Clauses and choices.
        ("lr 0.1 cosin", "E021", "cosin", "did you mean `cosine`?"),
        ("lr warmup 5 cosin", "E021", "cosin", "did you mean `cosine`?"),
        ("lr wramup 5", "E021", "wramup", "did you mean `warmup`?"),
        ("tweak Q", "E021", "Q", "`A`, `B`, `C`, `D`"),
        ("base resnet5", "E021", "resnet5", "did you mean `resnet50`?"),
        ("base resnet-18", "E021", "resnet-18", "did you mean `resnet18`?"),
        ("resnet-18", "E020", "resnet-18", "did you mean `base resnet18`?"),
        ("base ResNet50", "E021", "ResNet50", "did you mean `resnet50`?"),
        ("base timm:", "E021", "timm:", ""),
        ("precision fp8", "E021", "fp8", "`bf16`, `fp16`, `fp32`"),
        ("loss smooth over=other", "E021", "other", "did you mean `others`?"),
        ("optimizer adam", "E021", "adam", "the most similar trick is `optimizer adamw`"),
        ("data imagenet", "E021", "imagenet", ""),
        ("dialect pytorch", "E021", "pytorch", "choose one of `gluoncv`, `paper`, `torchvision`"),
        ("dialect jax", "E021", "jax", "`gluoncv`, `paper`, `torchvision`"),
        ("dialect gluon", "E021", "gluon", "did you mean `gluoncv`?"),
        # Words that belong elsewhere.
        ("mixup 0.2", "E020", "mixup", "`mixup` is a clause of `augment`: write `augment mixup 0.2`"),
        ("flip", "E020", "flip", "`flip` is a clause of `augment`: write `augment flip`"),
        ("cosine", "E020", "cosine", "`cosine` is a clause of `lr`: write `lr cosine`"),
        ("lr 0.1 mixup", "E021", "mixup", "write `augment mixup`"),
        ("lr 0.1 epochs 5", "E026", "epochs", "put `;` before a verb: `lr 0.1; epochs 5`"),
        ("tweak epochs 5 D", "E026", "epochs", "put `;` before a verb: `tweak; epochs 5 D`"),
        ("ema 0.9 epochs", "E026", "epochs", "put `;` before a verb: `ema 0.9; epochs`"),
        (
            'data folder "a; b" size=32  batch 3 lr 0.1 cosine',
            "E026",
            "batch",
            'put `;` before a verb: `data folder "a; b" size=32; batch 3; lr 0.1 cosine`',
        ),
        ("loss focal", "E023", "focal", "the clauses of `loss` are `bce`, `distill`, `smooth`"),
        ("drop mixup", "E020", "mixup", "write `drop augment mixup`"),
        ("drop lr batch", "E021", "batch", "`batch` is a verb: write `drop batch`"),
        ("nope", "E020", "nope", "run `recipe tricks`"),
        # Fields.
        ("lr warmup=5", "E022", "warmup", "write `lr warmup 5`"),
        ("augment mixup=0.2", "E022", "mixup", "write `augment mixup 0.2`"),
        ("augment area=0.5", "E022", "area", "write `augment crop area=0.5`"),
        ("augment crop aera=0.5", "E022", "aera", "did you mean `area`?"),
        ("augment crop qq=0.5", "E022", "qq", "`area`, `aspect`"),
        ("init zero-gamma x=1", "E022", "x", "it has no fields"),
        ("include file=3", "E022", "file=3", 'include "other.recipe"'),
        # Values of the wrong kind.
        ("lr nan", "E023", "nan", "takes a number"),
        ("lr inf", "E023", "inf", "takes a number"),
        ("decay 1e999", "E023", "1e999", "takes a number"),
        ("batch 2.5", "E023", "2.5", "a whole number"),
        ("batch big", "E023", "big", "a whole number"),
        ('batch "256"', "E023", '"256"', "a whole number"),
        ("precision 16", "E023", "16", "`bf16`, `fp16`, `fp32`"),
        ('precision "fp16"', "E023", '"fp16"', "takes a word"),
        ("base 50", "E023", "50", "takes a word"),
        ("data folder imagenet", "E023", "imagenet", 'write `"imagenet"`'),
        ("data folder 3", "E023", "3", "a path in quotes"),
        ('data folder ""', "E023", '""', "not an empty string"),
        ("loss distill teacher", "E023", "teacher", "the path of a recipe or of a run's folder"),
        ('loss distill ""', "E023", '""', "not an empty string"),
        # Text that no file can hold, but that Python code can hand over.
        ('loss distill "a\0"', "E023", '"a\0"', "plain text on one line"),
        ('data folder "a\ud800"', "E023", '"a\ud800"', "plain text on one line"),
        ('include "a\ud800"', "E023", '"a\ud800"', "a path in quotes"),
        ("include other", "E023", "other", "a path in quotes"),
        ('include ""', "E023", '""', "a path in quotes"),
        ("drop 3", "E023", "3", "takes a verb and a name"),
        # Values out of range.
        ("batch 0", "E024", "0", "of at least 1"),
        ("batch -5", "E024", "-5", "of at least 1"),
        ("epochs 1e9", "E024", "1e9", "of at least 1 and at most 100000"),
        ("decay -1", "E024", "-1", "of at least 0"),
        ("lr 0", "E024", "0", "above 0"),
        ("loss smooth 1.5", "E024", "1.5", "below 1"),
        ("loss smooth 150%", "E024", "150%", "below 1"),
        ("augment flip 110%", "E024", "110%", "of at least 0 and at most 1"),
        ("lr step 60 30", "E024", "30", "increasing numbers"),
        ("lr step 30 30", "E024", "30", "increasing numbers"),
        ("lr step 30 by=1", "E024", "1", "`by` of `lr step` takes a number above 0 and below 1"),
        ("augment erase const", "E023", "const", "takes `probability` first, not `const`"),
        # Missing and unexpected values.
        ("tweak", "E025", "tweak", "one of `A`, `B`, `C`, `D`"),
        ("lr warmup", "E025", "warmup", "needs a number"),
        ("lr warmup cosine", "E025", "warmup", "needs a number"),
        ("lr step", "E025", "step", "increasing numbers"),
        ("data folder", "E025", "folder", 'write a path: `data folder "photos"`'),
        ("loss distill", "E025", "distill", "the path of a recipe"),
        ("include", "E025", "include", 'include "other.recipe"'),
        ("drop", "E025", "drop", "`drop VERB NAME`"),
        ("dialect", "E025", "dialect", "`paper`"),
        ("epochs 8 foo", "E026", "foo", "unexpected value `foo`: `epochs` takes 1 value"),
        ("data fake size=32 64", "E026", "64", "images are square, so `size` takes one value (height and width of"),
        ("data fake 32 64", "E026", "64", "unexpected value `64`: after `32`, each value needs a field's name"),
        ("data digits 32 64 workers=1", "E026", "64", "images are square"),
        ("data fake size=32 64", "E026", "64", "write `classes=64` or `images=64` or `workers=64`"),
        ("lr every=epoch 0.5", "E026", "0.5", "write `rate=0.5`"),
        ("lr step 30 by=0.5 60", "E026", "60", "after `by=0.5`, each value needs a field's name"),
        ("lr every=epoch cosin", "E026", "cosin", "did you mean `cosine`?"),
        ("lr every=epoch mixup", "E026", "mixup", "write `augment mixup`"),
        ("loss smooth over=others over", "E026", "over", "`over` takes one value"),
        ("batch 8 16", "E026", "16", "unexpected value `16`: `batch` takes 1 value"),
        ("init zero-gamma 1", "E026", "1", "takes no values"),
        ("lr 0.1 batch 3", "E026", "3", "takes 2 values"),
        ("drop a b c", "E026", "c", "`drop VERB NAME`"),
        ('include "a" "b"', "E026", '"b"', 'include "other.recipe"'),
        ("lr rate=1 rate=2", "E027", "rate=2", "set twice"),
        ("lr 1 rate=2", "E027", "rate=2", "set twice"),
    ],
)
def test_invalid_statements_are_reported_at_the_offending_words(text: str, code: str, about: str, said: str) -> None:
    (error,) = diagnostics(f"base mobilenet_v2\n{text}" if not text.startswith("base") else f"\n{text}")
    assert error.code == code
    assert error.span is not None
    assert (error.span.line, error.span.text) == (2, about)
    assert said in f"{error.message}; {error.help}"


@pytest.mark.parametrize(
    ("text", "code", "second", "first"),
    [
        ("tweak C\ntweak C", "E028", "C", "C"),
        ("batch 8\nbatch 8", "E028", "batch", "batch"),
        ("lr warmup 5 cosine\nlr warmup 6", "E028", "warmup", "warmup"),
        ("base resnet50\nbase resnet18", "E028", "base", "base"),
        ("dialect paper\ndialect gluoncv", "E028", "dialect gluoncv", "dialect paper"),
        ("tweak A\ntweak B", "E030", "B", "A"),
        ("lr step 30\nlr cosine", "E030", "cosine", "step"),
        ("data fake\ndata digits", "E030", "digits", "fake"),
        ("init kaiming\ninit xavier", "E030", "xavier", "kaiming"),
        ("optimizer sgd\noptimizer adamw", "E030", "adamw", "sgd"),
        ("lr rate=1\nbatch 8\n  lr warmup 2 epochs=3", "E027", "epochs=3", "2"),
    ],
)
def test_duplicates_and_conflicts_are_shown_at_both_places(text: str, code: str, second: str, first: str) -> None:
    (error,) = diagnostics(text if text.startswith("base") else f"{text}\nbase resnet50")
    assert error.code == code
    assert error.span is not None
    assert error.span.text == second
    assert [span.text for span, _ in error.others] == [first]
    assert error.others[0][0].start < error.span.start


def test_all_errors_of_a_recipe_are_reported_at_once() -> None:
    text = """
    base resnet50
    bach 256
    lr nan cosine 3 step 30
    tweak A B
    augment crp mixup 500
    loss smooth 2 smooth 0.1
    dialect none
    include "not-here.recipe"
    drop nothing
    """
    # Errors of directives first, then of statements in order, then conflicts.
    assert errors(text) == ["E021", "E001", "E020", "E020", "E023", "E024", "E021", "E024", "E030"]


def test_conflicts_are_reported_together_with_other_errors() -> None:
    assert errors("base resnet50; tweak A B; lr cosine step 30; bach 3") == ["E020", "E030", "E030"]
    assert errors("tweak A B") == ["E030", "E050"]


def test_an_error_causes_no_others() -> None:
    assert errors("bse resnet50; tweak C") == ["E020"]  # and not also a missing base
    assert errors("base resnet50; lr rate=nan warmup 5 cosine; lr per 256") == ["E023"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "batch 8", "tweak C D"])
def test_a_recipe_needs_a_base(text: str) -> None:
    (error,) = diagnostics(text)
    assert (error.code, error.help) == ("E050", "start with a model: `base resnet50`")
    assert error.span is not None


def test_warnings_point_at_the_statement_or_at_the_path_that_they_name() -> None:
    plan = bind('base resnet50; epochs 4; lr warmup 5 step 3 9; data folder "not here"')
    found = {(warning.code, warning.span.text): warning.message for warning in plan.warnings}
    assert set(found) == {("W001", "warmup"), ("W001", "step"), ("W001", '"not here"')}
    assert "ends before the step at 9" in found["W001", "step"]


# ---- origins


def _origins(text: str, *statements: str, data: bool = False) -> dict[str, str]:
    plan = bind(text, *statements, data=data)
    return {f"{use.word} {name}": str(origin) for use in plan.uses for name, origin in use.origins.items()}


def test_every_value_has_its_origin() -> None:
    text = "dialect gluoncv; base inception_v3\nbatch 512; lr 0.1 warmup 5; augment jitter hue=0.1"
    found = _origins(text, "lr warmup 3; epochs 7", data=True)
    assert found["batch total"] == "<test>:2:7"
    assert found["lr rate"] == "<test>:2:15"
    assert found["lr warmup epochs"] == "<statements>:1:11"
    assert found["epochs count"] == "<statements>:1:21"
    assert found["data digits size"] == "suggested by `base inception_v3`"
    assert found["data digits workers"] == "default"
    assert found["augment jitter hue"] == "<test>:2:44"
    assert found["augment jitter contrast"] == "dialect gluoncv"
    assert found["augment jitter brightness"] == "default"
    assert found["lr every"] == "default"


def test_every_value_of_every_trick_has_an_origin_of_a_known_kind() -> None:
    for dialect in DIALECTS:
        plan = bind("base resnet50; augment crop", f"dialect {dialect}; tweak C", data=True)
        for use in plan.uses:
            assert set(use.origins) == set(use.values)
            kinds = {origin.kind for origin in (use.origin, *use.origins.values())}
            assert kinds <= {"file", "override", "suggestion", "dialect", "default"}


@pytest.mark.parametrize(
    ("text", "word", "kind", "origin"),
    [
        ("base resnet50", "base", "file", "<test>:1:1"),
        ("base resnet50; tweak C D", "tweak D", "file", "<test>:1:24"),
        ("base resnet50", "init xavier", "dialect", "dialect paper"),
        ("base resnet50; dialect gluoncv", "init kaiming", "dialect", "dialect gluoncv"),
        ("base resnet50; dialect torchvision", "optimizer sgd", "dialect", "dialect torchvision"),
        ("base resnet50; optimizer sgd", "optimizer sgd", "file", "<test>:1:26"),
    ],
)
def test_every_trick_has_its_origin(text: str, word: str, kind: str, origin: str) -> None:
    use = bind(text).find(word)
    assert use is not None
    assert (use.origin.kind, str(use.origin)) == (kind, origin)


def test_statements_override_suggestions_dialects_and_defaults() -> None:
    suggested = bind("base resnet50; data digits")
    assert (suggested.training.epochs, suggested.training.batch, suggested.training.rate) == (10, 64, 0.05)
    stated = bind("base resnet50; data digits; epochs 3; batch 8; lr 0.2")
    assert (stated.training.epochs, stated.training.batch, stated.training.rate) == (3, 8, 0.2)
    default = bind("base resnet50; data fake")
    assert (default.training.epochs, default.training.batch, default.training.rate) == (120, 256, 0.1)


def test_a_field_of_several_values_takes_all_that_follow_its_name() -> None:
    @trick("many", writes=("run",))
    class Many(Trick):
        """Take numbers."""

        first: float | None = number(None, "one number")
        at: tuple[float, ...] = numbers(help="more numbers")

    words = vocabulary_with(Many)
    plan = bind("base resnet18; many at=1 2 3", words=words)
    assert plan.find("many").values == {"first": None, "at": (1.0, 2.0, 3.0)}  # type: ignore[union-attr]
    assert bind(plan.canonical(), words=words).digest == plan.digest


def test_values_without_names_come_first_in_the_canonical_text() -> None:
    @trick("many", writes=("run",))
    class Many(Trick):
        """Take numbers."""

        first: float = number(3, "one number")
        at: tuple[float, ...] = numbers(help="more numbers")

    words = vocabulary_with(Many)
    plan = bind("base resnet18; many at=1 2", words=words)
    assert "many first=3 at=1 2\n" in plan.canonical()
    assert bind(plan.canonical(), words=words) == plan


def test_everything_that_tricks_reject_is_reported_at_once() -> None:
    @trick("strict", writes=("run",))
    class Strict(Trick):
        """Reject every plan."""

        def check(self, plan: PlanView) -> tuple[str, ...]:
            raise fail("E024", "too strict")

    @trick("broken", writes=("run",))
    class Broken(Trick):
        """Fail."""

        def configure(self, training: Training) -> dict[str, object]:
            raise KeyError("x")

    @trick("wrong", writes=("run",))
    class Wrong(Trick):
        """Make an unknown setting."""

        def configure(self, training: Training) -> dict[str, object]:
            return {"colour": 1}

    words = vocabulary_with(Strict, Broken, Wrong)
    text = "base resnet18; augment erase smallest=0.5 largest=0.1; strict"
    assert [error.message for error in diagnostics(text, words=words)] == [
        "the smallest area, 0.5, is above the largest, 0.1",
        "too strict",
    ]
    assert errors("base resnet18; broken; wrong", words=words) == ["E080", "E080"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("augment erase smallest=0.5 largest=0.1", "the smallest area, 0.5, is above the largest, 0.1"),
        ('loss distill "t.recipe" weight=0 soft-weight=0', "are both 0"),
    ],
)
def test_fields_that_contradict_each_other_are_rejected(statement: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.recipe").write_text("base resnet18")
    (error,) = diagnostics(f"base resnet18; {statement}", folder=tmp_path)
    assert error.code == "E024"
    assert said in error.message


def test_a_trick_of_the_same_slot_overrides_what_a_dialect_implies() -> None:
    @trick("shampoo", writes=("optimizer",))
    class Shampoo(Trick):
        """Update in another way."""

    words = vocabulary_with(Shampoo)
    assert bind("base resnet18; shampoo", words=words).use("optimizer") is None


@pytest.mark.parametrize("words", ["epochs 1000%", "batch 6400%", "seed 100%", "data fake size=3200%"])
def test_a_count_is_no_percentage(words: str) -> None:
    (error,) = diagnostics(f"base resnet18; {words}")
    assert error.code == "E023"
    assert "takes a whole number" in error.message
