"""The plan: its canonical text has the same meaning, and its digest depends only on the meaning."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.api import Trick, integer, number, path, trick
from recipe.plan.plan import Plan
from recipe.plugins.declared import OWN
from recipe.plugins.vocabulary import Offer, Vocabulary
from tests.helpers import DIALECTS, EXAMPLES, ROOT, bind
from tests.strategies import dialects, meaningful


def assert_same(one: Plan, other: Plan) -> None:
    assert one == other
    assert one.digest == other.digest
    assert one.training == other.training
    assert one.canonical() == other.canonical()
    assert [use.word for use in one.uses] == [use.word for use in other.uses]


# ---- canonical text


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_canonical_text_of_an_example_binds_to_the_same_plan(file: Path, dialect: str) -> None:
    plan = bind(file, f"dialect {dialect}", data=True)
    assert plan.dialect == dialect
    assert_same(bind(plan.canonical(), folder=Path("/elsewhere")), plan)


@given(meaningful(), dialects, st.booleans())
def test_the_canonical_text_of_a_recipe_binds_to_the_same_plan(statements: list[str], dialect: str, data: bool) -> None:
    plan = bind("\n".join([f"dialect {dialect}", *statements]), data=data)
    assert_same(bind(plan.canonical()), plan)


def test_canonical_text() -> None:
    text = "lr step 30 60 by=20% warmup 5; base inception_v3; augment mixup; tweak C; data folder 'x'".replace("'", '"')
    assert bind(text, folder=Path("/data")).canonical().splitlines() == [
        "dialect paper",
        "base inception_v3",
        "tweak C",
        "init xavier gain=1",
        'data folder path="/data/x" size=299 workers=4 on-error=fail split-seed=0 subfolders=join orientation=exif '
        "background=white",
        "augment mixup alpha=0.2",
        "batch total=256",
        "epochs count=120",
        "optimizer nag momentum=0.9",
        "lr rate=0.1 every=batch",
        "lr step 30 60 by=0.2",
        "lr warmup 5",
        "decay rate=0.0001",
        "loss aux=0.4",
        "precision format=fp32",
        "layout order=channels-last",
        "seed number=0",
    ]


def test_a_canonical_text_states_every_value_itself() -> None:
    plan = bind(bind("base resnet50; augment jitter; decay no-bias", data=True).canonical())
    origins = {origin.kind for use in plan.uses for origin in use.origins.values()}
    unstated = {name for use in plan.uses for name, origin in use.origins.items() if origin.kind != "file"}
    assert origins == {"file", "default"}
    assert unstated == {"weights", "classes", "least"}  # these have no value


# ---- digests


@given(meaningful(), st.randoms(use_true_random=False))
def test_order_comments_and_spaces_do_not_change_the_plan(statements: list[str], chance: object) -> None:
    plan = bind("\n".join(statements))
    mixed = list(statements)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert_same(bind("# first\n" + " ; ".join(mixed) + "\n\n# last"), plan)


@given(meaningful(), dialects)
def test_stated_defaults_do_not_change_the_plan(statements: list[str], dialect: str) -> None:
    plan = bind("\n".join([f"dialect {dialect}", *statements]))
    explicit = [use.statement() for use in plan.uses]
    assert_same(bind("\n".join([*explicit, f"dialect {dialect}"])), plan)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("base resnet50", "dialect paper; base resnet50"),
        ("base resnet50", "base resnet50; batch 256; epochs 120; lr 0.1; decay 1e-4; seed 0"),
        ("base resnet50", "base resnet50; init xavier; optimizer nag; loss; precision fp32"),
        ("base resnet50; lr warmup 5", "base resnet50; lr rate=0.1 every=batch warmup epochs=5"),
        ("base resnet50; decay 0.1", "base resnet50; decay 10%"),
        ("base resnet50; decay 0", "base resnet50; decay -0"),
        ("base resnet50; batch 1024", "base resnet50; batch 1.024e3"),
        ('base resnet50; data folder "x"', 'base resnet50; data folder "./x"'),
        ("base resnet50; dialect torchvision", "dialect torchvision; base resnet50; lr every=epoch; optimizer sgd"),
    ],
)
def test_recipes_with_the_same_meaning_have_the_same_plan(one: str, other: str) -> None:
    assert_same(bind(one), bind(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("base resnet50", "base resnet18"),
        ("base resnet50", "base resnet50; dialect gluoncv"),
        ("base resnet50", "base resnet50; tweak C"),
        ("base resnet50", "base resnet50; seed 1"),
        ("base resnet50; lr step 30", "base resnet50; lr step 31"),
        ("base resnet50; lr step 30", "base resnet50; lr step 30 60"),
        ("base resnet50; loss smooth", "base resnet50; loss smooth over=all"),
        ("base resnet50 weights=DEFAULT", 'base resnet50 weights="DEFAULT"'),
    ],
)
def test_recipes_with_different_meanings_have_different_plans(one: str, other: str) -> None:
    assert bind(one) != bind(other)
    assert bind(one).digest != bind(other).digest


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_digest_depends_on_the_meaning_of_a_teacher_not_its_text(dialect: str, tmp_path: Path) -> None:
    teacher, student = tmp_path / "teacher.recipe", tmp_path / "student.recipe"
    student.write_text('base resnet18; loss distill "teacher.recipe"')
    digests = []
    for text in ("base resnet50", "# a\nbase resnet50; batch 64", "base resnet50; tweak C"):
        teacher.write_text(text)
        digests.append(bind(student, f"dialect {dialect}").digest)
    assert digests[0] == digests[1]  # digits suggest a batch of 64
    assert digests[0] != digests[2]


@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_digest_is_the_same_in_another_process(seed: str) -> None:
    """Finished runs are found by their digests."""
    text = "base resnet50; tweak C D; augment crop jitter mixup"
    code = f"from tests.helpers import bind; print(bind({text!r}).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert re.fullmatch("[0-9a-f]{16}", found.stdout.strip())
    assert found.stdout.strip() == bind(text).digest


# ---- dialects


@pytest.mark.parametrize(
    ("dialect", "implied", "values"),
    [
        ("paper", {"init xavier", "optimizer nag"}, ("others", 1.0, 0.0, 0.2, "batch", "skip")),
        ("gluoncv", {"init kaiming", "optimizer nag"}, ("all", 0.5, 0.4, 0.0, "batch", "skip")),
        ("torchvision", {"init stock", "optimizer sgd"}, ("all", 1.0, 0.4, 0.0, "epoch", "decay")),
    ],
)
def test_dialects(dialect: str, implied: set[str], values: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "t.recipe").write_text("base resnet50")
    text = 'base resnet18; augment jitter; loss smooth distill "t.recipe"; decay no-bias'
    plan = bind(text, f"dialect {dialect}", folder=tmp_path)
    found = {use.word: use.values for use in plan.uses}
    assert {word for word in found if word.startswith(("init", "optimizer"))} == implied
    jitter, distill = found["augment jitter"], found["loss distill"]
    assert (
        found["loss smooth"]["over"],
        distill["weight"],
        jitter["contrast"],
        jitter["hue"],
        found["lr"]["every"],
        found["decay no-bias"]["norms"],
    ) == values
    assert distill["weight"] == distill["soft_weight"]


# ---- plans as data


def test_a_plan_is_plain_json() -> None:
    plan = bind("base resnet50; lr step 30 60", data=True)
    found = json.loads(json.dumps(plan.to_dict()))
    assert found["schema_version"] == 1
    assert (found["digest"], found["dialect"]) == (plan.digest, "paper")
    tricks = {entry["trick"]: entry for entry in found["tricks"]}
    assert tricks["lr step"]["values"]["epochs"] == {"value": [30.0, 60.0], "origin": "<test>:1:24"}
    assert tricks["init xavier"]["origin"] == "dialect paper"
    assert tricks["batch"]["values"]["total"] == {"value": 64, "origin": "suggested by `data digits`"}


def test_lookups_in_a_plan() -> None:
    plan = bind("base resnet50; tweak C; augment flip jitter pca-noise")
    assert [use.word for use in (plan.use("tweak"), plan.find("tweak C")) if use] == ["tweak C", "tweak C"]
    assert plan.find("tweak D") is None
    assert [type(found.trick).__name__ for found in plan.hooked("augment")] == ["Flip", "Jitter", "PcaNoise"]
    assert plan.base.word == "base"


# ---- tricks of other packages


@trick("odd")
class Odd(Trick):
    """A trick with unusual fields: a default of another type, and required fields at the end."""

    scale: float = number(1, "a scale")
    limit: int | None = integer(None, "a limit")
    place: str = path("nowhere", "a place", name=True)
    count: int = integer(help="a count")
    last: float = number(help="the last")


@pytest.mark.parametrize(
    "given", ["count=3 last=2", "scale=1.0 count=3 last=2", "1 7 there 3 2", "limit=7 count=3 last=2"]
)
def test_a_trick_with_unusual_fields_survives_its_canonical_text(given: str, vocabulary: Vocabulary) -> None:
    ours = [(key, Offer(OWN, loaded=vocabulary.load(*key))) for key in vocabulary.keys()]  # noqa: SIM118
    words = Vocabulary([*ours, (("odd", None), Offer("theirs", loaded=Odd))])
    plan = bind(f"base resnet50; odd {given}", words=words)
    assert_same(bind(plan.canonical(), words=words), plan)
