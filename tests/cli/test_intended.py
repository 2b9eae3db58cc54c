"""Commands and options that don't exist, but that people expect: the answer names what to type instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from recipe.cli import COMMANDS
from recipe.cli.inputs import check_quoted
from recipe.cli.intended import OTHER_NAMES, command_for
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import command


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("train", "use `recipe run`"),
        ("eval", "use `recipe evaluate`"),
        ("test", "use `recipe evaluate`"),
        ("rnu", "did you mean `run`?"),
        ("first", "to train a recipe, use `recipe run first`"),
        ("my.recipe", "to train a recipe, use `recipe run my.recipe`"),
        ("base resnet18; epochs 1", "to train a recipe, use `recipe run 'base resnet18; epochs 1'`"),
        ("qqqqqqq", ""),
    ],
)
def test_an_unknown_command_gets_the_one_of_the_same_meaning(name: str, help: str) -> None:
    assert command_for(name, COMMANDS) == help


def test_other_names_of_commands_are_no_commands() -> None:
    names = [name for names in OTHER_NAMES.values() for name in names.split()]
    assert {*OTHER_NAMES} <= {*COMMANDS}
    assert not {*names} & {*COMMANDS}
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["explain", "first", "epochs", "3"], "recipe explain first 'epochs 3'"),
        (["run", "first", "epochs", "3", "batch", "64"], "recipe run first 'epochs 3' 'batch 64'"),
        (["run", "first", "lr", "0.1", "cosine", "compile"], "recipe run first 'lr 0.1 cosine' compile"),
        (["run", "first", "data", "folder", "a/b"], "recipe run first 'data folder \"a/b\"'"),
        (["run", "first", "data", "folder", "photos", "size=64"], "recipe run first 'data folder \"photos\" size=64'"),
        (["run", "first", "drop", "tweak", "D"], "recipe run first 'drop tweak D'"),
        (["run", "base resnet18", "epochs", "1"], "recipe run 'base resnet18' 'epochs 1'"),
        (["evaluate", "x", "batch", "8"], "recipe evaluate x 'batch 8'"),
        (["ablate", "first", "--mode", "drop", "epochs", "1"], "recipe ablate first 'epochs 1'"),
    ],
)
def test_a_statement_without_quotes_gets_the_command_to_type(words: list[str], typed: str) -> None:
    done = command(*words)
    assert done.status == 2
    assert f"put each statement in quotes: {typed}\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["base", "resnet18"], "'base resnet18'"),
        (["base", "resnet18", "data", "folder", "photos"], "'base resnet18; data folder \"photos\"'"),
        (["base", "resnet18,", "data", "folder", "photos"], "'base resnet18; data folder \"photos\"'"),
        (["base", "resnet18", "lr", "0.1", "cosine", "compile"], "'base resnet18; lr 0.1 cosine; compile'"),
    ],
)
def test_a_recipe_without_quotes_gets_the_command_to_type(words: list[str], typed: str) -> None:
    done = command("run", *words)
    assert done.status == 2
    assert f"put the recipe in quotes: recipe run {typed}\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["first", "full", "epochs", "3"], "first full + 'epochs 3'"),
        (["first", "epochs", "3", "full"], "first + 'epochs 3' full"),
        (["first", "+", "epochs", "3"], "first + 'epochs 3'"),
        (["first", "drop", "tweak", "D"], "first + 'drop tweak D'"),
        (["first", "+", "epochs 3", "full", "lr", "0.1", "ema"], "first + 'epochs 3' full + 'lr 0.1' + ema"),
    ],
)
def test_a_statement_of_a_comparison_without_quotes_gets_the_command_to_type(words: list[str], typed: str) -> None:
    done = command("diff", *words)
    assert done.status == 2
    assert f"put `+` before each statement, and quotes around it: recipe diff {typed}\n" in done.stderr


@pytest.mark.parametrize("words", [["first", "ful"], ["first", "+", "epochs 3", "ful"], ["fir", "full"]])
def test_a_recipe_that_a_comparison_does_not_find_is_no_statement(words: list[str]) -> None:
    assert "file, run folder or example not found" in command("diff", *words).stderr


@pytest.mark.parametrize("statements", [["epochs"], ["ema", "compile"], ["epochs 3", "lbel 1"], ["epochs 3; batch 8"]])
def test_statements_of_one_word_need_no_quotes(statements: list[str]) -> None:
    with click.Context(click.Command("recipe")):
        check_quoted("first", statements, Vocabulary.installed())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run first --lr 0.1", "no such option: --lr; options don't change a recipe: add the statement 'lr 0.1'"),
        ("run --epochs=3 first", "add the statement 'epochs 3'"),
        ("run first --fp16", "add the statement 'precision fp16'"),
        ("run first --opt adamw", "add the statement 'optimizer adamw'"),
        ("explain first --batch-size 64", "add the statement 'batch 64'"),
        ("run first --dropout 0.5", "no such option: --dropout; the most similar trick is `tweak stochastic-depth`"),
        ("run first --devic cpu", "no such option: --devic; did you mean --device?"),
        ("run first --foo", "no such option: --foo\n"),
        ("predict x --lr 0.1", "no such option: --lr\n"),
    ],
)
def test_an_option_that_is_a_word_of_recipes_gets_its_statement(words: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "recipe", *words.split()], capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_folder_is_no_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("new photos", "runs/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "a" / "recipe.lock").touch()
    for command_name in ("run", "evaluate", "explain", "show"):
        done = command(command_name, "full", "new photos")
        assert done.status == 2
        assert "error[E020]: `new photos` is a folder, not a statement" in done.stderr
        assert "help: to use the images in it, write 'data folder \"new photos\"'" in done.stderr
    assert "help" not in command("evaluate", "full", "runs/a").stderr


def test_a_path_that_does_not_exist_is_answered_with_one_next_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/photos/x.png", "runs/photos/dim.py", "runs/photos/first.recipe"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for words, near in (
        (("predict", "runs/phots", "runs/photos/x.png"), "runs/photos"),
        (("evaluate", "runs/fotos"), "runs/photos"),
        (("run", "runs/photos/frist.recipe"), "runs/photos/first.recipe"),
        (("run", "full", "--plugin", "runs/photos/din.py"), "runs/photos/dim.py"),
        (("run", "--resume=runs/phots"), "runs/photos"),
        (("fmt", "runs/photos/firs.recipe"), "runs/photos/first.recipe"),
        (("finish", "runs/photo"), "runs/photos"),
        (("runs", "rusn"), "runs"),
    ):
        assert f"did you mean `{near}`?" in command(*words).stderr, words


def test_a_folder_in_place_of_a_recipe_is_answered_with_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for words in (("run", "photos"), ("show", "photos", "--data"), ("explain", "photos")):
        help = "write a recipe instead: 'base resnet18; data folder \"photos\"'\n"
        assert help in command(*words).stderr
