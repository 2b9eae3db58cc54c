"""The vocabulary: tricks of other packages, plugin files, and errors in them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from recipe.api import Trick, number, trick
from recipe.base.errors import RecipeError
from recipe.plugins.declared import OWN
from recipe.plugins.vocabulary import DIRECTIVES, Offer, Vocabulary
from tests.helpers import ROOT, bind, command, diagnostics, errors, vocabulary_with
from tests.plugins.helpers import GOOD, install

BASED = '''
from recipe.api import Trick, number, trick

class Base{base}:
    rate: float = number(1, "a rate")

@trick("shine")
class Theirs(Base{more}):
    """Do what others do."""
'''

# ---- tricks that work


def test_a_trick_of_an_installed_package(site: Path) -> None:
    install(site, "their-tricks", {"shine": "their_mod:Theirs"}, their_mod=GOOD.format(word="shine"))
    words = Vocabulary.installed()
    assert "shine" in words.verbs()
    assert "their_mod" not in sys.modules, "a package is imported when a recipe uses it"
    bind("base resnet50", words=words)
    assert "their_mod" not in sys.modules
    use = bind("base resnet50; shine 3 fancy", words=words).find("shine")
    assert use is not None
    assert use.values == {"amount": 3.0, "sort": "fancy"}
    assert use.declared.package == "their-tricks"


def test_a_trick_in_two_vocabularies_has_the_package_and_position_of_each(vocabulary: Vocabulary) -> None:
    @trick("lr shine", writes=("lr",), position=3)
    class Shine(Trick):
        """Shine."""

    ours = [(key, Offer(OWN, loaded=vocabulary.load(*key))) for key in vocabulary.keys()]  # noqa: SIM118
    one, other, alone = (
        Vocabulary([*beside, (("lr", "shine"), Offer(package, loaded=Shine))])
        for beside, package in ((ours, "one"), (ours, "other"), ([], "alone"))
    )
    before = bind("base resnet50; lr shine", words=one)
    declared = other.declared("lr", "shine")
    assert (declared.package, declared.position) == ("other", vocabulary.position("lr"))
    declared = alone.declared("lr", "shine")
    assert (declared.package, declared.position) == ("alone", inf), "no built-in verb determines its position"
    for plan in (before, bind("base resnet50; lr shine", words=one)):
        use = plan.find("lr shine")
        assert use is not None
        assert (use.declared.package, use.declared.position) == ("one", vocabulary.position("lr"))


def test_a_clause_that_another_package_adds_to_a_built_in_verb(site: Path) -> None:
    install(site, "more-augment", {"augment.shine": "aug_mod:Theirs"}, aug_mod=GOOD.format(word="augment shine"))
    words = Vocabulary.installed()
    plan = bind("base resnet50; augment flip shine 2", words=words)
    assert [use.word for use in plan.uses if use.declared.verb == "augment"] == ["augment flip", "augment shine"]
    (error,) = diagnostics("base resnet50; augment shin", words=words)
    assert error.help == "did you mean `shine`?"


def test_a_trick_inherits_the_fields_of_another() -> None:
    @trick("one")
    class One(Trick):
        """Do something."""

        rate: float = number(1, "a rate")

    @trick("two")
    class Two(One):
        """Do more."""

        share: float = number(2, "a share")

    assert [field.name for field in Two.declared.fields] == ["rate", "share"]
    assert bind("base resnet18; two 3 4", words=vocabulary_with(Two)).find("two").values == {"rate": 3, "share": 4}  # type: ignore[union-attr]


def test_a_trick_of_a_single_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.format(word="shine"))
    use = bind("base resnet50; shine", words=Vocabulary.installed([file])).find("shine")
    assert use is not None
    assert use.declared.package == str(file)
    assert errors("base resnet50; shine") == ["E020"], "only for commands that name the file"


def test_a_plugin_file_on_the_command_line(tmp_path: Path) -> None:
    file, recipe = tmp_path / "mine.py", tmp_path / "a.recipe"
    file.write_text("print('hello')\n" + GOOD.format(word="shine"))
    recipe.write_text("base resnet50; shine 2\n")
    assert command("check", recipe).status == 2
    found = command("check", recipe, "--plugin", file)
    assert (found.status, found.stdout) == (0, "1 recipe checked: no errors or warnings\n")
    page = command("tricks", "shine", "--plugin", file)
    assert "Do what others do." in page.stdout
    assert "amount" in page.stdout
    assert f"package  {file}" in page.stdout


def test_a_plugin_file_may_import_built_in_tricks_and_alias_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    own = "from recipe.tricks.augment_flip import Flip\nfrom recipe.tricks.lr import *\n"
    file.write_text(own + GOOD.format(word="shine") + "\nAlias = Theirs\n")
    words = Vocabulary.installed([file])
    assert bind("base resnet50; shine; augment flip; lr 1", words=words).find("shine") is not None


def test_a_trick_may_declare_its_api_version(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.format(word="shine") + "\n    api_version = 1\n")
    assert errors("base resnet50; shine", words=Vocabulary.installed([file])) == []


SIZED = GOOD.format(word="shine").replace("number,", "integer, number,") + '    size: int = integer(8, "in pixels")'


# ---- tricks that are broken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("this is no python", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("import sys; sys.exit('stop')", "SystemExit: stop"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "has no attribute 'Theirs'"),
        ("Theirs = 3", "`shine` is not a class declared with @trick"),
        ("class Theirs: pass", "`shine` is not a class declared with @trick"),
        ("from recipe.api import Trick\nclass Theirs(Trick): pass", "`shine` is not a class declared with @trick"),
        (GOOD.format(word="glow"), "it registers `shine`, but the trick is declared as `glow`"),
        (GOOD.format(word="shine") + "\n    api_version = 99", "version 99 of the API, but this is version 1"),
        (
            GOOD.format(word="shine").replace('"""Do what others do."""', "pass"),
            "the class needs a docstring that says what the trick does",
        ),
        (GOOD.format(word="shine one two"), "a verb, or a verb and a clause"),
        (GOOD.format(word="shine 1"), "a verb, or a verb and a clause"),
        (GOOD.format(word="über"), "a verb, or a verb and a clause"),
        (GOOD.format(word="shine").replace('"shine"', '"shine", writes="grads"'), "writes= takes a tuple"),
        (GOOD.format(word="shine").replace('"shine"', '"shine", after=[3]'), "after= takes a tuple"),
        (GOOD.format(word="shine").replace("number(1,", 'number("one",'), "the default of `amount` must be a number"),
        (GOOD.format(word="shine").replace("amount: float =", "amount ="), "`amount` needs a type annotation"),
        (
            GOOD.format(word="shine").replace('"fancy"', '"3x3"'),
            "`3x3` can't be a word of `sort`: a recipe can't write it",
        ),
        (GOOD.format(word="shine") + "\n    def blend(self): ...", "`blend` is not a hook"),
        (GOOD.format(word="shine") + "\n    def judge(self, logits, targets): ...", "`judge` is now called `loss`"),
        (GOOD.format(word="shine") + "\n    other: int = 3", "declare `other` with one of number()"),
        (GOOD.format(word="shine").replace('"how much"', '""'), "`amount` needs a help text"),
        (
            GOOD.format(word="shine").replace("amount", "lr_factor"),
            "`lr_factor` can't be the name of a field: it is a hook",
        ),
        (GOOD.format(word="shine").replace('@trick("shine"', '@trick("shine", writes=("sky",)'), "unknown slot `sky`"),
        (GOOD.format(word="shine").replace('@trick("shine"', '@trick("shine", writes=("grad",)'), "mean `grads`?"),
        (
            GOOD.format(word="shine").replace("amount", "declared"),
            "`declared` can't be the name of a field: it is reserved",
        ),
        (
            GOOD.format(word="shine").replace("amount", "overrides"),
            "`overrides` can't be the name of a field: it is reserved",
        ),
        (
            GOOD.format(word="shine").replace("amount", "api_version"),
            "`api_version` can't be the name of a field: it is reserved",
        ),
        (GOOD.format(word="shine").replace("amount", "_amount"), "`_amount` can't be the name of a field"),
        (
            GOOD.format(word="shine").replace("amount", "größe"),
            "`größe` can't be the name of a field: a recipe can't write it",
        ),
        (
            GOOD.format(word="shine").replace('"how much"', '"how much", dialects={"papre": 2}'),
            "a default for the unknown dialect `papre`",
        ),
        (
            BASED.format(base="(Trick)", more=""),
            "`rate` is a field of `Base`, which is not a trick; declare it in the class itself",
        ),
        (BASED.format(base="", more=", Trick"), "`rate` is a field of `Base`, which is not a trick"),
        (GOOD.format(word="shine") + "\n    def rewrites(self, net): ...", "did you mean `rewrite`? Otherwise, start"),
        (GOOD.format(word="shine") + "\n    def open(self): ...", "needs the field `size: int = integer(…)`"),
        (SIZED + "\n    def open(self): ...", "needs the field `workers: int = integer(…)`"),
        (SIZED.replace("integer(8", "number(8") + "\n    def open(self): ...", "needs the field `size: int"),
    ],
)
def test_only_the_words_of_a_broken_plugin_are_unavailable(text: str, said: str, site: Path) -> None:
    module = "broken_mod"
    install(site, "broken-tricks", {"shine": f"{module}:Theirs"}, **{module: text})
    words = Vocabulary.installed()
    assert errors("base resnet50; lr cosine", words=words) == []
    (error,) = diagnostics("base resnet50\nshine 2", words=words)
    assert error.code == "E080"
    assert error.message.startswith("the plugin broken-tricks is broken: ")
    assert said in error.message
    assert error.help == "only `shine` is unavailable; you can use all other words"
    assert error.span is not None
    assert error.span.place == "<test>:2:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "file not found"),
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "declares no trick"),
        ("from recipe.tricks.augment_flip import Flip", "declares no trick"),
    ],
)
def test_a_broken_plugin_file_is_an_error_of_the_command(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        Vocabulary.installed([file])
    (error,) = caught.value.diagnostics
    assert error.code == "E080"
    assert said in error.message
    found = command("check", "quick", "--plugin", file)
    assert found.status == 2
    assert "E080" in found.stderr
    assert "Traceback" not in found.stderr


def test_prints_of_a_plugin_are_suppressed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "print('look at me')\n" + GOOD.format(word="shine")
    install(site, "loud-tricks", {"shine": "loud_mod:Theirs"}, loud_mod=text)
    bind("base resnet50; shine", words=Vocabulary.installed())
    assert "loud_mod" in sys.modules
    assert capsys.readouterr().out == ""


def test_the_list_of_tricks_shows_working_tricks_and_reports_broken_ones(site: Path) -> None:
    install(site, "broken-tricks", {"shine": "no_such_mod:X"})
    found = command("tricks")
    assert found.status == 0
    assert "lr cosine" in found.stdout
    assert "shine" not in found.stdout
    assert "the plugin broken-tricks is broken" in found.stderr


# ---- ambiguous words


def test_two_packages_that_register_the_same_words(site: Path) -> None:
    install(site, "one", {"shine": "one_mod:Theirs", "lr.glow": "one_mod:Theirs"}, one_mod=GOOD.format(word="shine"))
    install(site, "two", {"shine": "two_mod:Theirs"}, two_mod=GOOD.format(word="shine"))
    words = Vocabulary.installed()
    (error,) = diagnostics("base resnet50; shine", words=words)
    assert (error.code, error.message) == ("E081", "`shine` is registered by one and two")
    assert error.span is not None
    assert errors("base resnet50", words=words) == []
    assert "one_mod" not in sys.modules
    assert "two_mod" not in sys.modules


RIVAL = [
    ("augment.flip", "augment flip", "it is already a trick of recipe-compiler"),
    ("base.resnet18", "base resnet18", "`resnet18` is a value of `base`"),
    ("base.timm:resnet18", "base timm:resnet18", "`timm:resnet18` is a value of `base`"),
    ("batch.auto", "batch 64 micro auto", "`auto` is a value of `batch micro`"),
    ("precision.fp32", "precision fp32", "`fp32` is a value of `precision`"),
    ("loss.others", "loss smooth 0.1 others", "`others` is a value of `loss smooth`"),
]
"""Entry points of another package, built-in statements that they conflict with, and the reason for the error."""


def with_base(text: str) -> str:
    return text if text.startswith("base") else f"base resnet18; {text}"


@pytest.mark.parametrize(("entry", "text", "why"), RIVAL)
def test_an_installed_package_does_not_change_the_meaning_of_built_in_statements(
    entry: str, text: str, why: str, site: Path
) -> None:
    before = bind(with_base(text))
    install(site, "rival", {entry: "gone:X"})
    after = bind(with_base(text), words=Vocabulary.installed())
    assert after == before
    assert bind(before.canonical(), words=Vocabulary.installed()) == before, "a recipe.lock is a canonical text"


@pytest.mark.parametrize(("entry", "text", "why"), RIVAL)
def test_a_word_that_conflicts_with_a_built_in_one_is_reported(entry: str, text: str, why: str, site: Path) -> None:
    install(site, "rival", {entry: "rival_mod:Theirs"}, rival_mod=GOOD.format(word=entry.replace(".", " ", 1)))
    told = f"`{entry.replace('.', ' ', 1)}` from rival can't be used: {why}"
    found = command("tricks")
    assert (found.status, found.stderr.count("error[")) == (0, 1)
    assert f"error[E081]: {told}" in found.stderr
    tested = command("test-plugin", "rival")
    assert tested.status == 1
    assert tested.stdout.startswith(f"FAILED  {entry.replace('.', ' ', 1)}: loads – ")
    assert told in tested.stdout
    assert "1 trick: 0 checks ok, 1 failed" in tested.stdout
    assert "rival_mod" not in sys.modules


def test_a_clause_that_equals_a_built_in_value_is_rejected_in_place_of_a_clause(site: Path) -> None:
    install(site, "rival", {"batch.auto": "rival_mod:Theirs"}, rival_mod=GOOD.format(word="batch auto"))
    (error,) = diagnostics("base resnet50; batch auto", words=Vocabulary.installed())
    assert (error.code, error.span and error.span.text) == ("E081", "auto")


def test_a_built_in_clause_is_not_a_value_of_another_package(site: Path) -> None:
    glow = GOOD.format(word="lr glow").replace('"fancy"', '"cosine"')
    install(site, "rival", {"lr.glow": "glow_mod:Theirs"}, glow_mod=glow)
    words = Vocabulary.installed()
    plan = bind("base resnet50; lr glow 1 cosine", words=words)
    assert {"lr glow", "lr cosine"} <= {use.word for use in plan.uses}
    glowing = bind("base resnet50; lr glow 1 sort=cosine", words=words).find("lr glow")
    assert glowing is not None
    assert glowing.values["sort"] == "cosine"


@pytest.mark.parametrize("word", ["augment flip", "base resnet18"])
def test_a_plugin_file_with_built_in_words_is_an_error_of_the_command(word: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.format(word=word))
    with pytest.raises(RecipeError, match=rf"E081.*`{word}` from {file} can't be used"):
        Vocabulary.installed([file])


def test_a_clause_of_one_package_that_is_a_value_of_another(site: Path) -> None:
    install(site, "one", {"shine": "one_mod:Theirs"}, one_mod=GOOD.format(word="shine"))
    install(site, "two", {"shine.fancy": "two_mod:Theirs"}, two_mod=GOOD.format(word="shine fancy"))
    words = Vocabulary.installed()
    (found,) = diagnostics("base resnet50; shine 2 fancy", words=words)
    said = "`shine fancy` is ambiguous: a clause from two, or a value of `sort` from one"
    assert (found.code, found.message) == ("E081", said)
    assert found.help == "write `sort=fancy` for the value"
    assert errors("base resnet50; shine 2 sort=fancy", words=words) == []


def test_the_built_in_vocabulary_is_consistent(vocabulary: Vocabulary) -> None:
    for key in vocabulary.keys():  # noqa: SIM118
        trick = vocabulary.load(*key)
        assert (trick.declared.verb, trick.declared.clause) == key
        assert vocabulary.packages(key) == [vocabulary.declared(*key).package] == ["recipe-compiler"]
        assert trick.declared.verb not in DIRECTIVES
        values = {word for field in trick.declared.fields for word in getattr(field.kind, "words", ())}
        assert not values & vocabulary.clauses(key[0]), "each word must have one meaning"


# ---- imports


def _own_files() -> list[Path]:
    """Return the files of the core: `recipe/` without linked folders."""
    found = []
    for folder, names, files in os.walk(ROOT / "recipe"):
        names[:] = [name for name in names if not (Path(folder) / name).is_symlink()]
        found += [Path(folder) / file for file in files if file.endswith(".py")]
    return found


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def test_the_core_never_imports_a_trick() -> None:
    files = _own_files()
    assert {"bind.py", "vocabulary.py", "api.py", "engine.py"} <= {file.name for file in files}
    for file in files:
        imported = _imported(ast.parse(file.read_text("utf-8")))
        wrong = {name for name in imported if str(name).split(".")[:2] == ["recipe", "tricks"] or name == "tricks"}
        assert not wrong, f"{file} imports {wrong}"


TRICKS = sorted((ROOT / "tricks").glob("*.py"))


@pytest.mark.parametrize("file", TRICKS, ids=lambda file: file.stem)
def test_a_trick_imports_only_the_public_api_and_shared_modules_of_tricks(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module} | {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    ours = {name for name in ours if name.split(".")[0] == "recipe"}
    assert all(name == "recipe.api" or name.startswith("recipe.tricks._") for name in ours), ours
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not {name.split(".")[0] for name in _imported(ast.Module(top, []))} & {"torch", "torchvision", "numpy"}


@pytest.mark.parametrize("file", TRICKS, ids=lambda file: file.stem)
def test_a_trick_is_at_most_140_lines_long(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 140


def test_the_folder_of_tricks_cannot_be_imported_directly() -> None:
    found = subprocess.run([sys.executable, "-c", "import tricks"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last == "ImportError: `tricks` can't be imported directly; import `recipe.tricks` instead"


@pytest.mark.parametrize("hook", ["suggest(self, context)", "check(self, plan)", "configure(self, training)"])
def test_only_recipes_with_a_failing_hook_have_errors(tmp_path: Path, hook: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD.format(word="shine") + f"\n    def {hook}:\n        return 1 / 0\n")
    words = Vocabulary.installed([file])
    (error,) = diagnostics("base resnet50; shine", words=words)
    assert error.code == "E080"
    assert "ZeroDivisionError" in error.message
    assert bind("base resnet50", words=words).base is not None


@pytest.mark.parametrize("verb", sorted(DIRECTIVES))
def test_words_of_the_language_cannot_be_registered(site: Path, verb: str) -> None:
    install(site, "their-tricks", {verb: "their_mod:Theirs"}, their_mod=GOOD.format(word=verb))
    with pytest.raises(RecipeError, match=r"E081.*part of the language itself"):
        Vocabulary.installed().load(verb, None)
