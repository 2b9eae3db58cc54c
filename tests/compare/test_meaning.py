"""Diffs compare meaning: they ignore how a recipe is written, and miss no value."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import recipe
from recipe.api import Insert, Layer, Net, Site, Trick, choice, integer, trick
from recipe.compare.api import Diff
from recipe.compare.model import GroupChange
from recipe.compare.text import _regrouped
from recipe.plan.changes import compare_words
from recipe.plan.plan import Plan
from recipe.plugins.declared import OWN
from recipe.plugins.fields import Field
from recipe.plugins.kinds import Address, Architecture, Choice, FilePath, Number, Numbers, Text
from recipe.plugins.vocabulary import Offer, Vocabulary
from tests.compare.helpers import compared, known
from tests.helpers import EXAMPLES, MORE, bind, command, vocabulary
from tests.strategies import meaningful


def rewritten(plan: Plan, chance: random.Random) -> str:
    """Write a plan as a recipe with every value explicit, in another order, with comments and odd whitespace."""
    statements = [use.statement() for use in plan.uses] + [f"dialect {plan.dialect}"]
    chance.shuffle(statements)
    return "# another writing\n" + "".join(f"  {text} {chance.choice([';', '# so'])}\n" for text in statements)


@settings(max_examples=200 * MORE)
@given(meaningful(), st.randoms(use_true_random=False))
def test_writing_does_not_matter(statements: list[str], chance: random.Random) -> None:
    """The compiled part of a diff follows from the digest, so plans with equal digests need not be compiled."""
    plan = bind("\n".join(statements))
    other = bind(rewritten(plan, chance))
    assert compare_words(plan, other) == ()
    assert plan.digest == other.digest
    assert plan.training == other.training


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_no_example_differs_when_rewritten(file: Path) -> None:
    plan = bind(file)
    other = bind(rewritten(plan, random.Random(file.stem)), folder=file.parent)
    assert compare_words(plan, other) == ()
    assert plan.digest == other.digest


def test_warmup_and_cosine_can_be_separate_statements() -> None:
    one, other = "base resnet18; lr warmup 5 cosine", "lr cosine # so\nbase resnet18; lr 0.1; lr warmup epochs=5"
    found = compared(one, other)
    assert found.empty
    assert found.to_text().endswith("no differences: the two recipes are equivalent\n")


def changed(field: Field, value: object, chance: random.Random) -> object:
    """Return another value that the field accepts."""
    kind = field.kind
    if isinstance(kind, Architecture):
        return chance.choice([word for word in kind.words if word != value])
    if isinstance(kind, Choice):
        return chance.choice([word for word in kind.words if word != value])
    if isinstance(kind, Numbers):
        if value is None:
            return (0.25,) * max(kind.counts, default=1)
        assert isinstance(value, tuple)
        if kind.counts:
            return (*value[:-1], value[-1] / 2 if value[-1] > 0 else 0.5)
        return (*value[:-1], value[-1] + 1)
    if isinstance(kind, FilePath):
        return "/somewhere/else"
    if isinstance(kind, Address):
        return "layer3"
    if isinstance(kind, Text):
        return "{}/*"
    assert isinstance(kind, Number)
    if kind.of:
        return next(other for other in kind.of if other != value)
    low = kind.minimum if kind.above is None else kind.above
    high = kind.maximum if kind.below is None else kind.below
    low, high = max(low, -1e3), min(high, 1e3)
    for attempt in range(12):
        other: float = chance.randint(int(low), int(high)) if kind.whole else chance.uniform(low, high)
        if attempt > 9:  # hypothesis may always draw the lowest value
            other = low + (high - low) * (attempt - 9) / 4
            other = round(other) if kind.whole else other
        if other != value and low <= other <= high and other != kind.above and other != kind.below:
            return other
    raise AssertionError(f"{field.name} accepts only one value")


@settings(max_examples=200 * MORE)
@given(meaningful(), st.randoms(use_true_random=False))
def test_every_changed_value_is_found(statements: list[str], chance: random.Random) -> None:
    plan = bind("\n".join(statements))
    places = [(use, field) for use in plan.uses for field in use.declared.fields]
    use, field = chance.choice(places)
    value = changed(field, getattr(use.trick, field.name), chance)
    trick: Trick = attrs.evolve(use.trick, **{field.name: value})  # type: ignore[misc]
    uses = tuple(attrs.evolve(use, trick=trick) if each is use else each for each in plan.uses)
    other = attrs.evolve(plan, uses=uses)
    assert (other.digest != plan.digest) == field.result
    (word,) = compare_words(plan, other)
    (seen,) = word.values
    assert (word.word, word.change, seen.field) == (use.word, "changed", field.word)
    assert seen.after == field.kind.write(value)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("epochs 30", "epochs 120 → 30"),
        ("batch 512", "batch 256 → 512"),
        ("batch 256 micro 64", "micro whole batches → 64"),
        ("batch 256 micro auto", "micro whole batches → auto"),
        (
            "loss smooth 0.1",
            "targets 1 for the true class and 0 for every other class → 0.9 for the true class and 0.0001001",
        ),
        ("augment mixup 0.2", "mixed by nothing → augment mixup alpha=0.2"),
        ("decay no-bias", "41 parameters: weight_decay 0.0001 → 0"),
        ("freeze body", "60 parameters: trained → frozen   conv1.weight"),
        ('freeze to "layer1"', "15 parameters: trained → frozen   conv1.weight"),
        ("data digits", "images unknown until opened → 1,442"),
        ("lr cosine", "learning rate: a for A"),
        ("seed 7", "~ seed number 0 → 7   default → <test>:2:6"),
        ("ema", "+ ema"),
    ],
)
def test_changes_in_training_are_shown(over: str, said: str) -> None:
    assert said in compared("base resnet18", f"base resnet18\n{over}").to_text(200).replace("<text>", "<test>")


def test_parameters_that_are_no_longer_frozen_are_shown_with_their_options() -> None:
    found = compared("base resnet18; freeze body; decay no-bias", "base resnet18; decay no-bias").to_text(200)
    assert "~ 20 parameters: frozen → trained, weight_decay 0.0001   conv1.weight" in found
    assert "~ 40 parameters: frozen → trained, weight_decay 0   bn1.weight" in found


def test_a_single_parameter_and_a_switch_are_written_in_words() -> None:
    change = GroupChange({"nesterov": True}, {"nesterov": False, "lr_scale": 2.0}, ("fc.bias",))
    assert _regrouped(change) == "1 parameter: lr_scale – → 2, nesterov on → off"


def test_a_teacher_is_a_term_of_the_loss(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text("base resnet18; data digits")
    text = f'base resnet18; loss distill "{teacher}"; data digits'
    found = compared("base resnet18; data digits", text).to_text(300)
    assert "~ loss cross entropy → cross entropy + loss distill" in found


def test_teachers_are_compared_by_meaning_and_not_by_path(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).write_text("base resnet18; data digits")
        texts.append(f'base resnet18; loss distill "{tmp_path / name}"; data digits')
    found = compared(*texts)
    assert found.empty
    assert found.a == found.b


def test_a_side_without_data_is_noted() -> None:
    note = "names no dataset; `recipe run` would use `data digits`"
    assert f"A {note}" in compared("base resnet18", "base resnet18; data digits").to_text()
    assert f"B {note}" in compared("base resnet18; data digits", "base resnet18").to_text()
    assert note not in compared("base resnet18; data digits", "base resnet18; data fake").to_text()


def test_an_added_trick_states_its_values() -> None:
    text = compared("base resnet18", "base resnet18; lr per; augment mixup; batch 512").to_text()
    assert "+ lr per images=256" in text
    assert "+ augment mixup alpha=0.2" in text
    assert "~ highest learning rate 0.1 → 0.2" in text


def test_the_order_is_shown_if_it_matters() -> None:
    plan, facts = known("base resnet18; augment jitter pca-noise flip")
    word = {use.word: use for use in plan.uses}
    order = [*(use for use in plan.uses if not use.word.startswith("augment"))]
    swapped = attrs.evolve(plan, uses=(*order, word["augment pca-noise"], word["augment flip"], word["augment jitter"]))
    found = Diff.between("a", plan, facts, "b", swapped, facts)
    assert ("augment jitter", "augment pca-noise") in found.order
    assert (
        "order: `augment jitter` before `augment pca-noise` → `augment jitter` after `augment pca-noise`"
        in found.to_text()
    )


# ---- the command


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["full", "full"], 0, "no difference"),
        (["full", "full", "--exit-code"], 0, "no difference"),
        (["full", "+", "seed 1", "--exit-code"], 1, "~ seed number 0 → 1"),
        (["full", "+", "seed 1"], 0, 'B full + "seed 1"'),
        (["full", "+", "epochs 2", "full", "+", "epochs 3"], 0, "~ epochs count 2 → 3"),
        (["base resnet18", "base resnet18; tweak C", "--json"], 0, '"schema_version": 1'),
    ],
)
def test_diff(arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path))
    found = command("diff", *arguments)
    assert (found.status, found.stderr) == (status, "")
    assert said in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["full"], "diff takes two recipes"),
        (["full", "quick", "distill"], "not 3"),
        (["+", "seed 1"], "`+` goes between a recipe and its statements"),
        (["full", "+"], "`+` goes between a recipe and its statements"),
        (["full", "quick", "--device=cpu"], "--device requires --measure"),
        (["full", "+", "bach 2"], "E020"),
        (["full", "nowhere.recipe"], "E001"),
        (["full", "+", "drop tweak D; base vgg11"], "E101"),
    ],
)
def test_invalid_arguments_are_reported(arguments: list[str], said: str) -> None:
    found = command("diff", *arguments)
    assert found.status == 2
    assert said in found.stderr
    assert not found.stdout


def test_a_run_is_compared_by_its_lock(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.lock").write_text(bind("base resnet18; epochs 3").canonical())
    found = command("diff", tmp_path / "run", "base resnet18")
    assert found.status == 0
    assert "~ epochs count 3 → 120" in found.stdout


def test_the_text_is_no_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared("base resnet50; tweak A", "base resnet101; tweak C D; lr cosine; batch 1024")
    for width in (40, 60, 80, 120):
        assert f"{found.b.total.macs:,}" in found.to_text(width)  # no number is truncated
        assert max(map(len, found.to_text(width).splitlines())) <= width
    assert "\x1b[" not in found.to_text(80)
    coloured = found.to_text(80, color=True)
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert found.to_text(80, color=True) == coloured, "an explicit argument takes precedence"


def test_the_difference_of_the_usual_pair_fits_on_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    found = command("diff", "full", "+", "drop tweak D; lr warmup 4").stdout.rstrip("\n").split("\n")
    assert len(found) <= 40


def test_standard_input_can_be_both_sides() -> None:
    found = command("diff", "-", "+", "seed 1", stdin=b"base resnet18")
    assert (found.status, found.stderr) == (0, "")
    assert "~ seed number 0 → 1" in found.stdout


def test_a_small_difference_is_not_shown_as_zero() -> None:
    text = compared("base resnet50", "base resnet50 classes=999").to_text()
    assert "(under 0.1%)" in text
    assert "0.0%" not in text.replace("00.0%", "")


def test_a_small_change_of_the_rate_is_drawn() -> None:
    found = compared("base resnet18; data digits; lr cosine", "base resnet18; data digits; lr cosine floor=0.0009")
    assert found.rates_differ


class Scale(torch.nn.Module):
    """A third-party module that keeps one setting, but not the one that determines the shape of its weight."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.weight = torch.nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight.sum()


@trick("tweak scaled", writes=("head",))
class Scaled(Trick):
    """Insert a third-party module before the classifier."""

    size: int = integer(3, "of its weight", minimum=1)
    kind: str = choice("wide", "of scale", of=("wide", "narrow"))

    def rewrite(self, net: Net) -> Iterable[Site]:
        address, _ = net.classifier
        layer = Layer(f"{Scale.__module__}:Scale", {"kind": self.kind, "size": self.size})
        yield Site(address, (Insert(address, (("scale", layer),)),))


@pytest.mark.parametrize("kind", ["wide", "narrow"])
def test_weights_of_a_third_party_module_differ_in_shape_whatever_its_settings(kind: str) -> None:
    ours = [(key, Offer(OWN, loaded=vocabulary().load(*key))) for key in vocabulary().keys()]  # noqa: SIM118
    words = Vocabulary([*ours, (("tweak", "scaled"), Offer("theirs", loaded=Scaled))])
    texts = ("base resnet18; tweak scaled", f"base resnet18; tweak scaled 5 {kind}")
    a, b = (recipe.compile(text, device="meta", plugins=words) for text in texts)
    (row,) = [row for row in recipe.diff(a, b).rows if row.change]
    assert ("weight", (3,), (5,)) in row.settings
