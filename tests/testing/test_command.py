"""`recipe test-plugin`: its output, summary and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import command
from tests.testing.broken import BROKEN, HEAD, SOUND

QUICK = ("--only", "docstring", "--only", "conflicts")


def test_a_correct_file(tmp_path: Path) -> None:
    file = tmp_path / "mirror.py"
    file.write_text(HEAD.format(syntax="augment mirror") + SOUND["augment mirror"])
    found = command("test-plugin", file, *QUICK, "--only", "compiles")
    assert (found.status, found.stderr) == (0, "")
    assert found.stdout.splitlines() == [
        "ok      augment mirror: docstring",
        "ok      augment mirror: conflicts",
        "skipped augment mirror: compiles – it rewrites no graph",
        "1 trick: 2 checks ok, 0 failed, 1 skipped",
    ]


def test_a_broken_file(tmp_path: Path) -> None:
    file = tmp_path / "mirror.py"
    file.write_text(BROKEN["a hook does not match its slot"].file)
    found = command("test-plugin", file, *QUICK)
    assert found.status == 1
    assert found.stdout.splitlines()[1:] == [
        "FAILED  augment mirror: conflicts – `augment mirror` has the hook `augment` but writes ['run']; "
        'declare "inputs"',
        "1 trick: 1 checks ok, 1 failed, 0 skipped",
    ]


@pytest.mark.parametrize("path", ["./mirror.py", ".//mirror.py", "x/../mirror.py", "link.py"])
def test_a_path_may_be_written_in_several_ways(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror.py").write_text(HEAD.format(syntax="augment mirror") + SOUND["augment mirror"])
    (tmp_path / "link.py").symlink_to("mirror.py")
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    found = command("test-plugin", path, "--only", "docstring")
    assert (found.status, found.stdout.splitlines()[0]) == (0, "ok      augment mirror: docstring")


def test_an_installed_package() -> None:
    found = command("test-plugin", "Recipe_Compiler", "--only", "docstring")
    assert found.status == 0
    assert "ok      lr cosine: docstring" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("recipe-compilr",),
            "no installed package `recipe-compilr` offers tricks\n  = help: did you mean `recipe-compiler`?",
        ),
        (("recipe-compiler", "--only", "resum"), "unknown check `resum`\n  = help: did you mean `resume`?"),
        (
            ("recipe-compiler", "--company", "lr evry=lr cosine"),
            "`company` names `lr evry`, but the package has no such trick",
        ),
        (
            ("recipe-compiler", "--elsewhere", "lr evry=x"),
            "`elsewhere` names `lr evry`, but the package has no such trick",
        ),
        (("recipe-compiler", "--value", "lr rate=1"), "`--value` takes two values separated by a comma, not `1`"),
        (("recipe-compiler", "--company", "lr cosine"), "has no name before `=`"),
        (("nowhere.py",), "file not found: `nowhere.py`"),
    ],
)
def test_invalid_arguments_are_errors(arguments: tuple[str, ...], said: str) -> None:
    found = command("test-plugin", *arguments)
    assert (found.status, found.stdout) == (2, "")
    assert said in found.stderr


def test_company_and_values_are_used(tmp_path: Path) -> None:
    file = tmp_path / "mirror.py"
    file.write_text(HEAD.format(syntax="augment mirror") + SOUND["augment mirror"])
    given = ("--value", "augment mirror probability=0.25, 1", "--company", "augment mirror=epochs 1")
    found = command("test-plugin", file, "--only", "fields", *given)
    assert (found.status, found.stdout.splitlines()[0]) == (0, "ok      augment mirror: fields")
    found = command("test-plugin", file, "--only", "fields", "--value", "augment mirror probability=0.25, 0.25")
    assert found.status == 1
    assert "training with 0.25 and 0.25 produces the same result" in found.stdout


SETTING = '''
@trick("synchronise", writes=("run",))
class Synchronise(Trick):
    """Normalize over the images of all processes."""

    by: str = choice("all", "which processes", of=("all", "each"))

    def configure(self, training):
        return {"synchronised": self.by == "all"}
'''


def test_elsewhere_skips_a_check_for_an_effect(tmp_path: Path) -> None:
    file = tmp_path / "synchronise.py"
    file.write_text(HEAD.format(syntax="synchronise") + SETTING)
    assert command("test-plugin", file).status == 1
    told = "it shows among processes: tests/test_ranks.py"
    found = command("test-plugin", file, "--elsewhere", f"synchronise={told}", "--elsewhere", f"synchronise by={told}")
    assert found.status == 0, found.stdout
    assert f"skipped synchronise: fields – {told}; `synchronise by`: {told}" in found.stdout.splitlines()


def test_prints_of_a_plugin_at_exit_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "mirror.py"
    late = "import atexit, sys\n\natexit.register(print, 'so long', file=sys.stderr)\n"
    file.write_text(HEAD.format(syntax="augment mirror") + late + SOUND["augment mirror"])
    found = command("test-plugin", file, "--only", "light", "--only", "canonical")
    assert found.status == 0, found.stdout


def test_a_broken_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "ruined-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ruined\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[recipe.tricks]\nshine = no_such_module:Shine\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = command("test-plugin", "ruined")
    assert found.status == 1
    assert found.stdout.startswith("FAILED  shine: loads – `shine` can't be used:")
    assert "No module named 'no_such_module'" in found.stdout
