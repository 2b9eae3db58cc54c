"""Bad input of any kind: clear errors with their places, exit code 2, and never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from recipe.base.errors import RecipeError
from recipe.base.rendering import render
from recipe.base.source import MAX_BYTES, Source
from recipe.cli.inputs import source_of
from recipe.language import parser
from recipe.language.overlays import MAX_TOTAL
from recipe.language.parser import MAX_STATEMENTS
from recipe.language.recipe_input import override
from recipe.plan.bind import bind as bind_sources
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import EXAMPLES, MORE, SEED, command

BASE = b"base resnet50\n"


def assert_refused(file: Path | str, *codes: str, stdin: bytes = b"") -> str:
    """Assert that `check` reports these errors in a recipe, and return its output."""
    found = command("check", file, "--format", "json", stdin=stdin)
    assert (found.status, found.stderr) == (2, "")
    assert [each["code"] for each in json.loads(found.stdout)["diagnostics"]] == list(codes)
    text = command("check", file, stdin=stdin)
    assert text.status == 2
    assert all(f"error[{code}]: " in text.stdout for code in codes)
    assert "Traceback" not in text.stdout + text.stderr
    return text.stdout


@pytest.mark.parametrize(
    ("content", "place", "codes"),
    [
        # Not a recipe at all.
        (b"", "1:1", ["E050"]),
        (b"\n\n# nothing\n", "1:1", ["E050"]),
        (b"\xff\xfe\x00b", None, ["E002"]),
        (BASE + b"# caf\xe9", None, ["E002"]),
        (BASE + b"lr 0.1\0", None, ["E002"]),
        (b"\x89PNG\r\n\x1a\n\x00", None, ["E002"]),
        (b"\xef\xbb\xbf" + BASE, "1:1", ["E003"]),
        (b"base resnet50\r\nlr 1\r\n", "1:14", ["E004"]),
        (b"base resnet50\rlr 1", "1:14", ["E004"]),
        (BASE + b"#" * MAX_BYTES, None, ["E005"]),
        (BASE + b"seed 1\n" * MAX_STATEMENTS, f"{MAX_STATEMENTS + 1}:1", ["E005"]),
        # Syntax.
        (BASE + b"lr =", "2:4", ["E010"]),
        (BASE + b"= 3", "2:1", ["E010"]),
        (BASE + b"batch size=", "2:12", ["E010"]),
        (BASE + b"lr {0.1}", "2:4", ["E011"]),
        (BASE + b"base: resnet50", "2:1", ["E020"]),
        (BASE + b"data folder /data", "2:13", ["E011"]),
        (BASE + b'data folder "/data', "2:13", ["E012"]),
        (BASE + b"\x1b[31mred", "2:1", ["E011"]),
        (BASE + "“quoted”".encode(), "2:1", ["E011"]),
        # Words and values.
        (BASE + b"bach 256", "2:1", ["E020"]),
        (BASE + b"augment mixpu", "2:9", ["E021"]),
        (BASE + b"dialect jax", "2:9", ["E021"]),
        (BASE + b"augment crop aera=1", "2:14", ["E022"]),
        (BASE + b"precision 16", "2:11", ["E023"]),
        (BASE + b"lr nan", "2:4", ["E023"]),
        (BASE + b"lr 1e999", "2:4", ["E023"]),
        (BASE + b"epochs 1.5", "2:8", ["E023"]),
        (BASE + b"batch 0", "2:7", ["E024"]),
        (BASE + b"decay -1", "2:7", ["E024"]),
        (BASE + b"epochs 1e9", "2:8", ["E024"]),
        (BASE + b"loss smooth 1.5", "2:13", ["E024"]),
        (BASE + b"lr warmup", "2:4", ["E025"]),
        (BASE + b"batch 1 2", "2:9", ["E026"]),
        (BASE + b"lr 1 rate=2", "2:6", ["E027"]),
        (BASE + b"tweak C; tweak C", "2:16", ["E028"]),
        # Combinations.
        (BASE + b"tweak A B", "2:9", ["E030"]),
        (BASE + b"lr cosine step 30", "2:11", ["E030"]),
        (b"tweak C", "1:1", ["E050"]),
        (BASE + b"drop tweak", "2:1", ["E044"]),
        # Files.
        (BASE + b'include "none.recipe"', "2:9", ["E001"]),
        (BASE + b'include "."', "2:9", ["E001"]),
        (BASE + b'include "a.recipe"', "2:9", ["E041"]),
        (BASE + b'include "../b.recipe"', "2:9", ["E042"]),
        (BASE + b'include "/etc/passwd"', "2:9", ["E042"]),
        (BASE + b'loss distill "none.recipe"', "2:14", ["E001"]),
        (BASE + b'loss distill "a.recipe"', "2:14", ["E061"]),
        # Several errors. A statement with a syntax error has no other error.
        (b"bach 1; lr nan\nbse x; decay -1 5x", "2:17", ["E011", "E020", "E023", "E020"]),
    ],
)
def test_a_bad_file_is_rejected_at_its_place(
    content: bytes, place: str | None, codes: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "a.recipe"
    file.write_bytes(content)
    said = assert_refused(file, *codes)
    assert place is None or f"{file}:{place}\n" in said


@pytest.mark.parametrize("content", [b"\xff", BASE + b"\0", BASE * 6000])
def test_standard_input_is_checked_in_the_same_way(content: bytes) -> None:
    found = command("check", "-", stdin=content)
    assert found.status == 2
    assert "`<stdin>`" in found.stdout


def test_paths_that_are_not_recipe_files(tmp_path: Path) -> None:
    assert "file, run folder or example not found" in assert_refused(tmp_path / "none.recipe", "E001")
    assert "is a folder, not a recipe file" in assert_refused(tmp_path, "E001")
    (tmp_path / "loop").symlink_to("loop")
    assert_refused(tmp_path / "loop", "E001")
    assert_refused("x" * 5000, "E001")
    assert_refused("", "E001")
    assert "did you mean the example `quick`?" in assert_refused("quikc", "E001")


def test_a_recipe_longer_than_any_file_name_is_read_as_text() -> None:
    assert command("check", f"base resnet50 # {'x' * 300}").status == 0
    assert_refused(f"bach 8; base resnet50 # {'x' * 5000}", "E020")


def test_a_path_longer_than_any_file_name_is_not_found(tmp_path: Path) -> None:
    long = "x" * 300
    file = tmp_path / "a.recipe"
    file.write_text(f'base resnet50; data folder "{long}"')
    found = command("check", file)
    assert (found.status, found.stdout.count("warning[W001]")) == (0, 1)
    file.write_text(f'base resnet50; include "{long}"; loss distill "{long}"')
    assert_refused(file, "E001", "E001")


def test_every_error_of_every_file_is_reported(tmp_path: Path) -> None:
    one, two = tmp_path / "one.recipe", tmp_path / "two.recipe"
    one.write_text("base resnet50; bach 1; lr nan; tweak A B")
    two.write_bytes(b"\xff")
    found = command("check", one, two, tmp_path / "three.recipe", "--format", "json")
    assert found.status == 2
    codes = [each["code"] for each in json.loads(found.stdout)["diagnostics"]]
    assert codes == ["E020", "E023", "E030", "E002", "E001"]


def test_a_duplicate_statement_is_shown_at_both_places(tmp_path: Path) -> None:
    file = tmp_path / "a.recipe"
    file.write_text("base resnet50\nbatch 8\n\nbatch 16\n")
    said = assert_refused(file, "E028")
    assert said.index(f"{file}:4:1") < said.index(f"{file}:2:1")
    assert "- first stated here" in said


def test_a_thousand_statements_of_64_kib_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "a.recipe"
    text = b"base resnet50" + b"\nseed 1" + b"\n" * (MAX_STATEMENTS - 2)
    file.write_bytes(text + b"#" * (MAX_BYTES - len(text)))
    assert command("check", file).status == 0


@pytest.mark.parametrize(
    ("text", "code", "count"),
    [
        ("tweak" + " C" * 2000, "E028", 1999),
        ("tweak" + " X" * 2000, "E021", 1),
        ("lr step" + " 5" * 2000, "E024", 1),
        ("base " + "x" * 60000, "E011", 1),
        ("lr " + "9" * 60000, "E011", 1),
        ("lr 1" + "1" * 5000 + "%", "E011", 1),
        ("lr 1e" + "1" * 5000 + "%", "E011", 1),
        ("lr 1e-" + "9" * 5000, "E011", 1),
        ("lr 0." + "0" * 5000 + "1", "E011", 1),
        ("batch total=" + "9" * 5000, "E011", 1),
        ("lr " + "a" * 257 + "=1", "E011", 1),
        ("x" * 257, "E011", 1),
        ('data folder "' + "x" * 5000 + '"', "E011", 1),
        ("lr " + "9" * 64, "E024", 1),
        ("lr 1e" + "9" * 61 + "%", "E023", 1),
        ("augment " + "crop flip " * 6000, "E028", 11998),
        ("lr 5x\n" * 10000, "E011", 10),
        ('"' * 60000, "E011", 1),
    ],
)
def test_long_nonsense_is_reported(text: str, code: str, count: int) -> None:
    with pytest.raises(RecipeError) as caught:
        bind_sources([Source("<test>", f"base resnet18\n{text}" if "base" not in text else text, Path.cwd())])
    assert [error.code for error in caught.value.diagnostics] == [code] * count
    said = render(caught.value.diagnostics)
    assert len(said) < 1000 * min(count, 100), "messages show no more than the beginning of a long word"


WHOLES = {
    "clauses": ("base resnet18\ntweak" + " C" * 32_000, ["E005"]),
    "wrong clauses": ("base resnet18\naugment" + " crop flpi" * 6_000, ["E005"]),
    "wrong words": ("base resnet18\n" + "".join(f"word{i} 1\n" for i in range(999)), ["E005"] + ["E020"] * 999),
    "comments": ("base resnet18\n" + "#\n" * 32_000, ["E005"]),
    "bad words": ("base resnet18\n" + "lr 5x\n" * 10_000, ["E005"]),
    "empty": ("base resnet18\n", ["E043"]),
}


@pytest.mark.parametrize("whole", WHOLES)
def test_a_recipe_is_bounded_with_all_that_it_includes(whole: str, tmp_path: Path) -> None:
    """Two files, each within the bounds of a file, of which one includes the other 120 times."""
    text, codes = WHOLES[whole]
    (tmp_path / "b.recipe").write_text(text)
    (tmp_path / "a.recipe").write_text('include "b.recipe"\n' * 120)
    with pytest.raises(RecipeError) as caught:
        bind_sources([source_of(str(tmp_path / "a.recipe"))])
    found = [error.code for error in caught.value.diagnostics]
    assert [code for code in found if code not in ("E028", "E021", "E011")] == codes
    assert len(found) <= MAX_TOTAL["words"]
    (first, *_) = [error for error in caught.value.diagnostics if error.code in ("E005", "E043")]
    assert first.span is not None
    assert first.span.text == 'include "b.recipe"'
    assert render(caught.value.diagnostics).count("\n") < 100 * 20


def test_the_statements_on_top_count_too() -> None:
    with pytest.raises(RecipeError) as caught:
        bind_sources([Source("<test>", "base resnet18", Path.cwd()), *override(("seed 1 # " + "x" * 140_000,))])
    (error,) = caught.value.diagnostics
    assert (error.code, error.message) == (
        "E005",
        "the recipe has more than 128 KiB in all, with the files that it includes",
    )


def test_every_error_of_a_long_file_is_found_without_reading_it_ten_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser goes on after a statement with an error, and reads what is before it once more at the end."""
    lengths = []

    class Counting:
        def parse(self, text: str) -> object:
            lengths.append(len(text.lstrip(" ")))
            return real.parse(text)

    real = parser._parser()
    monkeypatch.setattr(parser, "_parser", lambda: Counting())
    _, errors = parser.parse(Source("<test>", "lr 1\n" * 900 + "lr 5x\n" * 9 + "lr 1", Path.cwd()))
    assert len(errors) == 9
    assert sum(length > 100 for length in lengths) == 2


