"""The pytest plugin: which tests it adds, how to select them, and what a failure shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.broken import BROKEN, HEAD, SOUND


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a plugin project with a correct trick, a broken one, and an ordinary test."""
    (tmp_path / "mirror.py").write_text(HEAD.format(syntax="augment mirror") + SOUND["augment mirror"])
    (tmp_path / "broken.py").write_text(BROKEN["a hook does not match its slot"].file)
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nrecipe_tricks = mirror.py\n")
    return tmp_path


def pytest_of(project: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a project, and return its exit code and output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTEST_XDIST_WORKER": "", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER")
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def collected(project: Path, *arguments: str) -> list[str]:
    _, output = pytest_of(project, "--collect-only", "-q", *arguments)
    return [line for line in output.splitlines() if "::" in line]


def test_every_check_is_added_to_the_tests_of_the_project(project: Path) -> None:
    found = collected(project)
    assert found[0] == "test_own.py::test_own"
    assert found[1] == "recipe-tricks::augment mirror::docstring"
    assert "recipe-tricks::augment mirror::resume" in found
    assert collected(project, ".") == found


def test_checks_are_selected_like_other_tests(project: Path) -> None:
    assert collected(project, "test_own.py") == ["test_own.py::test_own"]
    assert collected(project, "-k", "own") == ["test_own.py::test_own"]
    one = "recipe-tricks::augment mirror::resume"
    assert collected(project, one) == [one]
    assert collected(project, "test_own.py", "recipe-tricks::augment mirror")[:2] == [
        "test_own.py::test_own",
        "recipe-tricks::augment mirror::docstring",
    ]
    assert collected(project, "test_own.py", "--recipe-tricks", "broken.py", "-k", "conflicts") == [
        "recipe-tricks::augment mirror::conflicts"
    ]


def test_a_failure_shows_its_message_without_a_traceback(project: Path) -> None:
    status, output = pytest_of(
        project, "test_own.py", "--recipe-tricks", "broken.py", "-k", "docstring or conflicts or compiles", "-rs"
    )
    assert status == 1
    assert "`augment mirror` has the hook `augment` but writes ['run']; declare \"inputs\"" in output
    assert "Traceback" not in output
    assert "runtest" not in output
    assert "it rewrites no graph" in output
    assert "1 failed, 1 passed, 1 skipped" in output


def test_an_unknown_package(project: Path) -> None:
    status, output = pytest_of(project, "--recipe-tricks", "recipe-compilr")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "did you mean `recipe-compiler`?" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("own", [(), ("test_own.py",)])
def test_names_that_match_no_check(project: Path, own: tuple[str, ...]) -> None:
    status, output = pytest_of(project, *own, "recipe-tricks::augment miror::resume")
    assert status == pytest.ExitCode.USAGE_ERROR
    said = (
        "no check matches `recipe-tricks::augment miror::resume`; did you mean `recipe-tricks::augment mirror::resume`?"
    )
    assert said in output
    (project / "pytest.ini").unlink()
    status, output = pytest_of(project, *own, "recipe-tricks::augment mirror::resume")
    assert (status, "no check matches" in output) == (pytest.ExitCode.USAGE_ERROR, True)


@pytest.mark.parametrize("path", ["./mirror.py", ".//mirror.py", "../{name}/mirror.py"])
def test_a_path_may_be_written_in_several_ways(project: Path, path: str) -> None:
    (project / "pytest.ini").write_text(f"[pytest]\nrecipe_tricks = {path.format(name=project.name)}\n")
    assert "recipe-tricks::augment mirror::resume" in collected(project)


def test_hooks_in_conftest_set_company_values_and_elsewhere(project: Path) -> None:
    (project / "conftest.py").write_text(
        "def pytest_recipe_company(config):\n    return {'augment mirror': 'epochs 1'}\n\n\n"
        "def pytest_recipe_values(config):\n    return {'augment mirror probability': ('0.25', '0.25')}\n"
    )
    status, output = pytest_of(project, "-k", "fields")
    assert status == 1
    assert "training with 0.25 and 0.25 produces the same result" in output
    (project / "conftest.py").write_text(
        "def pytest_recipe_elsewhere(config):\n    return {'augment mirror probability': 'seen'}\n"
    )
    status, output = pytest_of(project, "-k", "fields", "-rs")
    assert status == 0
    assert "`augment mirror probability`: seen" in output


@pytest.mark.slow
def test_it_works_with_xdist(project: Path) -> None:
    chosen = "own or docstring or conflicts or canonical or deterministic"
    status, output = pytest_of(project, "-n", "2", "--dist", "loadfile", "-k", chosen)
    assert (status, "5 passed" in output) == (0, True), output
