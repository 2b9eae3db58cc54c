"""An exception or a wrong result of a hook is one error that names the trick and the place in the recipe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import torch

import recipe
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.signals import STOPPING
from recipe.plugins.calling import call_hook
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import bind, command

HEAD = '''
"""focus: a trick of the tests."""
from recipe.api import InMemory, Layer, Sets, Trick, architecture, in_memory, integer, trick

'''

PLAIN = '''
@trick("focus", writes=("{slot}",))
class Focus(Trick):
    """Do something."""

    def {head}:
        {body}
'''

PICTURES = '''
@trick("pictures", writes=("data",))
class Pictures(Trick):
    """Open custom images."""

    size: int = integer(32, "height and width, in pixels")
    workers: int = integer(0, "processes that load batches")

    def {head}:
        {body}
'''

NET = '''
@trick("net", writes=("base",))
class Net(Trick):
    """Build a custom model."""

    kind: str = architecture("which", of=("small",))

    def build(self, classes):
        import torch

        head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, classes or 10)]
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *head)

    def {head}:
        {body}
'''

TINY = "base squeezenet1_1; data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 1e-4; focus"
TWO = "torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.arange(8) % 2"


def words(text: str, folder: Path) -> Vocabulary:
    (folder / "focus.py").write_text(HEAD + text)
    return Vocabulary.installed([folder / "focus.py"])


def told(text: str, trick: str, folder: Path, compiled: bool = False) -> Diagnostic:
    """Return the error from running a recipe with a trick or, if ``compiled``, from compiling it without images."""
    vocabulary = words(trick, folder)
    with pytest.raises(RecipeError) as caught:
        (
            recipe.compile(text, device="meta", plugins=vocabulary)
            if compiled
            else recipe.run(text, out=folder / "x", device="cpu", plugins=vocabulary)
        )
    (error,) = caught.value.diagnostics
    return error


@pytest.mark.parametrize(
    ("slot", "head", "body", "said"),
    [
        (
            "crop",
            "crop_box(self, draws, heights, widths)",
            "return draws.uniform(2)",
            "must return an array of boxes (N, 4) with positive sides, not ndarray (4, 2)",
        ),
        ("crop", "crop_box(self, draws, heights, widths)", "return 1 / 0", "ZeroDivisionError: division by zero"),
        ("average", "average(self, averages, weights, progress)", "return 1 / 0", "ZeroDivisionError"),
        (
            "average",
            "average(self, averages, weights, progress)",
            "return weights",
            "must return None (it changes the averages in place), not a list",
        ),
        ("inputs", "augment(self, images, draws)", "raise SystemExit(0)", "SystemExit: 0"),
        ("inputs", "augment(self, images, draws)", "raise ValueError", "ValueError: no message"),
        ("groups", "param_options(self, *arguments)", 'return {"betas": [0.9]}', "TypeError: unhashable"),
        ("run", "check(self, plan)", "raise SystemExit(0)", "SystemExit: 0"),
        ("run", "check(self, plan)", "raise BaseException('odd')", "BaseException: odd"),
        (
            "run",
            "check(self, plan)",
            'return "a warning"',
            "must return an iterable of warnings, each a string, not 'a warning'",
        ),
        ("run", "check(self, plan)", "yield 1 / 0", "ZeroDivisionError"),
        ("run", "evidence(self, plan)", 'return ["better"]', "must return an iterable of Evidence, not ['better']"),
        ("run", "configure(self, training)", "pass", "must return a mapping from settings to values, not None"),
        ("run", "suggest(self, context)", "pass", "must return a mapping from fields to values, not None"),
    ],
)
def test_failures_in_any_trick(slot: str, head: str, body: str, said: str, tmp_path: Path) -> None:
    error = told(TINY, PLAIN.format(slot=slot, head=head, body=body), tmp_path)
    assert (error.code, error.span and error.span.text) == ("E080", "focus")
    hook = head.partition("(")[0]
    assert error.message.startswith(f"`focus` from {tmp_path / 'focus.py'} is broken: {hook}: {said}"), error.message


def test_an_optimizer_whose_step_needs_more_than_gradients(tmp_path: Path) -> None:
    joined = "{key: [one for group in groups for one in group[key]] for key in ('params', 'names')}"
    body = f"import torch\n        return torch.optim.LBFGS([{joined}], rate)"
    trick = PLAIN.format(slot="optimizer", head="optimize(self, groups, rate)", body=body)
    error = told(TINY, trick, tmp_path)
    assert (error.code, error.span and error.span.text) == ("E080", "focus")
    assert "is broken: the optimizer's step: TypeError: " in error.message
    assert "'closure'" in error.message


@pytest.mark.parametrize(
    ("head", "body", "code", "said"),
    [
        ("open(self)", 'raise KeyError("x")', "E080", "is broken: open: KeyError: 'x'"),
        ("open(self)", "pass", "E080", "is broken: open: must return Sets of images, not None"),
        ("open(self)", "raise SystemExit", "E080", "is broken: open: SystemExit: no message"),
        ("open(self)", "return Sets([1], [2], 2)", "E080", "open: `Sets.train` is of type list, which has no `labels`"),
        ("open(self)", 'raise FileNotFoundError(2, "No such file", "x.bin")', "E070", "no such file: x.bin"),
        ("open(self)", 'raise ValueError("no index")', "E070", "`pictures`: no index"),
        ("count_classes(self)", 'return {}["x"]', "E080", "is broken: count_classes: KeyError: 'x'"),
        ("count_classes(self)", 'return "ten"', "E080", "must return a whole number or None, not 'ten'"),
        ("count_classes(self)", 'raise ValueError("no index")', "E070", "`pictures`: no index"),
    ],
)  # fmt: skip
def test_failures_in_a_dataset(head: str, body: str, code: str, said: str, tmp_path: Path) -> None:
    body = body if head == "open(self)" else f"{body}\n\n    def open(self):\n        {opened()}"
    text, trick = "base squeezenet1_1; pictures; batch 4; epochs 1", PICTURES.format(head=head, body=body)
    error = told(text, trick, tmp_path, compiled=head != "open(self)")  # a run counts the images that it opened
    assert (error.code, error.span and error.span.text) == (code, "pictures")
    assert said in error.message


def opened() -> str:
    return f"import torch\n        part = InMemory({TWO})\n        return in_memory(part, part, 2, self.size)"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [('return {}["x"]', "E080", "count_images: KeyError: 'x'"), ('raise OSError("gone")', "E070", "`pictures`: gone")],
)
def test_failures_in_the_number_of_images(body: str, code: str, said: str, tmp_path: Path) -> None:
    words(
        PICTURES.format(head="count_images(self)", body=f"{body}\n\n    def open(self):\n        {opened()}"), tmp_path
    )
    found = command("explain", "base resnet18; pictures; batch 4", "--plugin", tmp_path / "focus.py")
    assert (found.status, f"error[{code}]" in found.stderr, said in found.stderr) == (2, True, True), found.stderr


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("image_size(self)", "image_size"),
        ("load_weights(self):\n        return {}\n\n    def meta_weights(self)", "meta_weights"),
    ],
)
@pytest.mark.parametrize(
    ("body", "why"), [("return 1 / 0", "ZeroDivisionError"), ("pass", "must return "), ("exit(0)", "SystemExit: 0")]
)
def test_failures_in_a_model(head: str, said: str, body: str, why: str, tmp_path: Path) -> None:
    vocabulary = words(NET.format(head=head, body=body), tmp_path)
    with pytest.raises(RecipeError) as caught:
        assert recipe.compile("net small", plugins=vocabulary).model
    (error,) = caught.value.diagnostics
    assert (error.code, error.span and error.span.text) == ("E080", "net")
    assert f"`net` from {tmp_path / 'focus.py'} is broken: {said}: {why}" in error.message
    assert ("not None" in error.message) == (body == "pass")


def test_weights_that_fit_no_parameter(tmp_path: Path) -> None:
    """If the trick has no field `weights`, the error points at its words."""
    head = "load_weights(self):\n        return {}\n\n    def meta_weights(self)"
    vocabulary = words(NET.format(head=head, body='import torch; return {"x": torch.empty(1)}'), tmp_path)
    with pytest.raises(RecipeError) as caught:
        recipe.compile("net small", plugins=vocabulary, device="meta")
    (error,) = caught.value.diagnostics
    assert (error.code, error.span and error.span.text) == ("E102", "net")


@pytest.mark.parametrize("head", ["load_weights(self)", "meta_weights(self)"])
def test_pretrained_weights_need_two_hooks(head: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E080.*needs both `meta_weights` and `load_weights`"):
        recipe.compile("net small", plugins=words(NET.format(head=head, body="return {}"), tmp_path), device="meta")


def test_weights_that_are_not_those_that_were_described(tmp_path: Path) -> None:
    head = "load_weights(self):\n        return {}\n\n    def meta_weights(self)"
    vocabulary = words(NET.format(head=head, body="return self.build(5).to('meta').state_dict()"), tmp_path)
    with pytest.raises(RecipeError, match=r"E001.*has changed since the recipe was compiled"):
        assert recipe.compile("net small", plugins=vocabulary).model


def test_a_hook_that_returns_no_model(tmp_path: Path) -> None:
    trick = NET.format(head="build(self, classes)", body="pass")
    with pytest.raises(RecipeError, match=r"E080.*build: must return a torch\.nn\.Module, not None"):
        recipe.compile("net small", plugins=words(trick, tmp_path), device="meta")


def test_a_hook_that_exits_instead_of_returning_a_model(tmp_path: Path) -> None:
    trick = NET.format(head="build(self, classes)", body="raise SystemExit(0)")
    with pytest.raises(RecipeError, match=r"E080.*build: SystemExit: 0"):
        recipe.compile("net small", plugins=words(trick, tmp_path), device="meta")


def test_failures_in_an_export(tmp_path: Path) -> None:
    words(NET.format(head="constructor(self, classes)", body="return 1 / 0"), tmp_path)
    plugin = ("--plugin", tmp_path / "focus.py")
    text = "net small; data fake size=8 classes=2 images=8; batch 4; epochs 1"
    assert command("run", text, "--out", tmp_path / "x", "--device", "cpu", *plugin).status == 0
    found = command("export", tmp_path / "x", "--to", "python", "--out", tmp_path / "y.py", *plugin)
    assert (found.status, "is broken: constructor: ZeroDivisionError" in found.stderr) == (2, True), found


def test_failures_in_a_command_that_only_reads(tmp_path: Path) -> None:
    words(PLAIN.format(slot="run", head="check(self, plan)", body="raise SystemExit(0)"), tmp_path)
    found = command("check", TINY, "--plugin", tmp_path / "focus.py")
    assert (found.status, "error[E080]" in found.stdout) == (2, True)


def test_failures_in_the_kit(tmp_path: Path) -> None:
    words(PLAIN.format(slot="inputs", head="augment(self, images, draws)", body="raise SystemExit(0)"), tmp_path)
    found = command("test-plugin", tmp_path / "focus.py", "--only", "shapes", "--only", "deterministic")
    assert (found.status, found.stdout.count("FAILED")) == (1, 2), found


def test_prints_of_a_hook_are_not_part_of_the_output(tmp_path: Path) -> None:
    body = 'print("look")\n        return 1.0'
    words(PLAIN.format(slot="lr", head="lr_factor(self, progress)", body=body), tmp_path)
    found = command("diff", TINY, TINY.replace("lr 1e-4", "lr 1"), "--json", "--plugin", tmp_path / "focus.py")
    assert json.loads(found.stdout)["schema_version"]


def test_other_memory_errors_of_a_trick_are_reported_as_errors_in_it(tmp_path: Path) -> None:
    body = 'raise RuntimeError("my cache ran out of memory slots")'
    for head, code in (("rewrite(self, net)", "E105"), ("augment(self, images, draws)", "E080")):
        slot = "stem" if code == "E105" else "inputs"
        error = told(TINY, PLAIN.format(slot=slot, head=head, body=body), tmp_path)
        assert (error.code, "my cache ran out of memory slots" in error.message) == (code, True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), torch.OutOfMemoryError("full")])
def test_interrupts_and_out_of_memory_errors_pass_through(error: BaseException) -> None:
    def raising(self: object, *given: object) -> None:
        raise error

    (use,) = bind("base resnet18; augment flip").hooked("augment")
    broken = attrs.evolve(use, trick=type("Broken", (type(use.trick),), {"augment": raising})())
    with pytest.raises(type(error)):
        call_hook(broken, "augment", None, None)


def test_an_error_that_a_trick_reports_gets_its_place(tmp_path: Path) -> None:
    body = 'from recipe.api import fail\n        raise fail("E024", "these are too small")'
    error = told(TINY, PLAIN.format(slot="inputs", head="augment(self, images, draws)", body=body), tmp_path)
    assert (error.code, error.message, error.span and error.span.text) == ("E024", "these are too small", "focus")


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("where", ["check", "import"])
def test_a_signal_while_a_plugin_runs_is_not_reported_as_an_error_in_it(
    where: str, number: signal.Signals, tmp_path: Path
) -> None:
    kill = f"__import__('os').kill(__import__('os').getpid(), {int(number)}); return ()"
    body = kill if where == "check" else "return ()"
    first = f"import os\nos.kill(os.getpid(), {int(number)})\n" if where == "import" else ""
    head = '"""focus: a trick of the tests."""\nfrom recipe.api import Trick, trick\n'  # which import no torch
    text = head + first + PLAIN.format(slot="run", head="check(self, plan)", body=body)
    (tmp_path / "focus.py").write_text(text)
    words = ["-m", "recipe", "check", "base resnet18; focus", "--plugin", str(tmp_path / "focus.py")]
    found = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert (found.returncode, "broken" in found.stdout + found.stderr) == (128 + number, False), found
