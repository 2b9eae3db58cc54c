"""A random sample of the cases of `python -m tests.damage`, seeded by the commit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.damage import folders
from tests.damage.cases import Bench
from tests.damage.flips import undetected
from tests.helpers import MORE, SEED

CASES = 16 * MORE


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_CACHE", str(root / "cache"))
        folders.in_haste(patch)
        folders.make(root)
        yield Bench(root)


@pytest.mark.slow
def test_damage_changes_no_result_and_nothing_elsewhere(bench: Bench) -> None:
    cases = [bench.draw(SEED, number) for number in range(CASES)]
    found = {str(case): said for case in cases if (said := bench.wrong(SEED, case))}
    assert found == {}


@pytest.mark.slow
def test_flipped_bits_of_a_checkpoint_are_noticed(bench: Bench) -> None:
    content = (bench.root / "stopped/checkpoints/step-000000003.pt").read_bytes()
    assert undetected(content, 100 * MORE, SEED) == []
