"""Every built-in trick passes the checks for tricks of other packages; no trick is named here.

RECIPE_TEST_MORE=3 runs the slowest checks on all tricks, not only on a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from recipe.devices.precision import BF16, WAYS
from recipe.plugins.vocabulary import Vocabulary, words_of
from recipe.testing import CHECKS, Check, Skipped, Unmet, checks
from tests import builtins
from tests.helpers import sample

TRICKS = [*map(words_of, Vocabulary.installed().keys())]
PACKAGE = "recipe-compiler"
WHOLE = sample(TRICKS, 18)
"""The tricks that all checks run on."""
SLOW = ("reversible", "deterministic", "resume", "compiles")
"""The checks that don't run on the others."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, list[Check]]]:
    """Yield the checks by trick, with the files that some tricks read."""
    files = tmp_path_factory.mktemp("files")
    builtins.write_files(files)
    said = {"company": builtins.COMPANY, "values": builtins.values(files), "elsewhere": builtins.ELSEWHERE}
    with builtins.unchecked_files():
        found: dict[str, list[Check]] = {}
        for check in checks(PACKAGE, **said):
            found.setdefault(check.trick, []).append(check)
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("trick", TRICKS)
def test_a_built_in_trick_passes_every_check(trick: str, made: Mapping[str, list[Check]]) -> None:
    assert [check.name for check in made[trick]] == [*CHECKS]
    unmet = {}
    for check in made[trick]:
        if check.name in SLOW and trick not in WHOLE:
            continue
        try:
            check.run()
        except Unmet as found:
            unmet[check.name] = str(found)
        except Skipped as reason:  # most of these check hooks that the trick does not have
            if "give two values" in str(reason):
                unmet[check.name] = str(reason)
    assert not unmet


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_fallback_precision_of_a_cpu_does_not_affect_the_check(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bf16 computes in fp32 for every precision."""
    monkeypatch.setenv(BF16, way)
    (check,) = [one for one in checks(PACKAGE, only=["fields"]) if one.trick == "precision"]
    check.run()
