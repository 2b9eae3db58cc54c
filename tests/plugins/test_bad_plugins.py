"""Twelve bad plugins: each is one clear error for recipes that use its words, and does not affect any others."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

from recipe.plugins import sandbox as guest
from tests.helpers import command
from tests.plugins.helpers import GOOD, install

ENDLESS = "import time\nwhile True:\n    time.sleep(0.01)\n"
LOUD = "import sys\nprint('look at me')\nsys.stdout.write('and me')\n"
GLOW = GOOD.format(word="tweak glow").replace('@trick("tweak glow"', '@trick("tweak glow", writes=("stem",)')
LATE = GOOD.format(word="shine").replace('@trick("shine"', '@trick("shine", after=("gloss",)')
GLOSS = GOOD.format(word="gloss").replace('@trick("gloss"', '@trick("gloss", after=("shine",)')


@attrs.frozen
class Bad:
    """A bad plugin: its entry points and modules, a recipe that uses it, and parts of the error."""

    text: str
    code: str
    said: tuple[str, ...]
    modules: dict[str, str]
    entries: dict[str, str] = attrs.field(factory=lambda: {"shine": "bad_mod:Theirs"})
    second: dict[str, str] = attrs.field(factory=dict)
    """The entry points of a second package."""


def one(code: str, said: str, module: str, text: str = "base resnet18; shine 2") -> Bad:
    return Bad(text, code, ("bad-tricks", said), {"bad_mod": module})


BAD = {
    "import error": one("E080", "No module named 'not_there'", "import not_there"),
    "syntax error": one("E080", "SyntaxError", "def f(:"),
    "exit at import": one("E080", "SystemExit: 7", "raise SystemExit(7)"),
    "exit past everyone at import": one("E080", "SystemExit: 0", "import os\nos._exit(0)"),
    "endless import": one("E080", "its import took more than 0.5 seconds", ENDLESS),
    "wrong API": one(
        "E080",
        "written for version 2 of the API, but this is version 1",
        GOOD.format(word="shine") + "\n    api_version = 2",
    ),
    "a name that the API lacks": one(
        "E080",
        "cannot import name 'Sculpture' from 'recipe.api' (version 1)",
        "from recipe.api import Sculpture",
    ),
    "a hook that fails": one(
        "E080", "ZeroDivisionError", GOOD.format(word="shine") + "\n    def check(self, plan):\n        return [1 / 0]"
    ),
    "no trick behind the words": one("E080", "not a class declared with @trick", "Theirs = print"),
    "ambiguous syntax": Bad(
        "base resnet18; shine fancy",
        "E081",
        ("is ambiguous: a clause from worse-tricks, or a value of `sort` from bad-tricks",),
        {"bad_mod": GOOD.format(word="shine"), "worse_mod": GOOD.format(word="shine fancy")},
        second={"shine.fancy": "worse_mod:Theirs"},
    ),
    "the same words": Bad(
        "base resnet18; shine",
        "E081",
        ("bad-tricks and worse-tricks",),
        {"bad_mod": GOOD.format(word="shine")},
        second={"shine": "bad_mod:Theirs"},
    ),
    "the same slot": Bad(
        "base resnet18; tweak C glow",
        "E030",
        ("`tweak C` from recipe-compiler, `tweak glow` from bad-tricks",),
        {"bad_mod": GLOW},
        {"tweak.glow": "bad_mod:Theirs"},
    ),
    "opposite orders": Bad(
        "base resnet18; shine; gloss",
        "E032",
        ("`gloss` (from worse-tricks), `shine` (from bad-tricks)",),
        {"bad_mod": LATE, "worse_mod": GLOSS},
        second={"gloss": "worse_mod:Theirs"},
    ),
}


def lay(bad: Bad, site: Path) -> None:
    install(site, "bad-tricks", bad.entries, **bad.modules)
    if bad.second:
        install(site, "worse-tricks", bad.second)


def test_there_are_at_least_twelve() -> None:
    assert len(BAD) >= 12


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plugin_is_one_error_with_its_name(name: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "IMPORT_SECONDS", 0.5)
    bad = BAD[name]
    lay(bad, site)
    found = command("check", bad.text)
    assert found.status == 2
    assert found.stdout.count("error[") == 1
    assert f"error[{bad.code}]" in found.stdout
    assert all(said in found.stdout for said in bad.said), found.stdout
    assert "Traceback" not in found.stdout + found.stderr


@pytest.mark.parametrize("name", BAD)
def test_recipes_without_its_words_work_and_never_import_it(name: str, site: Path) -> None:
    lay(BAD[name], site)
    found = command("check", "base resnet50; tweak D; lr warmup 5 cosine; augment mixup flip; loss smooth")
    assert (found.status, found.stderr) == (0, "")
    assert command("fmt", "--check", "-", stdin=b"base resnet18\n").status == 0
    assert not {"bad_mod", "worse_mod"} & set(sys.modules)


@pytest.mark.parametrize("name", BAD)
def test_the_vocabulary_is_still_listed(name: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "IMPORT_SECONDS", 0.5)
    lay(BAD[name], site)
    found = command("tricks")
    assert found.status == 0
    assert "lr cosine " in found.stdout
    assert "augment mixup " in found.stdout


def test_prints_of_a_plugin_are_not_part_of_the_output(site: Path) -> None:
    module = (
        LOUD + GOOD.format(word="shine") + "\n    def check(self, plan):\n        print('me too')\n        return ()\n"
    )
    install(site, "loud-tricks", {"shine": "loud_mod:Theirs"}, loud_mod=module)
    found = command("check", "base resnet18; shine", "--format", "json")
    assert found.status == 0
    assert found.stdout.startswith("{")
    assert "me" not in found.stdout.split()


def test_an_existing_alarm_is_left_alone(site: Path) -> None:
    import signal

    install(site, "good-tricks", {"shine": "good_mod:Theirs"}, good_mod=GOOD.format(word="shine"))
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        assert command("check", "base resnet18; shine").status == 0
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
