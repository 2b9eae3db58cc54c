"""Every built-in trick passes the checks that those of other packages pass; none is named here."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from recipe.registry import Vocabulary, words_of
from recipe.testing import CHECKS, Check, Skipped, checks
from tests import builtins

KEYS = Vocabulary.installed().keys()
TRICKS = [*map(words_of, KEYS)]
PACKAGE = "recipe-compiler"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Check]]:
    """Every check, with the files that some tricks read."""
    files = tmp_path_factory.mktemp("files")
    builtins.write_files(files)
    said = {"company": builtins.COMPANY, "values": builtins.values(files), "elsewhere": builtins.ELSEWHERE}
    with mock.patch("torchvision.datasets.cifar.check_integrity", return_value=True):  # the files are made up
        yield {(check.trick, check.name): check for check in checks(PACKAGE, **said)}


@pytest.mark.slow
@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("name", CHECKS)
def test_a_built_in_trick_passes(trick: str, name: str, made: dict[tuple[str, str], Check]) -> None:
    try:
        made[trick, name].run()
    except Skipped as reason:
        pytest.skip(str(reason))
