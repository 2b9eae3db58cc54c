"""What an ablation reports about the table that it replaces."""

from __future__ import annotations

from pathlib import Path

from recipe.ablation.earlier import replaced
from recipe.ablation.study import Study
from tests.ablation.helpers import MadeUp, execute, made


def replacing(study: Study) -> list[str]:
    return replaced(study.outline, study.folder)


def test_replacing_a_table_of_other_rows_is_reported(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    execute(study, MadeUp())
    study.write()
    assert replacing(study) == replacing(made(tmp_path / "x", seeds=2)) == []
    (said,) = replacing(made(tmp_path / "x", over=("tweak D",), seeds=2))
    assert said.endswith("which is of another recipe, or has other rows or more seeds; its runs are kept")
    assert replacing(made(tmp_path / "x", "epochs 1", seeds=1)) == [said], "the labels of the rows are the same"
