"""Each check finds the tricks that break what it holds, and no other check complains of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.testing import CHECKS, Skipped, Unmet, checks
from tests.testing.broken import BROKEN, HEAD, SOUND


def findings(file: Path) -> dict[str, str]:
    """What the checks that fail say of a file, by their names."""
    found = {}
    for check in checks(file):
        try:
            check.run()
        except Unmet as unmet:
            found[check.name] = str(unmet)
        except Skipped:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_by_its_check_alone(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    file = tmp_path / f"{name.replace(' ', '_')}.py"
    file.write_text(broken.file)
    found = findings(file)
    assert [*found] == [broken.check], found
    assert broken.said in found[broken.check]


def test_every_check_finds_something() -> None:
    assert {broken.check for broken in BROKEN.values()} == {*CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("word", SOUND)
def test_a_sound_trick_passes_all(word: str, tmp_path: Path) -> None:
    file = tmp_path / f"{word.replace(' ', '_')}.py"
    file.write_text(HEAD.format(syntax=word) + SOUND[word])
    assert findings(file) == {}
