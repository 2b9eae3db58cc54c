"""`freeze body`, `freeze to` and `freeze norms`: what is frozen, that it neither changes nor asks for gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import recipe
from recipe import RecipeError
from recipe.api import Progress, Trick, trick
from recipe.explain.program import as_dict, explain
from recipe.graph.net import Net
from recipe.runs.recipe_lock import read_lock
from recipe.testing.models import Aided, Small
from recipe.training.runtime import Runtime, step_seed
from recipe.training.trainer import Trainer
from tests.durability.trials import Cut
from tests.helpers import bind, vocabulary_with
from tests.tricks.steps import DATA, Steps, steps

TEXT = "batch 8; epochs 2; lr 0.05; decay 0.1"
HEAD = {"fc.weight", "fc.bias"}


def small(kind: Callable[[int], nn.Module] = Small) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(10)


def frozen(text: str, base: nn.Module | None = None) -> tuple[set[str], set[str]]:
    """Return the parameters that a recipe trains, and the modules that it freezes."""
    program = recipe.compile(text, base=base, device="meta")
    names = {name for name, _ in program.structure.named_parameters()}
    return names - program.freezing.throughout.parameters, {*program.freezing.throughout.modules}


# ---- what is frozen


@pytest.mark.parametrize(
    ("model", "head", "on"),
    [
        ("resnet18", "fc", ()),
        ("vgg11", "classifier.6", ("classifier.5",)),
        ("efficientnet_b0", "classifier.1", ("classifier.0",)),
        ("mobilenet_v3_small", "classifier.3", ("classifier.2",)),
        ("vit_b_16", "heads.head", ()),
        ("squeezenet1_1", "classifier.1", ("classifier.0",)),
        ("timm:vit_tiny_patch16_224", "head", ("head_drop",)),
    ],
)
def test_the_body_is_all_but_the_last_layer(model: str, head: str, on: tuple[str, ...]) -> None:
    """Dropout right before the last layer stays on. All other layers with a mode are in evaluation mode."""
    trained, modules = frozen(f"base {model}; freeze body")
    assert trained == {f"{head}.weight", f"{head}.bias"}
    structure = recipe.compile(f"base {model}", device="meta").structure
    inside = {id(layer) for address in modules for layer in structure.get_submodule(address).modules()}
    kinds = (nn.Dropout, nn.modules.batchnorm._BatchNorm)
    left = {name for name, layer in structure.named_modules() if isinstance(layer, kinds) and id(layer) not in inside}
    assert left == {*on}


def test_auxiliary_heads_are_not_part_of_the_body() -> None:
    trained, modules = frozen("base googlenet; freeze body")
    assert {name.partition(".")[0] for name in trained} == {"fc", "aux1", "aux2"}
    assert not {address for address in modules if address.startswith("aux")}


def test_all_up_to_a_module_is_frozen_in_the_order_of_the_forward_pass() -> None:
    trained, modules = frozen('base resnet18; freeze to "layer3.0.conv2"')
    first = {"conv1", "bn1", "relu", "maxpool", "layer1", "layer2"}
    assert modules == first | {f"layer3.0.{name}" for name in ("conv1", "bn1", "conv2")}
    assert {name for name in trained if name.startswith("layer3.0.")} == {
        f"layer3.0.{name}.{kind}" for name in ("bn2", "downsample.1") for kind in ("weight", "bias")
    } | {"layer3.0.downsample.0.weight"}


def test_parameters_outside_of_modules_are_frozen_with_the_module_that_uses_them() -> None:
    trained, modules = frozen('base timm:vit_tiny_patch16_224; freeze to "blocks.1"')
    assert {"cls_token", "pos_embed", "patch_embed.proj.weight"}.isdisjoint(trained)
    assert {name.split(".")[1] for name in trained if name.startswith("blocks.")} == {str(n) for n in range(2, 12)}
    assert {"patch_embed", "blocks.0", "blocks.1"} <= modules


def test_a_module_made_by_a_tweak_has_an_address() -> None:
    trained, _ = frozen('base resnet18; tweak C; freeze to "conv1.0"')
    assert "conv1.0.weight" not in trained
    assert {"conv1.3.weight", "conv1.6.weight"} & trained


def test_frozen_norms_are_those_with_running_statistics() -> None:
    trained, modules = frozen("freeze norms", small(Aided))
    assert {name for name, _ in Aided(10).named_parameters()} - trained == {
        f"{address}.{kind}" for address in modules for kind in ("weight", "bias")
    }
    assert modules == {name for name, layer in Aided(10).named_modules() if isinstance(layer, nn.BatchNorm2d)}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ('base resnet18; freeze to "layerr3"', "E101", "runs no module at `layerr3`; did you mean `layer3`?"),
        ('base resnet18; freeze to "fc"', "E101", "leaves nothing to train: no layer runs after `fc`"),
        (
            'base vit_b_16; freeze to "encoder.layers.encoder_layer_0.self_attention.out_proj"',
            "E101",
            "runs no module at",
        ),
        ("base vit_b_16; freeze norms", "E101", "finds no batch normalization"),
        ("base resnet18; freeze to layer3", "E023", "takes the address of a module, in quotes, not `layer3`"),
        ('base resnet18; freeze to ""', "E023", "takes the address of a module, not an empty string"),
        ("base resnet18; freeze to", "E025", "`freeze to` needs the address of a module"),
        ("base resnet18; freeze", "E025", "add one of `body`, `gradual`, `norms`, `to`"),
        (
            "base resnet18; freeze 0.5 0.9",
            "E025",
            "`freeze 0.5 0.9` did in earlier releases is now `freeze gradual 0.5 0.9`",
        ),
        ("base resnet18; freeze start=0.5", "E025", "in earlier releases is now `freeze gradual start=0.5`"),
        ("base resnet18; freeze boddy", "E021", "did you mean `body`?"),
    ],
)
def test_errors(text: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.compile(text, device="meta")
    (error,) = caught.value.diagnostics
    assert error.code == code
    assert said in f"{error.message} {error.help}"


@pytest.mark.parametrize("words", ["freeze body", 'freeze to "layer1"', "freeze norms"])
def test_freezing_random_weights_is_reported(words: str) -> None:
    said = "what it freezes has random weights: `base` names no pretrained ones with `weights=`"
    assert [warning.message for warning in bind(f"base resnet18; {words}").warnings] == [said]
    assert not bind(f"base resnet18 weights=DEFAULT; {words}").warnings
    assert not bind(f"base module; {words}").warnings
    assert not bind("base resnet18; freeze gradual").warnings


def test_clauses_combine() -> None:
    trained, modules = frozen('freeze to "layer1" norms', small())
    assert {name for name in trained if "bn" in name or "downsample.1" in name} == set()
    assert {"layer2.conv1.weight", "fc.weight"} <= trained
    assert {"layer1", "layer2.bn1"} <= modules


# ---- training


def look(seen: dict[str, Any]) -> Callable[[Trainer], None]:
    """Record which parameters a trainer asks for gradients, and those that got one, with the optimizer's state."""

    def after(trainer: Trainer) -> None:
        parameters = dict(trainer.model.named_parameters())
        if not seen:
            seen["names"], seen["got"] = {name for name, each in parameters.items() if each.requires_grad}, set()
            for name in seen["names"]:
                parameters[name].register_post_accumulate_grad_hook(lambda _, name=name: seen["got"].add(name))
        assert {name for name, each in parameters.items() if each.requires_grad} == seen["names"]
        assert all(parameter.grad is None for parameter in parameters.values())
        names = [name for group in trainer.update.optimizer.param_groups for name in group["names"]]
        assert {*names} == seen["names"]
        assert len(trainer.update.optimizer.state) == len(names)

    return after


