"""Each check finds the tricks that violate it, and all other checks pass on them.

RECIPE_TEST_MORE=4 runs all other checks on all of these tricks, not only on a sample.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from recipe.testing import CHECKS, Check, Skipped, Unmet, checks
from tests.helpers import sample
from tests.testing.broken import BROKEN, HEAD, SOUND

PACKAGE = "tricks-on-trial"
WHOLE = sample(BROKEN, 8)
"""The tricks on which all checks run; on the others, only the one that finds their mistake."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Check]]]:
    """Yield the checks of a package with all these tricks. A number is appended to the word of each."""
    root = tmp_path_factory.mktemp("site")
    texts = [HEAD.format(syntax=word) + text for word, text in SOUND.items()] + [one.file for one in BROKEN.values()]
    words = [*SOUND, *(one.word for one in BROKEN.values())]
    entries = []
    for number, (word, text) in enumerate(zip(words, texts, strict=True)):
        (root / f"on_trial_{number}.py").write_text(text.replace(word, f"{word}{number}"))
        name = text.partition("(Trick):")[0].split()[-1]
        entries.append(f"{word.replace(' ', '.')}{number} = on_trial_{number}:{name}")
    about = root / f"{PACKAGE.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(["[recipe.tricks]", *entries]) + "\n")
    found: dict[str, list[Check]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        for check in checks(PACKAGE):
            found.setdefault(check.trick, []).append(check)
        named = [f"{word}{number}" for number, word in enumerate(words)]
        yield dict(zip([*SOUND, *BROKEN], (found[word] for word in named), strict=True))
        for number in range(len(words)):
            sys.modules.pop(f"on_trial_{number}", None)


def findings(found: list[Check]) -> dict[str, str]:
    """Return the messages of failed checks by name."""
    told = {}
    for check in found:
        try:
            check.run()
        except Unmet as unmet:
            told[check.name] = str(unmet)
        except Skipped:
            continue
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_fails_only_its_check(name: str, made: dict[str, list[Check]]) -> None:
    checks = [check for check in made[name] if name in WHOLE or check.name == BROKEN[name].check]
    told = findings(checks)
    if BROKEN[name].check == "deterministic":
        told.pop("spans", None)  # two trainings differ then, whatever the span
    assert [*told] == [BROKEN[name].check], told
    assert BROKEN[name].said in told[BROKEN[name].check]


def test_every_check_has_a_mistake_to_find() -> None:
    assert {broken.check for broken in BROKEN.values()} == {*CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("word", SOUND)
def test_a_correct_trick_passes_all_checks(word: str, made: dict[str, list[Check]]) -> None:
    assert findings(made[word]) == {}
