"""What docs/plugins.md says is so: its tricks work, and its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import recipe
from recipe.registry import Vocabulary
from recipe.slots import COMBINED, EXCLUSIVE
from recipe.trick import HOOKS
from tests.helpers import ROOT, command, diagnostics

TEXT = (ROOT / "docs" / "plugins.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)


def block_of(word: str, folder: Path) -> Path:
    """The documented trick, as a file."""
    (text,) = [block for block in BLOCKS if f'@trick("{word}"' in block]
    path = folder / "mine.py"
    path.write_text(text)
    return path


def words_of(heading: str) -> list[str]:
    """The words in the first column of the table after a mark."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.M)


def test_the_slots_are_all_there() -> None:
    assert words_of("<!-- exclusive slots -->") == [*EXCLUSIVE]
    assert words_of("<!-- combined slots -->") == [*COMBINED]


def test_the_hooks_are_all_there() -> None:
    section = TEXT.split("## Hooks", 1)[1].split("\n## ", 1)[0]
    assert [hook for hook in HOOKS if f"`{hook}`" not in section] == []


def test_a_new_verb(tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("quiet", tmp_path)])
    text = "data fake size=32 classes=10 images=8; batch 4; epochs 1; base resnet18"
    loud, quiet = (
        recipe.run(f"{text}; quiet {part}", out=tmp_path / part, device="cpu", vocabulary=words) for part in ("0", "10")
    )
    before = recipe.compile(text, vocabulary=words).model.state_dict()
    kept = [name for name, value in quiet.model.named_parameters() if value.detach().equal(before[name])]
    assert "layer1.0.bn1.weight" not in kept, "it decays all the same"
    assert not loud.model.fc.weight.equal(quiet.model.fc.weight)
    page = command("tricks", "quiet", "--plugin", tmp_path / "mine.py").stdout
    assert "Set numbers of a gradient to zero" in page


def test_a_trick_that_refuses(tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("augment band", tmp_path)])
    (error,) = diagnostics("base resnet18; augment band 0.5 0.5", words=words)
    assert (error.code, error.span.text) == ("E024", "band")  # type: ignore[union-attr]
    plan = recipe.compile("base resnet18; augment band jitter", device="meta", vocabulary=words).plan
    assert [warning.message for warning in plan.warnings] == ["`augment jitter` changes the brightness too"]


@pytest.mark.parametrize(("model", "sites"), [("resnet18", 8), ("resnet50", 16)])
def test_a_rewrite(model: str, sites: int, tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("tweak calm", tmp_path)])
    program = recipe.compile(f"base {model}; tweak calm", device="meta", vocabulary=words)
    assert program.sites["tweak calm"] == sites
    again = recipe.compile("tweak calm", base=program.model, device="meta", vocabulary=words)
    assert again.sites["tweak calm"] == 0
