"""Loss terms read the outputs of layers, which are those of the same layers in the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

import recipe
from recipe.api import LossContext, Net, Trick, choice, trick
from recipe.base.errors import RecipeError
from recipe.graph.features import feature_node, with_features
from recipe.graph.shapes import propagate
from recipe.graph.trace import trace
from recipe.training.teachers import teaching
from tests.helpers import vocabulary_with

FAKE = "base resnet18; init stock; data fake classes=4 images=8 size=32; batch 4; epochs 1; lr 0.01"
PLACES = ("layer4", "layer4.1.bn2", "avgpool", "relu#1", "layer1.0.relu", "layer9", "layer3.0.conv")


@trick("loss near", writes=("loss terms",))
class Near(Trick):
    """Draw the outputs of a layer toward zero."""

    at: str = choice("a", "the layer", of=tuple("abcdefg"))

    def features(self, net: Net) -> Mapping[str, str]:
        return {"mine": PLACES["abcdefg".index(self.at)]}

    def loss_term(self, context: LossContext) -> Tensor:
        return context.features("mine").square().mean()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seen(model: nn.Module, address: str, inputs: Tensor) -> Tensor:
    """Return the output of a module of a model that is not a graph."""
    found: list[Tensor] = []
    handle = model.get_submodule(address).register_forward_hook(
        lambda module, args, output: found.append(output.clone())
    )
    model(inputs)
    handle.remove()
    return found[0].detach()


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("resnet18", ("layer1", "layer4.1", "layer4.1.bn2", "avgpool", "bn1")),
        ("shufflenet_v2_x0_5", ("stage3", "conv5", "stage2.0.branch1")),
        ("vgg11", ("features", "features.7", "classifier")),
    ],
)
def test_features_are_the_outputs_of_the_modules(name: str, addresses: tuple[str, ...]) -> None:
    model = get_model(name, num_classes=4).eval()
    graph = trace(get_model(name, num_classes=4), name)
    graph.load_state_dict(model.state_dict())
    shapes = trace(get_model(name, num_classes=4).to("meta"), name)
    propagate(shapes, 32, name)
    for node, twin in zip(graph.graph.nodes, shapes.graph.nodes, strict=True):
        node.meta |= {key: twin.meta[key] for key in ("shape",) if key in twin.meta}
    outputs, features = with_features(graph.eval(), addresses)(images())
    assert outputs.equal(graph(images()))
    for address in addresses:
        torch.testing.assert_close(features[address].detach(), seen(model, address, images()))


def test_a_layer_behind_a_rewrite_keeps_its_address() -> None:
    program = recipe.compile("base resnet18; tweak C D", size=64, device="meta")
    net = Net(program.structure)
    assert feature_node(net, "conv1").meta["shape"] == (2, 64, 32, 32)
    assert feature_node(net, "layer2.0.downsample").meta["shape"] == (2, 128, 8, 8)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("e", "`layer1.0.relu` is called 2 times; name one call, such as `layer1.0.relu#1`"),
        ("f", "the model has no layer at `layer9`; did you mean `layer"),
        ("g", "the model has no layer at `layer3.0.conv`; did you mean `layer3.0.conv"),
    ],
)
def test_a_layer_that_can_not_be_read_is_an_error_when_it_is_compiled(at: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.compile(f"{FAKE}; loss near {at}", device="meta", plugins=vocabulary_with(Near))
    (error,) = caught.value.diagnostics
    assert error.code == "E101"
    assert error.message.startswith("`loss near` can't read a layer of `resnet18`: ")
    assert said in error.message


def test_a_run_trains_with_the_gradient_of_the_features(tmp_path: Path) -> None:
    words = vocabulary_with(Near)
    program = recipe.compile(FAKE, "batch 8; loss near a", plugins=words)
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    model = recipe.compile(FAKE, "batch 8").model.to(memory_format=torch.channels_last)
    plain = recipe.compile(FAKE, "batch 8")
    (batch,) = (batches := recipe.batches(plain, device="cpu")).training()
    optimizer = plain.optimizer(model)
    plain.set_lr(optimizer, 0, 1)
    found: dict[str, Tensor] = {}
    last = next(node for node in reversed([*model.graph.nodes]) if node.target == "layer4.1.relu")
    assert last.users
    model.get_submodule("layer4.1.relu").register_forward_hook(lambda module, args, output: found.update(last=output))
    loss = batches.loss(model.train()(batch.images), batch) + found["last"].square().mean()
    loss.backward()
    optimizer.step()
    state = model.state_dict()
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-5, atol=1e-6)
    assert not any("features" in str(line) for line in run.metrics)
    with pytest.raises(RecipeError, match="reads the outputs of layers, which only a run collects"):
        recipe.batches(program, device="cpu")


def test_the_graph_with_features_compiles_as_one(tmp_path: Path) -> None:
    program = recipe.compile(FAKE)
    featured = with_features(program.model.eval(), ["layer4", "avgpool"])
    compiled = torch.compile(featured, fullgraph=True, backend="eager")
    (outputs, features), (expected, others) = compiled(images()), featured(images())
    assert outputs.equal(expected)
    assert all(features[name].equal(others[name]) for name in others)


def test_a_name_that_the_hook_does_not_give_is_the_fault_of_the_trick(tmp_path: Path) -> None:
    @trick("loss other", writes=("loss terms",))
    class Other(Trick):
        """Read what it doesn't name."""

        def loss_term(self, context: Any) -> Tensor:
            return context.features("layer4").mean()  # type: ignore[no-any-return]

    with pytest.raises(RecipeError, match="the hook `features` names no `layer4`"):
        recipe.run(FAKE, "loss other", plugins=vocabulary_with(Other), out=tmp_path / "run", device="cpu")


def test_a_teacher_gives_its_features() -> None:
    program = recipe.compile(FAKE)
    teacher = teaching(program, torch.device("cpu"))
    taught = LossContext(torch.zeros(2, 4), torch.zeros(2, 4), images(), torch.zeros(()), {"a": teacher})
    model = get_model("resnet18", num_classes=4)
    model.load_state_dict(program.model.state_dict())
    torch.testing.assert_close(taught.teach_features("a", "layer3"), seen(model.eval(), "layer3", images()))
    assert taught.teach("a").equal(program.model(images()))
    assert not taught.teach_features("a", "layer3").requires_grad
    with pytest.raises(KeyError, match="the model has no layer at `layer7`"):
        taught.teach_features("a", "layer7")
