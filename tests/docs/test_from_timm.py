"""The page "Coming from timm": its words are accepted, and mean what timm computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import recipe
from recipe.plan.meant import meant
from recipe.plugins.calling import call_hook
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import ROOT, bind

timm = pytest.importorskip("timm")

PAGE = (ROOT / "docs/guides/from-timm.md").read_text("utf-8")
ROWS = re.findall(r"^\| (`--.*?|`-[bj].*?) \| `(.*?)` \|$", PAGE, re.M)
SMALL = "base timm:resnet18 classes=10; data fake size=32 images=104 classes=10; batch 8"


def words(flags: str) -> str:
    """Return the words that the page gives for flags of timm."""
    return next(words for given, words in ROWS if given.startswith(flags))


def test_the_table_is_read_whole():
    assert len(ROWS) == PAGE.split("## Flags")[1].split("These flags")[0].count("\n| `-") - 2, "two rows have no words"


@pytest.mark.parametrize(("flags", "words"), ROWS)
def test_the_words_of_a_row_are_accepted(flags: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for part in ("train", "val"):
        (tmp_path / "photos" / part / "cat").mkdir(parents=True)
    (tmp_path / "FILE").touch()
    base = "" if words.startswith("base") else "base timm:resnet50"
    data = "" if words.startswith("data") else 'data folder "photos"'
    plan = bind(f"{words}\n{base}\n{data}")
    assert {use.declared.verb for use in plan.uses if use.stated} >= {words.split()[0]}


@pytest.mark.parametrize(("flags", "words"), ROWS)
def test_a_flag_in_a_recipe_gets_a_help_that_agrees_with_the_page(flags: str, words: str, vocabulary: Vocabulary):
    verbs = {statement.split()[0] for statement in words.split("; ")}
    for flag in re.findall("--([a-z-]+)", flags):
        help = meant(flag, vocabulary, vocabulary.verbs())
        assert not help or any(f"`{verb}" in help for verb in verbs) or flag in vocabulary.verbs(), (flag, help)


def test_most_flags_of_the_page_get_a_help(vocabulary: Vocabulary):
    flags = {flag for given, _ in ROWS for flag in re.findall("--([a-z-]+)", given)}
    helped = [flag for flag in flags if meant(flag, vocabulary, vocabulary.verbs())]
    assert len(helped) > 0.6 * len(flags)


def test_the_rates_are_those_of_timm_but_for_one_step_of_the_warmup():
    from timm.scheduler import create_scheduler_v2

    program = recipe.compile(SMALL, words("`--epochs 9 --warmup-epochs 1"), device="meta")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler, epochs = create_scheduler_v2(
        optimizer, num_epochs=9, warmup_epochs=1, warmup_lr=0, warmup_prefix=True, step_on_epochs=False,
        updates_per_epoch=13,
    )  # fmt: skip
    theirs = []
    for step in range(13 * epochs + 1):
        theirs.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(step + 1)
    assert epochs == program.plan.training.epochs
    ours = [program.lr(step) for step in range(13 * epochs)]
    assert ours[:13] == pytest.approx(theirs[1:14])
    assert ours[13:] == pytest.approx(theirs[13:-1])


@pytest.mark.parametrize("base", ["vit_tiny_patch16_224", "resnet18"])
def test_the_parameter_groups_are_those_of_timm(base: str):
    from timm.optim import param_groups_layer_decay

    text = f"base timm:{base} classes=10; data fake; optimizer adamw; {words('`--weight-decay')}"
    program = recipe.compile(text, words("`--layer-decay"), device="meta")
    model = timm.create_model(base, num_classes=10)
    names = {id(value): name for name, value in model.named_parameters()}
    no_decay = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    groups = param_groups_layer_decay(model, 0.05, no_weight_decay_list=no_decay, layer_decay=0.75)
    theirs = {names[id(value)]: (g["lr_scale"], g["weight_decay"]) for g in groups for value in g["params"]}
    ours = {name: (g.options.get("lr_scale", 1), g.options["weight_decay"]) for g in program.groups for name in g.names}
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == pytest.approx(theirs[name]) for name in theirs)


def test_smoothed_targets_are_those_of_timm():
    from timm.data.mixup import mixup_target

    plan = bind(f"{SMALL}; {words('`--smoothing')}")
    labels = torch.tensor([3, 0])
    targets = torch.nn.functional.one_hot(labels, 10).float()
    for use in plan.hooked("smooth_targets"):
        targets = call_hook(use, "smooth_targets", targets)
    torch.testing.assert_close(targets, mixup_target(labels, 10, smoothing=0.1))


def test_a_checkpoint_of_timm_is_read_and_a_run_is_read_by_timm(tmp_path: Path):
    from timm.utils import CheckpointSaver, ModelEmaV3

    model = timm.create_model("test_resnet", num_classes=10)
    average = ModelEmaV3(model)
    torch.nn.init.ones_(average.module.fc.bias)
    saver = CheckpointSaver(
        model, torch.optim.SGD(model.parameters()), model_ema=average, checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path),
    )  # fmt: skip
    saver.save_checkpoint(0, metric=1.0)
    statements = "init stock; data fake size=32 images=16 classes=10; batch 8; epochs 1; lr 1e-9; decay 0"
    weights = f'base timm:test_resnet weights="{tmp_path / "model_best.pth.tar"}"; freeze norms'
    recipe.run(weights, statements, out=tmp_path / "run", device="cpu")
    read = timm.create_model("test_resnet", num_classes=10, checkpoint_path=str(tmp_path / "run/model.safetensors"))
    for name, value in read.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(value, average.module.state_dict()[name], msg=name)
