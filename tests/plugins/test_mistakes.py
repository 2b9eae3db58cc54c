"""Mistakes of plugin authors are reported with the trick, the file, and a fix."""

from __future__ import annotations

from pathlib import Path

import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.plugins.vocabulary import Vocabulary

REWRITE = '''
"""focus: a rewrite."""
from recipe.api import Insert, Layer, SetAttribute, Site, Substitute, Trick, fail, trick


@trick("focus", writes=("branch",))
class Focus(Trick):
    """Rewrite something."""

    def rewrite(self, net):
        end = net.blocks[0].end
        act = Layer("LeakyReLU")
        {body}
'''

HOOK = '''
"""focus: a hook of a training."""
from recipe.api import Trick, trick


@trick("focus", writes=("{slot}",))
class Focus(Trick):
    """Do something."""

    def {head}:
        {body}
'''


def words(text: str, folder: Path) -> Vocabulary:
    (folder / "focus.py").write_text(text)
    return Vocabulary.installed([folder / "focus.py"])


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ('yield Site(end, (Insert("layer1.0.bn3", (("x", act),)),))', "E105", "`layer1.0.bn3`; did you mean"),
        ('yield Site(end, (Insert("layer1.0.relu", (("x", act),)),))', "E105", "such as `layer1.0.relu#1`"),
        ('yield Site(end, (Insert(end, (("x", Layer("LeakyRelu")),)),))', "E105", "did you mean `LeakyReLU`?"),
        ('yield Site(end, (Insert(end, (("x", Layer("nowhere:X")),)),))', "E105", "No module named 'nowhere'"),
        ('yield Site(end, (Insert(end, (("x", Layer("ELU", {"slope": 1})),)),))', "E105", "(slope=1) can't be created"),
        ('yield Site(end, (Insert(end, ("x", act)),))', "E105", "the chain of Insert must be a tuple of pairs"),
        ('yield Site(end, (Insert(end, (("x", "ELU"),)),))', "E105", "the chain of Insert must be a tuple of pairs"),
        ('yield Site(end, Insert(end, (("x", act),)))', "E105", "the edits of Site must be a tuple"),
        ('return [Site(b.where, (Insert(b.end, (("x", act),)),)) for b in net.blocks]', "E105", "`x` is already"),
        ("net.module(net.node(end)).eps = 0.3; yield Site(end)", "E105", "rewrite: it changes `layer1.0.bn2` directly"),
        ("net.graph_module.graph.erase_node([*net.nodes][-1]); yield Site(end)", "E105",
         "it changes `the graph` directly"),
        ('yield Site(end, (Insert(end, (("x", Layer("AvgPool2d", {"kernel_size": 2})),)),))', "E103", "at `add`"),
        ('yield Site(end, (Insert(end, (("x", Layer("Conv2d", {"in_channels": 3, "out_channels": 64, '
         '"kernel_size": 1})),)),))', "E103", "at `x`"),
    ],
)  # fmt: skip
def test_mistakes_in_a_rewrite(body: str, code: str, said: str, tmp_path: Path) -> None:
    vocabulary = words(REWRITE.format(body=body), tmp_path)
    with pytest.raises(RecipeError) as caught:
        recipe.compile("base resnet18; data fake size=32; focus", device="meta", plugins=vocabulary)
    (error,) = caught.value.diagnostics
    assert error.code == code
    assert said in error.message
    assert f"{tmp_path / 'focus.py'}" in error.message + error.help
    assert error.span is not None
    assert error.span.text == "focus"


@pytest.mark.parametrize(
    ("slot", "head", "body", "said"),
    [
        (
            "grads",
            "adjust(self, gradients, weights, progress)",
            "gradients[0].mul_(0)",
            "must return a tensor for each gradient, of its shape, dtype and device, not None",
        ),
        (
            "grads",
            "adjust(self, gradients, weights, progress)",
            "return gradients[1:]",
            "its shape, dtype and device, not a list of 61 tensors, torch.float32 on cpu",
        ),
        (
            "perturbation",
            "perturb(self, weights, gradients)",
            "pass",
            "must return an offset for each weight, of its shape, dtype and device, not None",
        ),
        (
            "inputs",
            "augment(self, images, draws)",
            "return images[:, :, 1:]",
            "dtype and device, not Tensor (4, 3, 31, 32), torch.float32 on cpu",
        ),
        (
            "mix",
            "mix(self, images, targets, draws)",
            "return images",
            "of the same dtypes and device, not Tensor (4, 3, 32, 32)",
        ),
        (
            "targets",
            "smooth_targets(self, targets)",
            "pass",
            "shape (N, K), dtype and device, not None",
        ),
        ("lr", "lr_factor(self, progress)", "pass", "must return a number of at least 0, not None"),
        (
            "loss terms",
            "loss_term(self, context)",
            "return context.logits",
            "must return a tensor with one number, not ",
        ),
        (
            "loss",
            "loss(self, logits, targets)",
            "return 0.5",
            "one number that depends on the logits, not 0.5",
        ),
        (
            "groups",
            "param_options(self, name, parameter, module, place)",
            "pass",
            "must return a mapping from options to values, not None",
        ),
        (
            "frozen",
            "frozen(self, net, progress)",
            "pass",
            "must return an iterable of names of parameters and addresses of modules, not None",
        ),
        (
            "resolution",
            "resolution(self, side, progress)",
            "return side / 2",
            "must return a whole number of pixels from 1 to the side, not ",
        ),
    ],
)
def test_wrong_results_of_hooks(slot: str, head: str, body: str, said: str, tmp_path: Path) -> None:
    vocabulary = words(HOOK.format(slot=slot, head=head, body=body), tmp_path)
    text = "base resnet18; data fake size=32 classes=10 images=8; batch 4; epochs 1; focus"
    with pytest.raises(RecipeError) as caught:
        recipe.run(text, out=tmp_path / "x", device="cpu", plugins=vocabulary)
    (error,) = caught.value.diagnostics
    assert (error.code, said in error.message) == ("E080", True), error.message
    assert f"`focus` from {tmp_path / 'focus.py'} is broken: {head.partition('(')[0]}: " in error.message


