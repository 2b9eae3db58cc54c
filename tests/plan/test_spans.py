"""Spans: `from=` and `until=` limit a trick to a part of the training, in plans, digests, locks and differences."""

from __future__ import annotations

from pathlib import Path

import pytest

import recipe.plan.bind
from recipe.ablation.rows.variants import rows_of
from recipe.api import Trick, integer, number, trick
from recipe.base.source import Source
from recipe.language.formatter import layout
from recipe.language.recipe_input import LOCK
from recipe.plan.changes import compare_words
from recipe.plan.plan import Plan
from recipe.plan.values import values_of
from recipe.plugins.during import During, Moment
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.plugins.vocabulary import key_of
from recipe.runs.recipe_lock import lock_text
from tests.helpers import bind, diagnostics, parse, vocabulary, vocabulary_with

BASE = "base resnet18; epochs 10; data fake"


def plan(text: str, *statements: str) -> Plan:
    return bind(f"{BASE}; {text}", *statements)


def use(text: str, word: str, *statements: str) -> Use:
    found = plan(text, *statements).find(word)
    assert found is not None
    return found


@trick("weigh", writes=("loss terms",))
class Weigh(Trick):
    """Add a term that reads a layer, and report it."""

    amount: float = number(0.1, "weight of the term")

    def check(self, plan: object) -> list[str]:
        return []

    def features(self, net: object) -> dict[str, str]:
        return {"last": "layer4"}

    def loss_term(self, context: object) -> None: ...


@trick("stretch", writes=("inputs",))
class Stretch(Trick):
    """Stretch images, and train for longer."""

    epochs: int = integer(5, "length of the training")

    def configure(self, training: object) -> dict[str, int]:
        return {"epochs": self.epochs}

    def augment(self, images: object, draws: object) -> object:
        return images


# ---- the steps of a span


@pytest.mark.parametrize(
    ("span", "steps"),
    [
        ("from=1", range(4, 12)),
        ("until=1", range(4)),
        ("from=0.5 until=1.5", range(2, 6)),
        ("from=0.26", range(2, 12)),  # the first step that begins later
        ("until=0.26", range(2)),
        ("from=25% until=75%", range(3, 9)),
        ("from=1 until=50%", range(4, 6)),
        ("from=0 until=100%", range(12)),
        ("until=3", range(12)),
        ("until=7", range(12)),
        ("from=3", range(12, 12)),
        ("from=99.9%", range(12, 12)),
        ("from=0.3 until=0.4", range(2, 2)),
        ("until=0.001%", range(1)),
    ],
)
def test_a_trick_acts_in_the_steps_that_begin_within_its_span(span: str, steps: range) -> None:
    during = use(f"augment flip {span}", "augment flip").during
    assert during.steps(4, 3) == steps
    assert [step for step in range(12) if during.holds(Progress(step, 4, 3))] == [*steps]


@pytest.mark.parametrize("total", [7, 10, 29, 300, 1000, 90_000])
def test_a_percentage_of_whole_steps_ends_at_exactly_that_step(total: int) -> None:
    """0.29 × 100 is 28.999999999999996, but 29 % of 100 steps are 29."""
    for percent in range(1, 100):
        during = During(until=Moment(percent, percent=True))
        assert during.steps(1, total).stop == -(-percent * total // 100)


def test_tenths_of_an_epoch_end_at_exactly_their_steps() -> None:
    for tenths in range(1, 30):
        assert use(f"augment flip until={tenths / 10}", "augment flip").during.steps(10, 3).stop == tenths


# ---- what a recipe states


def test_a_span_belongs_to_the_clause_before_it() -> None:
    found = plan("augment mixup 0.2 until=90% flip; loss smooth 0.1 from=2 until=80%; clip 1 from=0.5")
    spans = {each.word: each.during for each in found.uses if each.during}
    assert spans == {
        "augment mixup": During(until=Moment(90, percent=True)),
        "loss smooth": During(Moment(2), Moment(80, percent=True)),
        "clip": During(from_=Moment(0.5)),
    }
    (mixup,) = (each for each in found.uses if each.word == "augment mixup")
    assert mixup.origins["until"].text == f"<test>:1:{len(f'{BASE}; augment mixup 0.2 u')}"
    assert mixup.trick.alpha == 0.2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("until=5", "until=5"), ("until=5.50", "until=5.5"), ("until=90.0%", "until=90%"), ("from=.7%", "from=0.7%"),
     ("from=1e-3", "from=0.001"), ("from=+2 until=1e1", "from=2 until=10"), ("until=9e-7%", "until=9e-07%")],
)  # fmt: skip
def test_the_unit_is_kept(written: str, canonical: str) -> None:
    found = plan(f"augment flip {written}")
    assert f"augment flip probability=0.5 {canonical}\n" in found.canonical()
    again = bind(found.canonical())
    assert (again, again.digest) == (found, found.digest)


