"""Plugin files that aren't Python files, and classes that can't be tricks: each is one error that names the plugin."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from tests.helpers import command

FILE = '''
"""focus: a trick of the tests."""
from recipe.api import Trick, choice, integer, number, trick


@trick("focus", {declared})
class Focus(Trick):
    """Do something."""

    {body}
'''

PLAIN = FILE.format(declared="", body="x: int = integer(1, 'how much')")


def checked(folder: Path, name: str = "focus.py", text: str = "base resnet18; focus") -> str:
    """Return the only error of a recipe that is checked with a plugin file."""
    found = command("check", text, "--plugin", folder / name)
    assert (found.status, found.stderr.count("error[") + found.stdout.count("error[")) == (2, 1), found
    return found.stderr + found.stdout


def make_odd(folder: Path) -> None:
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "dangling.py").symlink_to("nowhere.py")
    (folder / "plain.py").write_text(PLAIN)
    (folder / "plain").write_text(PLAIN)
    py_compile.compile(str(folder / "plain.py"), str(folder / "plain.pyc"))
    (folder / "empty.py").write_bytes(b"")
    (folder / "binary.py").write_bytes(bytes(range(256)))
    (folder / "latin.py").write_bytes(b'x = "\xff"\n')
    (folder / "recursive.py").write_text("def f():\n    f()\n\n\nf()\n")
    (folder / "needy.py").write_text("import no_such_package\n")
    (folder / "deep.py").write_text(f"x = {'(' * 10_000}{')' * 10_000}\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder.py", "is a folder"),
        ("pipe.py", "is not a regular file"),
        ("loop.py", "can't be read: its symbolic links form a loop"),
        ("dangling.py", "file not found: "),
        ("plain", "is not a Python file"),
        ("plain.pyc", "is not a Python file"),
        ("empty.py", "declares no trick"),
        ("binary.py", "is broken: SyntaxError"),
        ("latin.py", "is broken: SyntaxError"),
        ("recursive.py", "is broken: RecursionError"),
        ("needy.py", "is broken: ModuleNotFoundError: No module named 'no_such_package'"),
        ("deep.py", "is broken: SyntaxError"),
    ],
)
def test_files_that_are_no_plugins(name: str, said: str, tmp_path: Path) -> None:
    make_odd(tmp_path)
    error = checked(tmp_path, name, "base resnet18")
    assert error.startswith("error[E080]: ")
    assert said in error
    assert name in error
    assert command("test-plugin", tmp_path / name).status == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('__init__: int = integer(1, "what")', "`__init__` can't be the name of a field"),
        ('_x: int = integer(1, "what")', "`_x` can't be the name of a field"),
        ('a_: int = integer(1, "what"); a: int = integer(2, "what")', "two fields apart that are both written `a`"),
        ("x: int = integer(1, 5)", "`x` needs a help text"),
        ('x: str = choice("a", "what", of="abc")', "words of `x` must be a tuple of different words, not 'abc'"),
        (
            'x: str = choice("a", "what", of=("a", "a"))',
            "must be a tuple of different words, not ('a', 'a')",
        ),
        ("def __init__(self, **given): raise ValueError", "a trick can't define `__init__`: it is a value"),
        ("def __attrs_post_init__(self): raise SystemExit(0)", "a trick can't define `__attrs_post_init__`"),
        ("def __getattribute__(self, name): return 1 / 0", "a trick can't define `__getattribute__`"),
        ("def __eq__(self, other): return 1 / 0", "a trick can't define `__eq__`"),
        ("def optimize(self, groups, rate): return None", 'the hook `optimize` needs `writes=("optimizer",)`'),
        ("def loss(self, logits, targets): return None", 'the hook `loss` needs `writes=("loss",)`'),
        ("def crop_box(self, draws, heights, widths): return None", 'the hook `crop_box` needs `writes=("crop",)`'),
        ("def augmemt(self, images, draws): return images", "`augmemt` is not a hook; did you mean `augment`?"),
    ],
)
def test_classes_that_are_no_tricks(body: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "focus.py").write_text(FILE.format(declared="", body=body))
    error = checked(tmp_path)
    assert error.startswith(f"error[E080]: the plugin {tmp_path / 'focus.py'} is broken: TypeError: trick `focus`: ")
    assert said in error


def test_a_helper_class_can_not_change_how_a_trick_is_made(tmp_path: Path) -> None:
    helper = "class Base(Trick):\n    def __init__(self, **given):\n        raise ValueError\n\n\n@trick("
    text = PLAIN.replace("@trick(", helper).replace("class Focus(Trick)", "class Focus(Base)")
    (tmp_path / "focus.py").write_text(text)
    assert "a trick can't define `__init__`" in checked(tmp_path)


def test_a_keyword_of_python_may_be_a_field(tmp_path: Path) -> None:
    body = 'class_: int = integer(1, "what")\n\n    def check(self, plan):\n        return [f"class {self.class_}"]'
    (tmp_path / "focus.py").write_text(FILE.format(declared="", body=body))
    found = command("check", "base resnet18; focus class=3", "--plugin", tmp_path / "focus.py")
    assert (found.status, "warning[W001]: class 3" in found.stdout) == (0, True), found