def test_tricks_that_together_freeze_all_parameters(tmp_path: Path) -> None:
    text = HOOK.format(
        slot="frozen",
        head="frozen(self, net, progress)",
        body='return [n for n in net.parameter_names if n != "fc.bias"]',
    )
    other = text.partition("import Trick, trick")[2].replace("focus", "other").replace("Focus", "Other")
    other = other.replace("n != ", "n == ")
    with pytest.raises(RecipeError, match=r"E102.*together, the tricks freeze all"):
        recipe.run(
            "base resnet18; data fake size=32 classes=10 images=8; batch 4; epochs 1; focus; other",
            out=tmp_path / "x",
            device="cpu",
            plugins=words(text + other, tmp_path),
        )


def test_a_plugin_file_may_use_layers_of_a_file_next_to_it(tmp_path: Path) -> None:
    layers = "import torch\n\nclass Scale(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n"
    (tmp_path / "focus_layers.py").write_text(layers)
    body = 'yield Site(end, (Insert(end, (("x", Layer("focus_layers:Scale")),)),))'
    program = recipe.compile("base resnet18; focus", plugins=words(REWRITE.format(body=body), tmp_path))
    assert type(program.model.x).__name__ == "Scale"


def test_a_rewritten_model_counts_as_already_applied(tmp_path: Path) -> None:
    (tmp_path / "own_layers.py").write_text(
        "import torch\n\nclass Scale(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n"
    )
    body = (
        'done = type(net.module(net.node(end))).__name__ == "Scale"; '
        'yield Site(end, () if done else (Insert(end, (("x", Layer("own_layers:Scale")),), after=True),))'
    )
    vocabulary = words(REWRITE.format(body=body), tmp_path)
    once = recipe.compile("base resnet18; focus", plugins=vocabulary)
    again = recipe.compile("focus", base=once.model, plugins=vocabulary)
    assert (once.sites, again.sites["focus"]) == ({**once.sites, "focus": 1}, 0)
    assert "focus: already applied at 1 site" in again.notes


def test_two_sites_with_the_same_address_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E105.*several sites have the address `layer1.0.bn2`"):
        recipe.compile(
            "base resnet18; focus", plugins=words(REWRITE.format(body="yield Site(end); yield Site(end)"), tmp_path)
        )


def test_files_whose_layers_have_the_same_name_are_distinguished_or_rejected(tmp_path: Path) -> None:
    def file(folder: str, word: str, name: str) -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text("import torch\n\nclass Scale(torch.nn.Identity): ...\n")
        path = tmp_path / folder / f"{word}.py"
        body = f'yield Site(end, (Insert(end, (("{word}", Layer("{name}:Scale")),)),))'
        path.write_text(REWRITE.format(body=body).replace('"focus"', f'"{word}"'))
        return path

    one, other, third = file("a", "first", "gates"), file("b", "second", "gates"), file("b", "third", "others")
    with pytest.raises(
        RecipeError, match=r"E080.*a/gates.py` and .*b/gates.py` have the same name(.|\n)*rename the one"
    ):
        Vocabulary.installed([one, other])
    program = recipe.compile("base resnet18; first; third", plugins=Vocabulary.installed([one, third]))
    assert type(program.model.first) is not type(program.model.third)


def test_a_need_that_no_package_registers_is_an_error(tmp_path: Path) -> None:
    text = REWRITE.format(body="yield Site(end)").replace('@trick("focus"', '@trick("focus", needs=("lr warmpu",)')
    with pytest.raises(RecipeError, match=r"E031.*no package registers; `focus` is from(.|\n)*meant `lr warmup`"):
        recipe.compile("base resnet18; focus", plugins=words(text, tmp_path))


def test_a_missing_plugin_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E080.*file not found: `.*nowhere.py`"):
        Vocabulary.installed([tmp_path / "nowhere.py"])


def test_a_word_reserved_by_the_language(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E081.*`include` is part of the language itself"):
        words(REWRITE.format(body="yield Site(end)").replace('"focus"', '"include"'), tmp_path)


def test_a_file_given_twice_is_loaded_once(tmp_path: Path) -> None:
    words(REWRITE.format(body="yield Site(end)"), tmp_path)
    path = tmp_path / "focus.py"
    vocabulary = Vocabulary.installed([path, tmp_path / "." / "focus.py"])
    assert vocabulary.packages(("focus", None)) == [str(path)]
