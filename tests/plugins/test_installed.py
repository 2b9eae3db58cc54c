"""Installed packages that are damaged or present twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.plugins.entry_points import registered
from recipe.plugins.vocabulary import GROUP, Vocabulary
from tests.helpers import bind, command
from tests.plugins.helpers import GOOD, install


def damage(site: Path, how: str) -> None:
    """Install a damaged package `ruined` with the word `gloss`."""
    install(site, "ruined", {"gloss": "ruined_mod:Theirs"})
    about = site / "ruined-1.0.dist-info"
    if how == "a line without =":
        (about / "entry_points.txt").write_text(f"[{GROUP}]\ngloss\n")
    elif how == "no text":
        (about / "entry_points.txt").write_bytes(b"\xff\xfe\0")
    elif how == "no METADATA":
        (about / "METADATA").unlink()
    elif how == "METADATA without a name":
        (about / "METADATA").write_text("Metadata-Version: 2.1\n")
    elif how == "METADATA that is no text":
        (about / "METADATA").write_bytes(b"Name: \xff")


DAMAGES = {
    "a line without =": "the package ruined is damaged: its entry_points.txt can't be read",
    "no text": "the package ruined is damaged: its entry_points.txt can't be read",
    "no METADATA": "ruined-1.0.dist-info is damaged: it has no METADATA with a name",
    "METADATA without a name": "ruined-1.0.dist-info is damaged: it has no METADATA with a name",
    "METADATA that is no text": "ruined-1.0.dist-info is damaged: it has no METADATA with a name",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_only_the_words_of_a_damaged_package_are_unavailable(how: str, site: Path) -> None:
    damage(site, how)
    install(site, "sound", {"shine": "sound_mod:Theirs"}, sound_mod=GOOD.format(word="shine"))
    words = Vocabulary.installed()
    assert {"shine", "lr"} <= words.verbs()
    assert "gloss" not in words.verbs()
    assert bind("base resnet50; shine", words=words).find("shine") is not None
    found = command("check", "base resnet50; lr cosine")
    assert (found.status, found.stderr) == (0, "")


@pytest.mark.parametrize(("how", "said"), DAMAGES.items())
def test_the_list_of_tricks_names_a_damaged_package(how: str, said: str, site: Path) -> None:
    damage(site, how)
    found = command("tricks")
    assert (found.status, found.stderr.count("error[E080]")) == (0, 1)
    assert said in found.stderr


def test_a_damaged_package_fails_its_test(site: Path) -> None:
    damage(site, "a line without =")
    found = command("test-plugin", "ruined")
    assert (found.status, found.stdout.startswith("FAILED  ruined: loads – ")) == (1, True)


@pytest.mark.slow
def test_the_doctor_names_a_damaged_package(site: Path) -> None:
    damage(site, "a line without =")
    assert f"broken: {DAMAGES['a line without =']}" in command("doctor").stdout


def test_two_packages_without_names_are_distinguished(site: Path) -> None:
    for name in ("one", "two"):
        install(site, name, {"shine": "gone:X"})
        (site / f"{name}-1.0.dist-info" / "METADATA").unlink()
    _, damaged = registered(GROUP)
    assert sorted(Path(each.package).name for each in damaged) == ["one-1.0.dist-info", "two-1.0.dist-info"]


def entries(package: str) -> list[str]:
    found, damaged = registered(GROUP)
    assert not damaged
    return [entry.name for name, entry in found if name == package]


def test_the_first_of_two_copies_of_a_package_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like `importlib.metadata`, even if the first copy has no entry points."""
    for order, words in (("third", {"gloss": "x:X"}), ("second", {"shine": "x:X"}), ("first", {})):
        install(tmp_path / order, "twice", words)
        monkeypatch.syspath_prepend(tmp_path / order)
        assert entries("twice") == [*words]


def test_a_damaged_package_after_a_valid_copy_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(tmp_path / "behind", "a line without =")
    install(tmp_path / "before", "ruined", {"shine": "x:X"})
    monkeypatch.syspath_prepend(tmp_path / "behind")
    monkeypatch.syspath_prepend(tmp_path / "before")
    assert entries("ruined") == ["shine"]
