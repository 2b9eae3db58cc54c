"""All forms of a recipe that the Python API accepts resolve to the same plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.language.overlays import module_source
from recipe.plan.bind import resolve
from tests.helpers import ROOT, bind, vocabulary, vocabulary_with
from tests.strategies import all_tricks

TEXT = "base resnet18; tweak D"

VERB = '''
from recipe.api import Trick, trick

@trick("{word}", writes=("grads",))
class Mine(Trick):
    """Do nothing."""
'''


def test_text_a_path_a_source_and_a_run_folder_resolve_to_one_plan(tmp_path: Path) -> None:
    file, lock = tmp_path / "mine.recipe", tmp_path / "run" / "recipe.lock"
    lock.parent.mkdir()
    file.write_text(TEXT)
    lock.write_text(TEXT)
    for given in (TEXT, file, str(file), Source("<text>", TEXT, tmp_path), lock.parent, str(lock.parent), bind(TEXT)):
        assert resolve(given) == bind(TEXT)
        assert resolve(given, "drop tweak D", "epochs 3") == bind("base resnet18; epochs 3")
        assert resolve(given, data=True) == bind(TEXT, data=True)


def test_a_shipped_example_is_a_recipe() -> None:
    plan = resolve("full")
    assert plan.sources[0].path == ROOT / "examples" / "full.recipe"
    assert resolve(Path("full")) == resolve("full.recipe") == plan
    assert resolve("full", "epochs 3").training.epochs == 3


def test_a_folder_does_not_hide_an_example_or_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("full", "sam", "other"):
        (tmp_path / name).mkdir()
    assert resolve("full").sources[0].kind == "file"
    assert resolve("sam", below=module_source()).find("sam") is not None
    with pytest.raises(RecipeError, match="`other` is a folder, not a recipe file") as error:
        resolve("other")
    assert error.value.diagnostics[0].help == "a run folder has a recipe.lock"
    (tmp_path / "other" / "cats").mkdir()
    with pytest.raises(RecipeError, match="`other` is a folder, not a recipe file") as error:
        resolve("other")
    told = "to use the images in its folders, write a recipe instead: 'base resnet18; data folder \"other\"'"
    assert error.value.diagnostics[0].help == told


def test_a_single_verb_is_text() -> None:
    assert resolve("sam", below=module_source()) == resolve(" sam ", below=module_source())
    assert resolve("", below=module_source()).model == "module"


@pytest.mark.parametrize(
    "name", ["ful", "fulll.recipe", "runs/fulll", Path("fulll"), "my other.recipe", "runs/my other", "-"]
)
def test_an_unknown_name_is_not_taken_for_text(name: str | Path) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(name)
    (error,) = caught.value.diagnostics
    assert (error.code, error.message) == ("E001", f"file, run folder or example not found: `{name}`")
    assert "example" in error.help


def test_plugins_are_added_to_the_vocabulary_of_a_plan(tmp_path: Path) -> None:
    for word in ("one", "two"):
        (tmp_path / f"{word}.py").write_text(VERB.format(word=word))
    plan = resolve("base resnet18; one", plugins=[str(tmp_path / "one.py")])
    both = resolve(plan, "two", plugins=[tmp_path / "two.py", tmp_path / "." / "one.py"])
    assert [use.word for use in both.uses if use.word in ("one", "two")] == ["one", "two"]
    assert both.vocabulary.files == (tmp_path / "one.py", tmp_path / "two.py")
    assert resolve(both, "drop one").vocabulary is both.vocabulary


def test_a_plan_without_changes_is_returned_as_is() -> None:
    bare, plan = bind(TEXT), bind(TEXT, data=True)
    assert resolve(bare) is bare
    assert resolve(plan) is resolve(plan, data=True) is plan
    assert resolve(plan, "seed 1").images is not None, "implied images are kept"


def test_a_plan_keeps_its_vocabulary_unless_one_is_given() -> None:
    words = vocabulary_with()
    plan = bind(TEXT, words=words)
    assert resolve(plan, "seed 1").vocabulary is words
    assert resolve(plan, "seed 1", plugins=vocabulary()).vocabulary is vocabulary()


def test_a_recipe_may_be_applied_on_top_of_a_source() -> None:
    plan = resolve("tweak D", below=module_source())
    assert plan.model == "module"
    assert str(plan.base.origin) == "<module>:1:1"


def test_anything_else_is_rejected() -> None:
    with pytest.raises(TypeError, match="a recipe must be text, a path, a Plan or a Program, not int"):
        resolve(3)  # type: ignore[arg-type]


def test_a_plan_names_the_trick_that_makes_a_setting() -> None:
    plan = bind("base resnet18; batch 64 micro 8; lr 1 per 256")
    settings = ("epochs", "seed", "batch", "micro", "precision", "rate")
    assert [plan.maker(name) for name in settings] == ["epochs", "seed", "batch", "batch micro", "precision", "lr"]
    assert {found.declared.word for found in all_tricks()} >= {*map(plan.maker, settings)}