def unchanged(found: Steps) -> set[str]:
    """Return the tensors, buffers included, that no step has changed by a bit."""
    start = found.start.state_dict()
    return {name for name in start if all(torch.equal(start[name], after[name]) for after in found.after)}


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("freeze body", "sam 0.1; clip 0.3; decay 0.1 no-bias"),
        ("freeze body", "batch 8 micro 3"),
        ('freeze to "layer1"', "optimizer adamw; lr 1e-3"),
        ('freeze to "layer1"', "batch 8 micro 3"),
        ("freeze norms", "optimizer lars; ema 0.9"),
        ("freeze norms", "sam 0.1; clip 0.3"),
    ],
)
def test_what_is_frozen_throughout_neither_changes_nor_asks_for_gradients(
    tmp_path: Path, words: str, more: str
) -> None:
    seen: dict[str, Any] = {}
    said = {statement.split()[0] for statement in more.split("; ")}
    text = "; ".join([*(each for each in TEXT.split("; ") if each.split()[0] not in said), words, more])
    found = steps(tmp_path / "run", text, small(), look(seen))
    trained, modules = frozen(f"{DATA}; {words}", small())
    assert seen["names"] == seen["got"] == trained
    names = {name for name, _ in found.start.named_parameters()}
    buffers = {name for name, _ in found.start.named_buffers()}
    still = {name for name in buffers if name.startswith(tuple(f"{address}." for address in modules))}
    assert unchanged(found) == (names - trained) | still
    assert (words == 'freeze to "layer1"') == bool(buffers - still)


