"""How blocks are checked: those that hold pass, and the others are named with their page and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Broken, Page
from tests.docs.shell import Shell


def fence(language: str, text: str, comment: str = "") -> str:
    return f"{f'<!-- {comment} -->' if comment else ''}\n```{language}\n{text.strip()}\n```\n"


TRICK = '''
from recipe.api import Trick, number, trick

@trick("quiet", writes=("grads",))
class Quiet(Trick):
    """Be quiet."""

    part: float = number(0.5, "the part", minimum=0, maximum=1)
'''
WRONG = "base resnet18; lr 0.1 warmpu 5"
DIGITS = "base resnet18; data digits; epochs 1"
COUNTED = "from recipe.tricks.data_digits import Digits; print(Digits().count_images())"

SOUND = {
    "a trick": fence("python", TRICK) + fence("python", "assert Quiet.declared.verb == 'quiet'"),
    "a file of Python": (
        fence("python", TRICK, "file: quiet.py")
        + fence("sh", "recipe tricks quiet --plugin quiet.py | grep 'Be quiet'")
        + fence("sh", "recipe check 'base resnet18; quiet 0.2' --plugin quiet.py  # accepted")
        + fence("python", "from quiet import Quiet\npart = Quiet().part")
        + fence("python", "assert part == 0.5")
    ),
    "output": fence("console", f"$ recipe check '{WRONG}'\nerror[E021]…\n…\n…= help: did you mean `warmup`?\n..."),
    "output of several": fence("console", "$ echo a; echo b\na\nb\n\n$ echo c\n$ pwd\n…/page"),
    "folders": fence("sh", "mkdir -p a/b && cd a/b") + fence("console", "$ pwd\n…/a/b"),
    "a pipe": fence("console", "$ echo 'base  resnet18' | recipe fmt -\nbase resnet18"),
    "several lines": fence("sh", "# fine\nrecipe check \\\n  'base resnet18;\n   epochs 2'"),
    "a dry run": (
        fence("console", f"$ recipe run '{DIGITS}' --out runs/a\n...\n64 training images, 64 held out; …", "dry run")
        + fence("sh", "test ! -e runs")
    ),
    "few digits elsewhere": fence("console", f"$ python -c '{COUNTED}'\n64"),
    "not run": fence("sh", "false", "not run: it needs a network"),
    "a sample": fence("sh", "echo epoch 1/4: loss 0.25; echo 1 2%") + fence("text", "epoch 3/4: loss  7", "sample"),
    "recipes": fence("recipe", "base resnet18", "file: low.recipe") + fence("recipe", 'include "low.recipe"\nlr 1'),
    "a fragment": fence("recipe", "lr 0.1 warmup 5"),
    "data": fence("json", '{"a": 1}') + fence("toml", "a = 1") + fence("ini", "[a]\nb = 1") + fence("", "anything"),
}

BROKEN = {
    "page.md:3: `false` exits with 1": fence("sh", "false"),
    "page.md:2: `yaml` is not one of": fence("yaml", "a: 1"),
    "page.md:2: ZeroDivisionError": fence("python", "1 / 0"),
    "page.md:2: UserWarning": fence("python", "import warnings\nwarnings.warn('no', stacklevel=1)"),
    "page.md:4: `echo a` prints something else": fence("console", "$ echo b\n$ echo a\nb"),
    "page.md:6: the command prints something else": (
        fence("sh", "echo loss 1, lr 2") + fence("text", "lr 2, loss 1", "sample")
    ),
    "page.md:2: AssertionError": fence("python", "def test_one():\n    assert False"),
    "page.md:2: JSONDecodeError": fence("json", "{a: 1}"),
    "page.md:2: RecipeError": fence("recipe", WRONG),
    "page.md:2: `not run` needs a reason": fence("sh", "true", "not run:"),
    "page.md: the fence of line 1 is not closed": "```sh\nfalse",
    "page.md:2: `file` needs a name": fence("python", "x = 1", "file:"),
    "page.md:2: unknown comment `dryrun`": fence("sh", "true", "dryrun"),
    "page.md:2: unknown comment `test command`": fence("sh", "true", "test command"),
    "page.md:3: `false | cat` exits with 1": fence("sh", "false | cat"),
    "page.md:3: `false` exits with 1:\n": fence("console", "$ false\n\n$ echo c\nc"),
    "page.md:2: ValueError: the output of line 3 has no command": fence("console", "% false"),
    "page.md:2: ValueError: the command of line 3 has no end": fence("sh", "echo 'a\nfalse"),
    "page.md:7: NameError": fence("python", "x = 1", "file: one.py") + "\n" + fence("python", "print(x)"),
}


def checked(text: str, folder: Path) -> None:
    Page("page.md", text, Shell(folder, folder.parent / "bin")).check()


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_sound_page(text: str, folder: Path) -> None:
    checked(text, folder)


@pytest.mark.parametrize(("said", "text"), BROKEN.items(), ids=[said.split(" ")[-1].strip("`") for said in BROKEN])
def test_a_broken_page(said: str, text: str, folder: Path) -> None:
    with pytest.raises(Broken) as caught:
        checked(text, folder)
    assert str(caught.value).startswith(said)
