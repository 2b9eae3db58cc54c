"""`keep last` states what a run does anyway."""

from __future__ import annotations

from tests.helpers import bind
from tests.training.scripted import scripted, train


def test_it_changes_neither_the_digest_nor_the_files(tmp_path):
    assert bind("base resnet18; keep last").digest == bind("base resnet18").digest
    with scripted(top1=(0.1, 0.4, 0.3, 0.4, 0.2)):
        runs = [train(tmp_path / name, *text) for name, text in (("last", ["keep last"]), ("none", []))]
    for file in ("model.safetensors", "evaluation.npz"):
        assert (runs[0].folder / file).read_bytes() == (runs[1].folder / file).read_bytes()
    assert [run.summary["kept"] for run in runs] == ["last", "last"]
    assert [run.summary["best"]["epoch"] for run in runs] == [2, 2]
    assert [run.summary["top1"] for run in runs] == [0.2, 0.2]


def test_a_layer_above_keep_best_replaces_it_with_a_drop():
    found = bind("base resnet18; epochs 3; keep best", "drop keep best; keep last")
    assert found.training.keep_by is None