def test_the_model_of_a_run_can_be_trained_again(tmp_path: Path) -> None:
    """What a run froze isn't frozen in the model that it returns, which may be the base of another recipe."""
    run = recipe.run(recipe.compile(f"{DATA}; {TEXT}; freeze body", base=small()), out=tmp_path / "run", device="cpu")
    assert all(parameter.requires_grad for parameter in run.model.parameters())
    again = recipe.compile(f"{DATA}; {TEXT}", base=run.model)
    assert len({name for group in again.groups for name in group.names}) == len([*small().parameters()])


def test_only_the_last_layer_is_trained_on_features_in_evaluation_mode(tmp_path: Path) -> None:
    """Compared with a loop of torch: a body in evaluation mode, dropout in training mode, SGD on the last layer."""
    found = steps(tmp_path / "run", f"{TEXT}; freeze body", small())
    model = copy.deepcopy(found.start)
    model.eval()
    model.drop.train()
    optimizer = torch.optim.SGD(model.fc.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=0.1)
    for step, ((inputs, targets), after) in enumerate(zip(found.batches, found.after, strict=True)):
        torch.manual_seed(step_seed(0, step, 0))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        torch.testing.assert_close(model.fc.weight.detach(), after["fc.weight"])
    assert not torch.equal(found.after[-1]["fc.weight"], found.start.state_dict()["fc.weight"])