# ---- fuzz

FUZZ = 1000 * MORE
BATCHES = 20
NASTY = [
    *"\n\r\t\0;#=\"\\%.:-_ {}[]()<>|$&~`'*?!@^,+/0123456789eE",
    "\ufeff", "\u00a0", "\u2028", "é", "𝕏", "٣", "\x1b", "\ud800", "nan", "inf", "1e999", "-0", "1e-400", "10%", "\\\"",
    'include "quick.recipe"', "drop", "dialect gluoncv", 'loss distill "teacher.recipe"', "timm:", "base", '""', "; ;",
]  # fmt: skip
EXTREME = [
    "\x1b[31m", "\u202e", "\u200b", "9" * 64, "9" * 65, "1e" + "9" * 60 + "%", "1" * 5000 + "%", "x" * 257,
    '"' + "x" * 4095 + '"', " size=32 64", " epochs=3 ", "mixup 0.2", 'include "quick.recipe"\n' * 120,
    " crop flip" * 300, "\nword 1" * 1000,
]  # fmt: skip
"""Beyond a bound, or at it. One in twenty insertions is one of these, as they hide what else is wrong."""


def mutated(texts: list[str], chance: random.Random) -> str:
    """Return a recipe with one to eight changes of characters, words and lines, some taken from other recipes."""
    text = chance.choice(texts)
    for _ in range(chance.randint(1, 8)):
        place = chance.randint(0, len(text))
        end = min(len(text), place + chance.choice([1, 1, 1, 2, 5, 20]))
        words = text.split(" ")
        nasty = chance.choice(EXTREME if chance.random() < 0.05 else NASTY)
        match chance.randrange(9):
            case 0:
                text = text[:place] + text[end:]
            case 1:
                text = text[:place] + nasty + text[place:]
            case 2:
                text = text[:place] + nasty + text[end:]
            case 3:
                text = text[:place] + text[place:end][::-1] + text[end:]
            case 4:
                text = text[:place] + text[place:end] * chance.choice([2, 3, 50]) + text[end:]
            case 5:
                chance.shuffle(words)
                text = " ".join(words)
            case 6:
                words[chance.randrange(len(words))] = chance.choice(chance.choice(texts).split() or [""])
                text = " ".join(words)
            case 7:
                lines = text.split("\n") + chance.choice(texts).split("\n")
                text = "\n".join(chance.sample(lines, chance.randint(0, len(lines))))
            case _:
                text = text[:place] + chr(chance.choice([chance.randrange(128), chance.randrange(0x3000)])) + text[end:]
    return text


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_recipes_are_bound_or_rejected(batch: int, vocabulary: Vocabulary) -> None:
    """A randomly changed recipe raises nothing but a `RecipeError`, which is rendered as a bounded, printable text.

    The test tries 1,000 recipes, times RECIPE_TEST_MORE.
    """
    texts = [path.read_text("utf-8") for path in EXAMPLES]
    folder = EXAMPLES[0].parents[1] / "examples"
    refused = 0
    for number in range(batch, FUZZ, BATCHES):
        text = mutated(texts, random.Random(f"{SEED} {number}"))
        try:
            bind_sources([Source("<fuzz>", text, folder)], vocabulary, data=number % 2 == 0)
        except RecipeError as error:
            shown = render(error.diagnostics)
            refused += bool(shown)
            assert shown.replace("\n", "").isprintable(), f"recipe {number} of seed {SEED}: {text!r}"
            assert shown.count("\n") < 2000, f"recipe {number} of seed {SEED}: {text!r}"
        except Exception as error:
            raise AssertionError(f"recipe {number} of seed {SEED}: {text!r}") from error
    assert refused > FUZZ // BATCHES // 4, "the changes are too small to matter"