def test_plans_state_spans_as_values() -> None:
    found = plan("augment flip from=2 until=80%")
    values = next(each for each in found.to_dict()["tricks"] if each["trick"] == "augment flip")["values"]
    origin = len(f"{BASE}; augment flip f")
    assert values["from"] == {"value": 2.0, "origin": f"<test>:1:{origin}"}
    assert values["until"] == {"value": "80%", "origin": f"<test>:1:{origin + len('from=2 ')}"}
    assert values_of(found)["augment flip until"] == "80%"
    assert {"augment flip", "augment flip from"} <= values_of(found).keys()
    without = next(each for each in plan("augment flip").to_dict()["tricks"] if each["trick"] == "augment flip")
    assert [*without["values"]] == ["probability"]


def test_a_lock_with_spans_binds_to_the_same_digest(tmp_path: Path) -> None:
    found = plan("augment flip from=2 until=80% mixup until=0.5; clip 1 from=1e-3%")
    text = lock_text(found)
    assert f"# plan v2 {found.digest}\n" in text
    assert bind(text).digest == found.digest


def test_formatting_keeps_spans() -> None:
    assert layout(parse("augment   mixup 0.2  until =90%;clip 1 from= 2")) == (
        "augment mixup 0.2 until=90%\nclip 1 from=2\n"
    )


def test_a_later_layer_replaces_a_span_with_its_clause() -> None:
    below = "augment mixup 0.2 from=1 until=90%"
    assert use(below, "augment mixup", "augment mixup 0.3").during == During()
    assert use(below, "augment mixup", "augment mixup until=50%").during == During(until=Moment(50, percent=True))
    assert use(below, "augment mixup", "augment flip from=2").during == During(Moment(1), Moment(90, percent=True))
    assert plan(below, "drop augment mixup").find("augment mixup") is None


# ---- digests

WITHOUT = {
    "base resnet50": "a0aaf7fc6fa60f71",
    "base resnet18; augment mixup 0.2 flip; loss smooth 0.1; clip 1; sam": "d04017d31e6cd8c6",
    "base resnet18; resize 0.4": "9db2780a44218b12",
    "base resnet18; resize start=0.4 full=0.7 step=4": "e6839f8971b15df7",
}
"""The digests of recipes, from before recipes had spans."""


@pytest.mark.parametrize("text", WITHOUT)
def test_the_digests_of_recipes_without_spans_are_those_of_before(text: str) -> None:
    assert bind(text).digest == WITHOUT[text]


def test_spans_count_in_the_digest() -> None:
    spans = ("", "until=5", "until=50%", "from=5", "from=5 until=6", "until=6")
    assert len({plan(f"augment flip {span}").digest for span in spans}) == len(spans)
    assert plan("augment flip until=5").digest == plan("augment flip until=5.0").digest


# ---- which tricks


def test_tricks_that_act_step_by_step_can_have_spans() -> None:
    words = vocabulary_with(Weigh, Stretch)
    some = ("augment crop", "augment mixup", "clip", "sam", "loss bce", "loss smooth", "loss distill", "weigh")
    others = ("stretch", "lr", "lr cosine", "tweak C", "ema", "resize", "loss", "epochs", "data fake", "optimizer sgd")
    able = {word for word in (*some, *others) if words.load(*key_of(word)).declared.spans}
    assert able == {*some}
    found = bind(f"{BASE}; weigh until=50%", words=words).find("weigh")
    assert found is not None
    assert found.during == During(until=Moment(50, percent=True))