@pytest.mark.parametrize("point", ["mid-epoch", "epoch boundary"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, point: str) -> None:
    program = recipe.compile(f'{DATA}; {TEXT}; optimizer adamw; ema 0.9; freeze to "layer1" norms', base=small())
    whole = recipe.run(program, out=tmp_path / "whole", device="cpu")
    with pytest.raises(recipe.Interrupted):
        recipe.run(program, out=tmp_path / "cut", device="cpu", listener=Cut(point))
    resumed = recipe.run(program, out=tmp_path / "cut", device="cpu", resume=True)
    states = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    last = sorted((tmp_path / "cut" / "checkpoints").glob("*.pt"))[-1]
    saved = torch.load(last, weights_only=True)["optimizer"]
    assert {name for group in saved["param_groups"] for name in group["names"]} == frozen(
        f'{DATA}; freeze to "layer1" norms', small()
    )[0]


class Eager(Runtime):
    """A runtime that compiles without generating code, and counts the graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> Any:
        def count(graph: torch.fx.GraphModule, inputs: Any) -> Any:
            self.graphs += 1
            return graph

        return torch.compile(model, backend=count, dynamic=dynamic)


def test_a_compiled_model_asks_for_no_gradients_of_what_is_frozen(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    torch._dynamo.reset()
    text, runtime = f"{TEXT}; freeze body", Eager()
    compiled = steps(tmp_path / "compiled", f"{text}; compile", small(), look(seen), runtime)
    eager = steps(tmp_path / "eager", text, small())
    torch._dynamo.reset()
    assert seen["names"] == seen["got"] == HEAD
    assert runtime.graphs == 1
    for name, value in eager.after[-1].items():
        torch.testing.assert_close(compiled.after[-1][name], value)


# ---- what users see


def test_explain_shows_how_much_is_trained() -> None:
    program = recipe.compile(f"{DATA}; {TEXT}; freeze body; lr head 10", base=small(), device="meta")
    total, head = program.costs.params, 16 * 10 + 10
    shown = explain(program, "cpu")
    assert f"{head:,} parameters are trained, {total - head:,} are frozen for the entire training" in shown
    assert "2 tensors, 170 values: lr_scale 10, weight_decay 0.1" in shown
    assert f"{total - head:,} values: frozen" in shown
    told = as_dict(program, "cpu")
    assert (told["trained"], told["frozen"]) == (head, total - head)
    assert told["groups"][0] == {"options": {"lr_scale": 10.0, "weight_decay": 0.1}, "tensors": 2, "values": head}
    assert told["groups"][1]["options"] == {"frozen": True}
    assert sum(group["values"] for group in told["groups"]) == total


def test_explain_shows_whether_freezing_at_some_steps_saves_time() -> None:
    text = f"{DATA}; {TEXT}; freeze body until=1"
    shown = explain(recipe.compile(text, base=small(), device="meta"), "cpu")
    assert "`freeze body` freezes at some steps, which saves time in one process; several processes compute" in shown
    shown = explain(recipe.compile(f"{text}; compile", base=small(), device="meta"), "cpu")
    assert "`freeze body` freezes at some steps, which saves no time: with `compile`, all gradients are" in shown
    assert "at some steps" not in explain(
        recipe.compile(f"{DATA}; {TEXT}; freeze body", base=small(), device="meta"), "cpu"
    )


def test_diff_shows_what_is_frozen() -> None:
    text = f"base resnet18; {DATA}; {TEXT}"
    diff = recipe.diff(text, f"{text}; freeze body")
    (group,) = diff.groups
    assert (dict(group.before), dict(group.after), len(group.names)) == ({"weight_decay": 0.1}, {"frozen": True}, 60)
    assert "60 parameters: trained → frozen" in diff.to_text()


def test_options_of_frozen_parameters_have_no_effect() -> None:
    program = recipe.compile(f"{DATA}; {TEXT}; freeze body; lr layers 0.5", base=small(), device="meta")
    assert [warning.message for warning in program.warnings] == [
        "`lr layers` has no effect: it changes the options of no parameter"
    ]


def test_a_loop_of_ones_own_is_told_about_freezing() -> None:
    batches = recipe.batches(recipe.compile(f"{DATA}; {TEXT}; freeze body", base=small()), device="cpu")
    assert "freeze body" in batches.not_included
    assert all(parameter.requires_grad for parameter in batches.program.model.parameters())


# ---- plugins


def made(told: Callable[[Net, Progress], list[str]]) -> type[Trick]:
    @trick("hold", writes=("frozen",))
    class Hold(Trick):
        """Freeze something."""

        def frozen(self, net: Net, progress: Progress) -> list[str]:
            return told(net, progress)

    return Hold


def test_a_trick_that_looks_at_weights_is_asked_at_each_step(tmp_path: Path) -> None:
    """Weights on the meta device have no values, so what depends on them is never frozen for the entire training."""
    hold = made(lambda net, progress: ["conv1.weight"] if float(net.graph_module.conv1.weight.detach().sum()) else [])
    program = recipe.compile(f"{DATA}; {TEXT}; hold", base=small(), plugins=vocabulary_with(hold))
    assert [use.word for use, _ in program.freezing.changing] == ["hold"]
    before = program.model.state_dict()["conv1.weight"].clone()
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    assert torch.equal(run.model.state_dict()["conv1.weight"], before)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["nothing"], "E080.*the model has no parameter or module `nothing`"),
        (["conv1", "bn1", "layer1", "layer2", "fc"], "E080.*it freezes every parameter"),
        ([""], "E080.*it freezes every parameter"),
    ],
)
def test_mistakes_of_plugins_are_reported(tmp_path: Path, told: list[str], said: str) -> None:
    program = recipe.compile(
        f"{DATA}; {TEXT}; hold", base=small(), plugins=vocabulary_with(made(lambda net, progress: told))
    )
    with pytest.raises(RecipeError, match=said):
        recipe.run(program, out=tmp_path / "run", device="cpu")


# ---- locks of earlier releases

OLD = """# plan v2 e26b1eb67f2e0006
# text fce7f19fd6eca9ef
dialect paper
base timm:test_resnet
init xavier gain=1
data fake size=32 classes=10 images=16 workers=0
batch total=8
epochs count=4
optimizer nag momentum=0.9
lr rate=0.1 every=batch
decay rate=0.0001
freeze start=0.25 level=0.7
loss aux=0.4
precision format=fp32
layout order=channels-last
seed number=0
"""
"""The lock of a run in which `freeze` was what `freeze gradual` is now."""


def test_a_lock_with_the_former_word_means_the_same(tmp_path: Path) -> None:
    (tmp_path / "recipe.lock").write_text(OLD)
    lock = read_lock(tmp_path)
    assert lock is not None
    assert not lock.edited
    plan = bind(tmp_path / "recipe.lock")
    (use,) = plan.hooked("frozen")
    assert (use.word, use.values) == ("freeze gradual", {"start": 0.25, "level": 0.7})
    assert plan.digest == lock.digest == "e26b1eb67f2e0006"


def test_only_a_lock_may_have_the_former_word(tmp_path: Path) -> None:
    (tmp_path / "old.recipe").write_text("".join(line for line in OLD.splitlines(True) if line[0] != "#"))
    with pytest.raises(RecipeError, match=r"E025(?s:.*)now `freeze gradual start=0.25 level=0.7`"):
        bind(tmp_path / "old.recipe")


def test_a_run_with_the_former_word_opens_and_resumes(tmp_path: Path) -> None:
    text = "base timm:test_resnet; data fake size=32 classes=10 images=16; batch 8; epochs 4; freeze gradual 0.25 0.7"
    with pytest.raises(recipe.Interrupted):
        recipe.run(text, out=tmp_path / "run", device="cpu", listener=Cut("epoch boundary"))
    (tmp_path / "run" / "recipe.lock").write_text(OLD)
    run = recipe.run(tmp_path / "run", out=tmp_path / "run", device="cpu", resume=True)
    assert run.summary["digest"] == "e26b1eb67f2e0006"
    assert recipe.load(tmp_path / "run", device="cpu").summary["epochs"] == 4
