"""The tricks in docs/guides/write-a-trick.md and docs/reference/plugins.md work, and the tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import recipe
from recipe.api import Images
from recipe.base.errors import RecipeError
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.vocabulary import Vocabulary
from recipe.testing import Skipped, Unmet, checks
from tests.helpers import ROOT, bind, command, diagnostics

TEXT = "\n".join(
    (ROOT / "docs" / page).read_text("utf-8") for page in ("guides/write-a-trick.md", "reference/plugins.md")
)
PAGES = ("guides/write-a-trick.md", "guides/test-a-trick.md", "guides/python.md", "reference/plugins.md")
TRICKS = {
    found[1]: block
    for page in PAGES
    for block in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text("utf-8"), re.M | re.S)
    if (found := re.search(r'^@trick\("([^"]+)"', block, re.M))
}
"""The tricks in the documentation, by words. The one in explanation/slots.md does nothing."""

BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)


def block_of(word: str, folder: Path) -> Path:
    """Write the documented trick to a file, and return its path."""
    (text,) = [block for block in BLOCKS if f'@trick("{word}"' in block]
    path = folder / "mine.py"
    path.write_text(text)
    return path


def words_of(heading: str) -> list[str]:
    """Return the words in the first column of the table after a heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.M)


def test_the_tricks_of_the_documentation_are_found() -> None:
    words = {
        "quiet",
        "lr poly",
        "augment fade",
        "loss center",
        "tweak calm",
        "act",
        "augment band",
        "turbo",
        "metric f1",
    }
    assert {*TRICKS} == words | {"tweak small", "base mine", "metric f1"}


@pytest.mark.slow
@pytest.mark.parametrize("word", TRICKS)
def test_a_trick_of_the_documentation_passes_all_checks(word: str, tmp_path: Path) -> None:
    file = tmp_path / f"{word.replace(' ', '_')}.py"
    file.write_text(TRICKS[word])
    failed = {}
    for check in checks(file):
        try:
            check.run()
        except Unmet as unmet:
            failed[str(check)] = str(unmet)
        except Skipped:
            continue
    assert failed == {}


def test_all_slots_are_documented() -> None:
    assert words_of("<!-- exclusive slots -->") == [*EXCLUSIVE]
    assert words_of("<!-- combined slots -->") == [*COMBINED]


def test_all_members_of_images_are_documented() -> None:
    members = [name for name in vars(Images) if name in dir(Images) and name[0] != "_"]
    assert [row.partition("(")[0] for row in words_of("implements `recipe.api.Images`:\n\n")] == members


def test_a_new_verb(tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("quiet", tmp_path)])
    text = "data fake size=32 classes=10 images=8; batch 4; epochs 1; base resnet18"
    loud, quiet = (
        recipe.run(f"{text}; quiet {part}", out=tmp_path / part, device="cpu", plugins=words) for part in ("0", "10")
    )
    before = recipe.compile(text, plugins=words).model.state_dict()
    kept = [name for name, value in quiet.model.named_parameters() if value.detach().equal(before[name])]
    assert "layer1.0.bn1.weight" not in kept, "it still decays"
    assert not loud.model.fc.weight.equal(quiet.model.fc.weight)
    page = command("tricks", "quiet", "--plugin", tmp_path / "mine.py").stdout
    assert "Set gradient values to zero" in page


@pytest.mark.parametrize("base", ["resnet18", "resnet50; tweak C", "vgg11"])
def test_a_new_verb_that_rewrites(base: str, tmp_path: Path) -> None:
    """Each ReLU of a ResNet has several calls; `tweak C` inserts others."""
    words = Vocabulary.installed([block_of("act", tmp_path)])
    text = f"base {base}; data fake size=32 classes=10 images=8"
    plain, changed = (recipe.compile(each, plugins=words).model for each in (text, f"{text}; act gelu"))
    changed.load_state_dict(plain.state_dict())
    for name, module in list(plain.named_modules()):
        if isinstance(module, nn.ReLU):
            plain.set_submodule(name, nn.GELU())
    assert not any(isinstance(module, nn.ReLU) for module in changed.modules())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(changed.eval()(images), plain.eval()(images), rtol=0, atol=0)


def test_one_call_of_several_is_not_substituted(tmp_path: Path) -> None:
    file = block_of("act", tmp_path)
    file.write_text(file.read_text().replace("Substitute(address,", 'Substitute(f"{address}#1",'))
    with pytest.raises(RecipeError) as caught:
        recipe.compile("base resnet18; act silu", plugins=Vocabulary.installed([file]))
    (error,) = caught.value.diagnostics
    assert (error.code, "is only one of several calls of a module" in error.message) == ("E105", True)


def test_a_trick_that_reports_an_error_or_warns(tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("augment band", tmp_path)])
    (error,) = diagnostics("base resnet18; augment band 0.5 0.5", words=words)
    assert (error.code, error.span.text) == ("E024", "0.5")  # type: ignore[union-attr]
    plan = recipe.compile("base resnet18; augment band jitter", device="meta", plugins=words).plan
    assert [warning.message for warning in plan.warnings] == ["`augment jitter` changes the brightness too"]


def test_tricks_that_make_settings(tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("turbo", tmp_path)])
    training = bind("base resnet18; batch 64; turbo; precision auto", words=words).training
    assert (training.batch, training.precision) == (128, "bf16")


@pytest.mark.parametrize(("model", "sites"), [("resnet18", 8), ("resnet50", 16)])
def test_a_rewrite(model: str, sites: int, tmp_path: Path) -> None:
    words = Vocabulary.installed([block_of("tweak calm", tmp_path)])
    program = recipe.compile(f"base {model}; tweak calm", device="meta", plugins=words)
    assert program.sites["tweak calm"] == sites
    again = recipe.compile("tweak calm", base=program.model, device="meta", plugins=words)
    assert again.sites["tweak calm"] == 0
    other = recipe.compile("tweak calm 0.3", base=program.model, device="meta", plugins=words)
    assert {str(edit).partition(": ")[2] for edit in other.edits} == {"p 0.1 → 0.3"}
