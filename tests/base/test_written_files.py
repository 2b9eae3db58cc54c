"""What is written, truncated or removed is a regular file of ours; links and other files are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipe.base import files


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "victim").write_text("precious")
    return tmp_path / "victim"


@pytest.mark.parametrize("opening", [files.opened_to_write, files.opened_to_append])
def test_a_link_is_not_opened_for_writing(victim: Path, opening: object) -> None:
    link = victim.with_name("link")
    link.symlink_to(victim)
    with pytest.raises(OSError, match="is a symbolic link"):
        opening(link)  # type: ignore[operator]
    dangling = victim.with_name("dangling")
    dangling.symlink_to(victim.with_name("missing"))
    with pytest.raises(OSError, match="is a symbolic link"):
        opening(dangling)  # type: ignore[operator]
    assert not victim.with_name("missing").exists()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("opening", [files.opened_to_write, files.opened_to_append])
def test_a_pipe_is_not_opened_for_writing(tmp_path: Path, opening: object) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file|[Nn]o such device"):
        opening(tmp_path / "pipe")  # type: ignore[operator]


def test_a_file_is_appended_to_and_created(tmp_path: Path) -> None:
    for _ in range(2):
        with files.opened_to_append(tmp_path / "file") as file:
            file.write(b"line\n")
    assert (tmp_path / "file").read_bytes() == b"line\nline\n"


def test_a_link_is_replaced_by_a_written_file(victim: Path) -> None:
    link = victim.with_name("link")
    link.symlink_to(victim)
    files.write_text(link, "new")
    assert victim.read_text() == "precious"
    assert not link.is_symlink()
    assert link.read_text() == "new"


def test_a_write_that_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    def fill(file: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "file", fill)
    assert not list(tmp_path.iterdir())


def test_only_regular_files_are_removed(victim: Path) -> None:
    link, folder = victim.with_name("link"), victim.with_name("folder")
    link.symlink_to(victim)
    folder.mkdir()
    for path in (link, folder, victim.with_name("missing")):
        files.remove(path)
    assert link.is_symlink()
    assert folder.is_dir()
    files.remove(victim)
    assert not victim.exists()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "file").write_text("")
    files.make_folder(tmp_path / "folder")
    files.make_folder(tmp_path / "new")
    for name, reason in (("link", "is a symbolic link"), ("file", "is not a folder")):
        with pytest.raises(OSError, match=reason):
            files.make_folder(tmp_path / name)
