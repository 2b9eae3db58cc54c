"""The core refers to no trick by name: its code contains no word of a built-in trick.

It accesses a trick only through its hooks, slots, settings and declarations. Other strings that happen to be words of
tricks (names of hooks, slots or JSON fields) are recognized by their position in the code, or listed with a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import recipe
from tests.strategies import all_tricks

PACKAGE = Path(recipe.__file__).parent

OUTSIDE = {
    "tricks": "the tricks themselves",
    "testing": "the kit writes recipes for the tricks that it tests",
    "scaffold": "it writes a package with tricks of these verbs",
}
"""Folders that are not part of the core."""

NAMESPACES = {"hook", "call_hook", "hooked", "overrides", "broken", "maker", "Hook", "plural"}
"""Functions that take names of hooks, slots or settings, or nouns, some of which are also words of tricks."""

ALLOWED = [
    ("plugins/slots.py plugins/hooks.py", "*", "names of slots"),
    ("api.py __init__.py", "compile number path", "names that the public API exports"),
    ("ablation/cells/store.py", "loss precision micro", "JSON of finished runs"),
    ("compiler/state_dict.py", "ema model weights", "names in the checkpoints of other trainers"),
    ("runs/trained_on.py", "classes mean std crop interpolation", "the header of an export"),
    (
        "ablation/cells/store.py compare/results.py inference/opened.py runs/beginning.py runs/overview.py "
        "runs/records.py trackers/following.py training/keeping.py training/loop.py training/reporting.py "
        "training/summary.py",
        "evaluation train test",
        "kinds of lines in `metrics.jsonl`, and a part of the summary",
    ),
    (
        "ablation/report/chosen.py ablation/final.py cli/evaluate.py data/images.py data/layout.py data/listed.py "
        "data/parts.py data/part_folders.py data/splits.py inference/datasets.py inference/evaluating.py "
        "inference/pretrained.py inference/run.py runs/provenance.py",
        "train val test",
        "the parts of a dataset",
    ),
    ("data/layout.py", "seed", "what a split has, by name"),
    ("data/splits.py", "evaluation", "a usual name of a part"),
    ("data/table.py", "image label path", "columns of a list"),
    ("cli/predict.py compare/graph.py compiler/summarise.py trackers/following.py", "image", "nouns, and output"),
    ("ablation/report/table.py exporters/onnx_pixels.py runs/held_out.py", "label", "nouns, and parts of files"),
    ("inference/predictions.py", "image probability", "columns of a table"),
    ("cli/show.py", "split", "an option"),
    (
        "cli/doctor.py compiler/cache.py compiler/identity.py exporters/api.py exporters/codegen.py graph/trace.py "
        "language/overlays.py training/setup.py",
        "torchvision",
        "the package, and a dialect",
    ),
    ("data/folders.py", "classes", "a value of a setting"),
    ("cli/show.py showing/api.py showing/sheet.py", "evaluation", "a part of a sheet"),
    ("showing/report.py", "channels", "a heading"),
    ("explain/balance.py", "classes images", "fields of its data, and a heading"),
    (
        "inference/run_html.py",
        "balanced best classes epochs evaluation folder loss test train",
        "rows of the table, measured values, and kinds of lines in `metrics.jsonl`",
    ),
    ("showing/drawing.py", "to", "between two sizes"),
    ("cli/show.py", "images", "an option"),
    ("showing/report.py", "images classes smallest largest", "fields of its JSON"),
    ("compiler/own_model.py", "evaluation", "a mode of a model, in messages"),
    ("data/images.py", "mean std", "parts of `Sets`"),
    ("graph/net.py", "size", "a method of tensors"),
    ("inference/pretrained.py", "crop", "the field of `configure`'s setting `evaluation_whole`"),
    ("plugins/settings.py data/views.py", "flip", "a value of a setting"),
    ("compiler/groups.py", "lr momentum", "torch's parameter groups"),
    ("compiler/program.py", "total", "output"),
    ("training/own_loop.py", "micro precision", "names of settings"),
    ("runs/state.py", "step model optimizer loss images best", "fields of a checkpoint"),
    ("runs/best.py training/keeping.py", "step", "a counted value"),
    ("runs/held_out.py", "path", "an array of `evaluation.npz`"),
    ("runs/records.py training/keeping.py", "best last", "values and fields of the summary"),
    ("training/loop.py training/meters.py", "loss images", "measured values"),
    ("training/keeping.py", "loss", "a measured value"),
    ("training/reporting.py training/trainer.py", "balanced", "a measured value"),
    ("training/reporting.py", "epochs loss lr best by", "measured values"),
    ("training/engine.py training/estimate.py training/reporting.py", "step", "a counted value"),
    ("training/loading.py training/transform.py", "crop augment", "streams of random numbers, and hooks"),
    ("training/objective.py", "loss", "the hook"),
    ("compare/api.py compare/model.py compare/text.py", "A B", "the two sides of a comparison"),
    (
        "compare/model.py compare/text.py",
        "batch epochs micro images classes loss",
        "settings and headings",
    ),
    ("exporters/formats.py", "format", "what the objects of a group are, in messages"),
    ("compare/results.py", "A B best loss epochs", "the two sides of a comparison, and measured values"),
    ("trackers/following.py", "step", "fields of a line of metrics"),
    ("compare/measure.py", "batch classes", "options of a timing, as JSON"),
    (
        "compare/page.py explain/program.py exporters/codegen.py exporters/onnx.py exporters/onnx_pixels.py",
        "by total model images",
        "output",
    ),
    ("devices/precision.py explain/program.py", "precision", "the setting, in a message"),
    (
        "ablation/cells/budget.py ablation/cells/progress.py ablation/report/table.py cli/ablate.py",
        "seed",
        "the name of seeds",
    ),
    ("graph/net.py", "norm head", "a kind of layer, and a stage"),
    ("language/ast.py plugins/fields.py plugins/kinds.py plugins/during.py", "number", "a kind of word of the grammar"),
    ("plugins/calling.py", "compile", "the time when a hook is called"),
    ("cli/predict.py inference/report.py", "images probability", "output"),
    ("inference/report.py", "loss precision", "measured values"),
    ("inference/evaluating.py", "crop precision", "parts of the preprocessing, a field"),
    ("compiler/mismatches.py", "interpolation", "a setting, and a noun in a message"),
    ("explain/run.py", "best classes epochs images loss test", "fields of the summary, and headings"),
    ("cli/evaluate.py", "batch", "the option"),
    ("cli/intended.py", "format", "another name of a command"),
    ("cli/runs.py", "folder", "the argument"),
    ("inference/opened.py", "step", "a counted value"),
    ("runs/overview.py", "best epochs loss", "columns of the table"),
    ("cli/run.py", "base", "distinguishes a recipe from statements before the vocabulary is loaded"),
]
"""Files, the words of tricks that they may contain (``*``: any), and their meaning there."""


@cache
def _words() -> tuple[set[str], set[str]]:
    """Return all words of built-in tricks and their fields, and starts of statements: verb and clause or value."""
    words, statements = set[str](), set[str]()
    for declared in (found.declared for found in all_tricks()):
        values = {value for field in declared.fields for value in field.kind.words}
        words |= {declared.verb, declared.word, *filter(None, [declared.clause])}
        words |= {name for field in declared.fields for name in (field.name, field.word)}
        statements |= {declared.word, *(f"{declared.word} {value}" for value in values)}
    return words, statements


def _excused(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield strings that are docstrings, keys of dictionary literals, names of hooks, slots or settings, or nouns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.Dict):
            yield from filter(None, node.keys)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in NAMESPACES:
                yield from (
                    inner
                    for value in (*node.args, *(word.value for word in node.keywords))
                    for inner in ast.walk(value)
                )


def _written(text: str) -> Iterator[tuple[int, str]]:
    """Yield the words of tricks in a module, with their lines."""
    words, statements = _words()
    tree = ast.parse(text)
    excused = {id(node) for node in _excused(tree)}
    pieces = {id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    beginnings = {id(node.values[0]) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in excused:
            said = " ".join(node.value.split()[:2])
            is_piece, begins = id(node) in pieces, id(node) in beginnings
            if (node.value.strip() in words and not is_piece) or (said in statements and (begins or not is_piece)):
                yield node.lineno, said


def _core() -> list[str]:
    files = (path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py")))
    return [path.as_posix() for path in files if path.parts[0] not in {*OUTSIDE, "grammar", "examples"}]


@pytest.mark.parametrize("file", _core())
def test_the_core_refers_to_no_trick_by_name(file: str) -> None:
    allowed = {word for files, words, _ in ALLOWED if file in files.split() for word in words.split()}
    written = [(line, word) for line, word in _written((PACKAGE / file).read_text("utf-8")) if word not in allowed]
    assert written == [] or "*" in allowed, "let the trick declare it instead"


def test_every_exception_is_needed() -> None:
    for files, words, why in ALLOWED:
        assert {*files.split()} <= {*_core()}, why
        written = {word for file in files.split() for _, word in _written((PACKAGE / file).read_text("utf-8"))}
        assert words == "*" or {*words.split()} <= written, why


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ('ORDER = ("base", "zzz")', "base"),
        ('if step.word.startswith("init"): pass', "init"),
        ('size = plan.images.values["size"]', "size"),
        ('skips = values.get("on_error")', "on_error"),
        ('DEFAULT = "data digits"', "data digits"),
        ('Source("<module>", "base module")', "base module"),
        ('text = f"epochs {count}"', "epochs"),
        ('tweaks = word.startswith("tweak ")', "tweak"),
        ('plan.find("lr warmup")', "lr warmup"),
    ],
)
def test_a_word_in_the_code_is_found(code: str, word: str) -> None:
    assert [said for _, said in _written(code)] == [word]


@pytest.mark.parametrize("code", ['plan.hooked("loss")', '{"epochs": 3}', '"""lr"""', 'f"at an lr {x}"', '"the base"'])
def test_prose_and_other_names_are_ignored(code: str) -> None:
    assert list(_written(code)) == []
