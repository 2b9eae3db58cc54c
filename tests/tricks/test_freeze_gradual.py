"""Layer freezing: which layers freeze when. Frozen parameters neither change nor get a gradient."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import recipe
from recipe.api import Trick, trick
from recipe.plugins.progress import Progress
from recipe.tricks.freeze_gradual import first_layers, rising
from tests.helpers import bind, vocabulary_with
from tests.tricks.steps import steps

NAMES = [name for name, _ in recipe.compile("base resnet18", device="meta").model.named_parameters()]
TEXT = "batch 8; epochs 4; lr 0.05; decay 0.1; freeze gradual 0.25 0.9"  # 12 steps, 9 of which freeze layers


@given(part=st.floats(0, 1, exclude_max=True))
def test_whole_layers_freeze_in_order_except_the_last(part):
    found = first_layers(NAMES, part)
    assert NAMES[: len(found)] == found
    assert not {"fc.weight", "fc.bias"} & set(found)
    layers = {name.rpartition(".")[0] for name in NAMES}
    assert len({name.rpartition(".")[0] for name in found}) == int(part * len(layers))
    assert not {name.rpartition(".")[0] for name in found} & {name.rpartition(".")[0] for name in NAMES[len(found) :]}


@given(done=st.floats(0, 1), start=st.floats(0, 0.99), level=st.floats(0.01, 0.99))
def test_the_frozen_part_matches_composer(done, start, level):
    """Composer's layer freezing: level · (done − start) / (1 − start) after start."""
    assert rising(done, start, level) == pytest.approx(level * (done - start) / (1 - start) if done > start else 0)


def frozen(step, names, text=TEXT, steps_per_epoch=3):
    (use,) = bind(f"base resnet18; {text}").hooked("frozen")
    return set(use.trick.frozen(SimpleNamespace(parameter_names=names), Progress(step, steps_per_epoch, 4)))


@pytest.mark.parametrize("optimizer", ["nag", "adamw", "lars"])
def test_only_parameters_that_are_not_frozen_change(tmp_path, optimizer):
    found = steps(tmp_path / "run", f"{TEXT}; optimizer {optimizer}")
    names = [name for name, _ in found.start.named_parameters()]
    before, most = found.start.state_dict(), 0
    for step, after in enumerate(found.after):
        still = {name for name in names if torch.equal(before[name], after[name])}
        assert still == frozen(step, names)
        before, most = after, max(most, len(still))
    assert most > len(names) / 2


def test_frozen_parameters_get_no_gradient_and_require_one_after_the_step(tmp_path):
    counts, model = {}, []

    def look(trainer):
        for name, parameter in trainer.model.named_parameters():
            assert parameter.requires_grad
            if not model:
                parameter.register_post_accumulate_grad_hook(
                    lambda _, name=name: counts.update({name: counts[name] + 1})
                )
        if not model:
            model.append(trainer.model)
            counts.update(dict.fromkeys(names_of(trainer.model), 0))

    found = steps(tmp_path / "run", TEXT, seen=look)
    names = names_of(found.start)
    assert counts == {name: sum(name not in frozen(step, names) for step in range(1, 12)) for name in names}


def names_of(model):
    return [name for name, _ in model.named_parameters()]


def test_a_trick_gets_the_training_network_at_each_step(tmp_path):
    nets = []

    @trick("thaw", writes=("frozen",))
    class Thaw(Trick):
        """Freeze the first block."""

        def frozen(self, net, progress):
            nets.append(net)
            assert progress.epochs == 1
            return [name for name in net.parameter_names if name.startswith(f"{net.blocks[0].where}.")]

    text = "base resnet18; data fake size=32 classes=10 images=8; batch 4; epochs 1; decay 0.1; thaw"
    words = vocabulary_with(Thaw)
    run = recipe.run(text, out=tmp_path / "run", device="cpu", plugins=words)
    assert [next(net.graph_module.parameters()).is_meta for net in nets] == [True, True, False, False]
    assert nets[2] is nets[3]
    assert list(nets[2].parameter_names) == names_of(run.model)
    before = recipe.compile(text, plugins=words).model.state_dict()
    still = {name for name, value in run.model.named_parameters() if value.detach().equal(before[name])}
    assert still == {name for name in names_of(run.model) if name.startswith("layer1.0.")}


def test_running_statistics_are_still_updated(tmp_path):
    found = steps(tmp_path / "run", TEXT)
    assert found.after[-1]["bn1.num_batches_tracked"] == 12
