"""Text that would control a terminal or forge lines of output is shown as escapes by every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import Outcome, command

BAD = "a\x1b[31m\x9b\u202e\u200b|`<script>"
FORGED = "x\nerror[E999]: forged"


def assert_safe(found: Outcome) -> None:
    """Assert that a command says something, in printable characters only, and that no line of it is forged."""
    said = found.stdout + found.stderr
    assert said.strip()
    assert [letter for letter in said if not letter.isprintable() and letter != "\n"] == []
    assert not any(line.startswith("error[E999]") for line in said.split("\n"))
    assert "Traceback" not in said
    assert "internal error" not in said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")  # a line that is folded at a space is not forged
    return tmp_path


TEXT = f'base resnet18 # {BAD}\ndata fake size=32 classes=4 images=16; loss distill "{BAD}.recipe"\n'


@pytest.fixture
def hostile(folder: Path) -> Path:
    """A sound recipe with a hostile name, string and comment."""
    (folder / f"{BAD}.recipe").write_text("base resnet18; data fake size=32 classes=4 images=16; epochs 1")
    file = folder / f"{BAD}{FORGED}.recipe"
    file.write_text(f"{TEXT}epochs 3; lr warmup 5")
    return file


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "FILE"),
        ("check", "FILE", "--format=github"),
        ("explain", "FILE"),
        ("explain", "FILE", f"seed 1 # {BAD}"),
        ("diff", "FILE", "+", "seed 1", "--color=never"),
        ("diff", "FILE", "FILE", "--color=never"),
        ("show", "FILE", "--images=4", "--out=a.png"),
        ("show", "FILE", "--data"),
        ("run", "FILE", "--dry-run", "--device=cpu"),
        ("ablate", "FILE", "--mode=drop", "--over", "lr warmup 1", "--dry-run"),
        ("fmt", "--check", "FILE"),
    ],
)
def test_of_a_sound_recipe(arguments: tuple[str, ...], hostile: Path) -> None:
    found = command(*(str(hostile) if word == "FILE" else word for word in arguments))
    assert_safe(found)
    assert found.status in (0, 1), found.stderr


def test_on_the_page_of_a_difference(hostile: Path, folder: Path) -> None:
    command("diff", str(hostile), "+", f'seed 1; loss distill "{BAD}.recipe" temperature=3', "--html", "page.html")
    page = (folder / "page.html").read_text()
    assert [letter for letter in page if not letter.isprintable() and letter != "\n"] == []
    assert "<script>" not in page


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", f'base resnet18; data folder "{BAD}"; lr {BAD}'),
        ("check", f'base resnet18; include "{BAD}"; init "{BAD}"', "--format=github"),
        ("check", f"{BAD}.recipe"),
        ("check", f"{FORGED}"),
        ("check", BAD, "--plugin", f"{FORGED}.py"),
        ("run", f"base {BAD}"),
        ("run", f"{FORGED}.recipe"),
        ("run", "base resnet18", "--save-every", FORGED),
        ("run", "base resnet18", "--device", BAD, "--dry-run"),
        ("run", "base resnet18", "--resume", f"{BAD}", "--out", "x"),
        ("run", "--resume", FORGED),
        ("run", f"--{BAD}"),
        ("run", "base resnet18", "--checkpoints", FORGED),
        ("explain", FORGED),
        ("explain", "base resnet18", f'seed "{BAD}"'),
        ("diff", BAD, FORGED),
        ("fmt", FORGED),
        ("tricks", BAD),
        ("tricks", "lr", FORGED),
        ("export", f"{BAD}", "--to", "onnx"),
        ("export", f"{BAD}", "--to", FORGED),
        ("new", "plugin", FORGED),
        ("test-plugin", FORGED),
        ("ablate", "base resnet18", "--mode=drop", "--over", f"tweak {BAD}"),
        ("ablate", "base resnet18", "--mode=drop", "--launcher-option", FORGED),
        ("ablate", "base resnet18", "--mode", FORGED),
        ("ablate", "base resnet18", "--mode=drop", "--budget", FORGED),
        (FORGED,),
        (BAD, BAD),
    ],
)
def test_of_arguments(arguments: tuple[str, ...], folder: Path) -> None:
    found = command(*arguments)
    assert_safe(found)
    assert found.status == 2


def test_of_a_run_folder(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "recipe.lock").write_text("base resnet18")
    packages = {"packages": {FORGED: "1", f"{BAD}": "2"}, "tricks": [FORGED, BAD]}
    (folder / "run" / "environment.json").write_text(json.dumps(packages))
    assert_safe(command("check", "run"))
    assert_safe(command("export", "run", "--to", "onnx"))


def test_of_a_plugin(folder: Path) -> None:
    (folder / "p.py").write_text(
        f'"""tweak hostile {BAD!r}. {BAD}"""\n'
        "from recipe.api import Trick, trick\n"
        '@trick("seed hostile", writes=("run",))\n'
        "class Hostile(Trick):\n"
        f'    """Say {BAD}."""\n'
        "    def check(self, plan):\n"
        f"        yield {BAD + FORGED!r}\n"
        "    def configure(self, training):\n"
        "        return {}\n"
    )
    for arguments in (
        ("tricks",),
        ("tricks", "seed"),
        ("tricks", "seed", "hostile"),
        ("check", "base resnet18; seed hostile"),
    ):
        assert_safe(command(*arguments, "--plugin", "p.py"))
    (folder / "p.py").write_text(f"raise ValueError({BAD + FORGED!r})")
    assert_safe(command("check", "base resnet18", "--plugin", "p.py"))


def test_data_for_another_program_is_complete() -> None:
    found = command("fmt", "-", stdin=TEXT.encode())
    assert found.stdout.startswith(f"base resnet18  # {BAD}\n")
