"""Packages from `recipe new plugin` and from examples/plugin, installed and tested in a fresh virtual environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.helpers import ROOT, command

TINY = "base resnet18; data fake size=32 classes=10 images=16; batch 8; epochs 1"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new environment outside the repository that also sees the packages installed here."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(home, with_pip=True)
    (packages,) = (home / "lib").glob("python3*/site-packages")
    below = sysconfig.get_paths()["purelib"]
    (packages / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    return home / "bin" / "python"


def call(python: Path, *arguments: str | Path, cwd: Path) -> str:
    """Run Python in a folder, and return its output; if it fails, fail with that output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_a_new_plugin_installs_passes_its_tests_and_trains(python: Path, tmp_path: Path) -> None:
    call(python, "-m", "recipe", "new", "plugin", "shine", cwd=tmp_path)
    home = tmp_path / "recipe-shine"
    call(python, "-m", "pip", "install", "-q", "-e", ".", cwd=home)
    assert "passed" in call(python, "-m", "pytest", "-q", cwd=home)
    page = call(python, "-m", "recipe", "tricks", "tweak", "shine", cwd=tmp_path)
    assert "package  recipe-shine" in page
    assert "tweak shine: 1 site" in call(python, "-m", "recipe", "explain", "base resnet18; tweak shine", cwd=tmp_path)
    changed = call(python, "-m", "recipe", "diff", "base resnet18", "base resnet18; tweak shine", cwd=tmp_path)
    assert "+ fc_dropout" in changed
    call(python, "-m", "recipe", "run", f"{TINY}; tweak shine; augment shine", "--out", "run", cwd=tmp_path)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_the_example_package_installs_and_passes_its_tests(python: Path, tmp_path: Path) -> None:
    home = tmp_path / "plugin"
    shutil.copytree(ROOT / "examples" / "plugin", home, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    call(python, "-m", "pip", "install", "-q", "-e", ".", cwd=home)
    assert "passed" in call(python, "-m", "pytest", "-q", cwd=home)
    text = f"{TINY}; head gem; loss confidence; lr restarts 1"
    call(python, "-m", "recipe", "run", text, "--out", "run", cwd=tmp_path)
    call(python, "-m", "recipe", "export", "run", "--to", "onnx", cwd=tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shine", "is not a valid package name"),
        ("a--b", "is not a valid package name"),
        ("../shine", "is not a valid package name"),
        ("D", "is not a valid package name"),
        ("compiler", "the package `recipe-compiler` is already installed"),
        ("recipe-7x", "has no valid word for a trick"),
        ("recipe-mixup", "the trick `augment mixup` already exists"),
        ("flip", "the trick `augment flip` already exists"),
    ],
)
def test_invalid_and_existing_names_are_rejected(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = command("new", "plugin", name)
    assert found.status == 2
    assert "error[E123]" in found.stderr
    assert said in found.stderr
    assert not any(tmp_path.iterdir())


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    found = command("new", "plugin", "shine", "--out", tmp_path / "mine")
    assert (found.status, "already exists" in found.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]


def test_written_files_are_listed_and_well_formatted(tmp_path: Path) -> None:
    found = command("new", "plugin", "two-words", "--out", tmp_path / "mine")
    assert found.status == 0
    lines = found.stdout.splitlines()
    assert all(Path(line).is_file() for line in lines[:-1])
    assert lines[-1] == f"next: cd {tmp_path / 'mine'} && pip install -e '.[test]' && pytest"
    assert (tmp_path / "mine" / "recipe_two_words" / "tweak_two_words.py").is_file()
    ruff = shutil.which("ruff", path=sysconfig.get_paths()["scripts"])
    assert ruff is not None
    options = ["--isolated", "--line-length", "120"]
    for step in (["check", "--select", "E,F,UP,B,SIM"], ["format", "--check"]):
        done = subprocess.run([ruff, *step, *options, tmp_path / "mine"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