@pytest.mark.parametrize("name", ["from_", "until"])
def test_no_field_can_have_the_name_of_a_span(name: str) -> None:
    members = {"__doc__": "Do something.", "__annotations__": {name: float}, name: number(1.0, "a point")}
    said = f"`{name}` can't be the name of a field: `from=` and `until=` limit a trick to a part of the training"
    with pytest.raises(TypeError, match=said):
        trick("mine")(type("Mine", (Trick,), members))


def test_the_name_of_a_span_is_no_former_name_of_a_field_of_a_trick_that_can_have_one() -> None:
    def crop_box(self: Trick, draws: object, heights: object, widths: object) -> object:
        return None

    members = {
        "__doc__": "Do something.",
        "__annotations__": {"end": float},
        "end": number(1.0, "it", formerly="until"),
    }
    trick("mine")(type("Mine", (Trick,), dict(members)))
    with pytest.raises(TypeError, match="`until` can't be a former name of `end`: here, it limits the trick"):
        trick("mine")(type("Mine", (Trick,), {**members, "crop_box": crop_box}))


# ---- errors

ABLE = "`from=` and `until=` are for tricks that act step by step: `augment`, `clip`, "


@pytest.mark.parametrize(
    ("text", "code", "place", "said"),
    [
        ("lr 0.1 until=5", "E022", "until", "`lr` has no field `until`, and can't be limited to a part of"),
        ("lr warmup 2 from=5%", "E022", "from", "`lr warmup` has no field `from`, and can't be limited"),
        ("tweak C until=5", "E022", "until", "`tweak C` has no field `until`"),
        ("stretch until=5", "E022", "until", "`stretch` has no field `until`, and can't be limited"),
        ("augment until=5 mixup", "E022", "until", "`augment` has no field `until`"),
        ("drop lr until=5", "E022", "until=5", "`drop` has no field `until`"),
        ("augment mixup until=5 0.2", "E026", "0.2", "after `until=5`, each value needs a field's name"),
        ("clip 1 until 5", "E026", "until", "unexpected value `until`: `clip` takes 1 value"),
        ("augment mixup until=5 until=6", "E027", "until=6", "`until` of `augment mixup` is set twice"),
        ("augment mixup until=soon", "E023", "soon", "`until` of `augment mixup` takes a number of epochs"),
        ('augment mixup from="5"', "E023", '"5"', "`from` of `augment mixup` takes a number of epochs"),
        ("augment mixup until=1e-400", "E023", "1e-400", "`until` of `augment mixup` takes a number of epochs above 0"),
        ("augment mixup until=0", "E024", "0", "takes a number of epochs above 0"),
        ("augment mixup until=0%", "E024", "0%", "or a percentage above 0%"),
        ("augment mixup until=101%", "E024", "101%", "of at most 100%, not `101%`"),
        ("augment mixup from=100%", "E024", "100%", "and below 100%, not `100%`"),
        ("augment mixup from=-1", "E024", "-1", "a number of epochs from 0 to 100,000"),
        ("augment mixup from=100001", "E024", "100001", "a number of epochs from 0 to 100,000"),
        ("augment mixup from=5 until=5", "E024", "until=5", "`until=5` of `augment mixup` is not after `from=5`"),
        ("augment mixup until=1% from=50%", "E024", "until=1%", "`until=1%` of `augment mixup` is not after `from="),
    ],
)
def test_errors_point_at_the_span(text: str, code: str, place: str, said: str) -> None:
    (error,) = diagnostics(f"{BASE}; {text}", words=vocabulary_with(Stretch))
    assert error.code == code
    assert error.span is not None
    assert error.span.text == place
    assert said in error.message


def test_errors_say_what_to_write() -> None:
    (error,) = diagnostics(f"{BASE}; lr 0.1 until=5")
    assert error.help.startswith(ABLE)
    (error,) = diagnostics(f"{BASE}; augment mixup 0.2 until 5")
    assert "`until=5` for epochs or `until=90%`" in error.help
    (error,) = diagnostics(f"{BASE}; augment mixup untl=5")
    assert error.help == "did you mean `until`?"
    (error,) = diagnostics(f"{BASE}; augment mixup from=5 until=3")
    assert [(span.text, what) for span, what in error.others] == [("from=5", "it starts here")]


def test_a_trick_without_a_name_of_the_span_keeps_its_suggestions() -> None:
    (error,) = diagnostics(f"{BASE}; augment mixup alhpa=5")
    assert error.help == "did you mean `alpha`?"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (
            "augment mixup until=200",
            "until=200",
            "`until=200` of `augment mixup` has no effect: the training has 10 ep",
        ),
        ("augment mixup from=10", "from=10", "`augment mixup` has no effect: it starts at `from=10`, and the training"),
        ("augment mixup from=5 until=50%", "until=50%", "`until=50%` is not after `from=5`, since the training has 10"),
    ],
)
def test_a_span_outside_of_the_training_is_a_warning(text: str, place: str, said: str) -> None:
    (warning,) = plan(text).warnings
    assert (warning.code, said in warning.message) == ("W001", True), warning.message
    assert warning.span is not None
    assert warning.span.text == place
    assert not plan(text, "epochs 300").warnings


def test_a_span_of_the_whole_training_is_no_mistake() -> None:
    assert not plan("augment mixup from=0 until=10 flip until=100%").warnings


# ---- what is made of recipes


def test_differences_show_spans() -> None:
    one, other = (
        plan("augment flip from=2 mixup; clip 1 until=5"),
        plan("augment flip mixup until=50%; clip 1 until=50%"),
    )
    lines = [line for word in compare_words(one, other) for line in word.lines()]
    assert [text for text, _ in lines] == [
        "augment flip from 2 → –",
        "augment mixup until – → 50%",
        "clip until 5 → 50%",
    ]
    assert [origin.split(" → ")[side] for origin, side in zip((line[1] for line in lines), (1, 0, 0), strict=True)] == [
        "default", "default", f"<test>:1:{len(f'{BASE}; augment flip from=2 mixup; clip 1 u')}",
    ]  # fmt: skip
    (added,) = compare_words(plan("seed 0"), plan("augment flip until=5"))
    assert added.statement == "augment flip probability=0.5 until=5"


@pytest.mark.parametrize("mode", ["stack", "drop"])
def test_rows_of_an_ablation_show_spans(mode: str) -> None:
    rows = rows_of(plan("augment mixup 0.3 until=90% flip; clip 1 from=2"), mode, ())
    sign = {"stack": "+", "drop": "−"}[mode]
    assert [row.label for row in rows[1:]] == [
        f"{sign} augment mixup 0.3 until=90%", f"{sign} augment flip", f"{sign} clip 1 from=2",
    ]  # fmt: skip
    full = rows[-1] if mode == "stack" else rows[0]
    found = full.plan.find("augment mixup")
    assert found is not None
    assert found.during == During(until=Moment(90, percent=True))
    (_, named) = rows_of(plan("augment mixup 0.3 until=90%"), "add", ["augment mixup 0.2 until=5"])
    found = named.plan.find("augment mixup")
    assert found is not None
    assert (named.label, found.during) == ("+ augment mixup 0.2 until=5", During(until=Moment(5)))


# ---- fields that got other names


def test_the_lock_of_an_earlier_release_states_the_earlier_name_of_a_field(tmp_path: Path) -> None:
    text = lock_text(bind("base resnet18; resize 0.4 full=0.7")).replace("full=0.7", "until=0.7")
    lock = Source(LOCK, text, tmp_path, path=tmp_path / LOCK)
    found = recipe.plan.bind.bind([lock], vocabulary())
    assert found.digest == WITHOUT["base resnet18; resize start=0.4 full=0.7 step=4"]
    assert "resize start=0.4 full=0.7 step=4\n" in found.canonical()


def test_a_recipe_states_the_new_name() -> None:
    (error,) = diagnostics(f"{BASE}; resize 0.5 until=0.7")
    assert (error.code, error.help) == ("E022", "it is now called `full`")
    assert error.span is not None
    assert error.span.text == "until"
