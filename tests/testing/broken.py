"""Tricks with one mistake each, the check that finds it, and a part of its message."""

from __future__ import annotations

import attrs

HEAD = '''"""{syntax}: a trick of the tests."""

from __future__ import annotations

import attrs

from recipe.api import Initialise, Insert, Layer, Site, Substitute, Trick, choice, integer, number, trick
'''

CHECK = """    def check(self, plan):
        __import__("os").write(1, b"hello")
        return ()

"""

ALWAYS = """    def check(self, plan):
        if plan.find("augment mirror").during:
            raise ValueError("it must act in the whole training")
        return ()

"""

FLIP = """
@trick("augment mirror", writes=("inputs",))
class Mirror(Trick):
    '''Mirror each image from left to right with some probability.'''

    probability: float = number(0.5, "probability of mirroring", minimum=0, maximum=1)

    def augment(self, images, draws):
        import torch

        mirrored = torch.from_numpy(draws.uniform()[:, 0] < self.probability).to(images.device)
        return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
"""

PENALTY = """
@trick("loss even", writes=("loss terms",))
class Even(Trick):
    '''Draw the logits of an image toward each other.'''

    weight: float = number(0.1, "weight of their variance", minimum=0)
    most: float | None = number(None, "largest variance that counts", above=0)

    def loss_term(self, context):
        return self.weight * context.logits.var(1).clamp(max=self.most or float("inf")).mean()
"""

GENTLE = """
@trick("gentle", writes=("grads",))
class Gentle(Trick):
    '''Scale all gradients down.'''

    part: float = number(0.5, "factor of the gradients", above=0)

    def adjust(self, gradients, weights, progress):
        return [self.part * one for one in gradients]
"""

STEM = """
@trick("tweak bounded", writes=("stem",))
class Bounded(Trick):
    '''Bound the activations behind the first convolution.'''

    most: float = number(0.5, "largest activation", above=0)

    def rewrite(self, net):
        if net.stem is None:
            return
        address, conv = net.stem
        if any(name == f"{address}_bound" for name, _ in net.graph_module.named_modules()):
            yield Site(address)
            return
        layer = Layer("Hardtanh", {"min_val": -self.most, "max_val": self.most})
        yield Site(address, (Insert(address, ((f"{address}_bound", layer),), after=True),))
"""


INIT = """
@trick("init narrow", reads=("stem", "trunk"), writes=("init",))
class Narrow(Trick):
    '''Draw the weights of convolutions from a narrow interval.'''

    most: float = number(0.1, "largest weight", above=0)

    def rewrite(self, net):
        for address, kind, _ in net.layers():
            if kind == "conv":
                ends = {"a": -self.most, "b": self.most}
                yield Site(address, (Initialise(f"{address}.weight", "uniform", ends),))
"""

LEVEL = """
@trick("loss level", writes=("targets",))
class Level(Trick):
    '''Draw all targets toward the uniform distribution.'''

    part: float = number(0.1, "part that is uniform", minimum=0, maximum=1)

    def smooth_targets(self, targets):
        return (1 - self.part) * targets + self.part / targets.shape[1]
"""

DESCENT = """
@trick("optimizer plain", writes=("optimizer",))
class Plain(Trick):
    '''Update by plain gradient descent.'''

    part: float = number(1.0, "factor of the learning rate", above=0)

    def optimize(self, groups, rate):
        import torch

        part = self.part

        class Descent(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for weight in group["params"]:
                        if weight.grad is not None:
                            weight.sub_(weight.grad, alpha=part * group["lr"])

        return Descent(groups, {"lr": rate})
"""

FLOOR = """
@trick("lr floor", writes=("lr",))
class Floor(Trick):
    '''Scale the learning rate down near the end of the training.'''

    part: float = number(0.1, "factor of the learning rate", minimum=0, maximum=1)
    start: float = number(0.9, "part of the training before it", minimum=0, below=1)

    def lr_factor(self, progress):
        return self.part if progress.epoch / progress.epochs >= self.start else 1.0
"""

SOUND = {
    "augment mirror": FLIP,
    "loss even": PENALTY,
    "gentle": GENTLE,
    "tweak bounded": STEM,
    "init narrow": INIT,
    "loss level": LEVEL,
    "optimizer plain": DESCENT,
    "lr floor": FLOOR,
}


@attrs.frozen
class Broken:
    """A file with one mistake, the check that finds it, and a part of its message."""

    check: str
    syntax: str
    text: str
    said: str

    @property
    def file(self) -> str:
        return HEAD.format(syntax=self.syntax) + self.text

    @property
    def word(self) -> str:
        """The word of the trick, such as `loss even`."""
        return next(word for word in SOUND if f'("{word}"' in self.text or f"('{word}'" in self.text)


def but(text: str, before: str, after: str) -> str:
    """Return a correct trick with one change."""
    assert before in text
    return text.replace(before, after)


BROKEN = {
    "its module docstring lacks the syntax": Broken(
        "docstring", "mirrors images", FLIP, "start it with the syntax, a colon, and a description"
    ),
    "its docstring is not a sentence": Broken(
        "docstring",
        "augment mirror",
        but(FLIP, "'''Mirror each image from left to right with some probability.'''", "'''mirroring'''"),
        "one complete sentence",
    ),
    "it imports torch at the top of its module": Broken(
        "light", "augment mirror", "import torch\n" + FLIP, "imports torch"
    ),
    "it imports a name that needs torch": Broken(
        "light",
        "augment mirror",
        "from recipe.api import Net\n" + FLIP,
        "imports torch, which takes seconds: `from recipe.api import Net` (on_trial_",
    ),
    "it prints": Broken(
        "light",
        "augment mirror",
        but(FLIP, "    def augment", CHECK + "    def augment"),
        "prints to standard output",
    ),
    "it refuses a span": Broken(
        "spans", "augment mirror", but(FLIP, "    def augment", ALWAYS + "    def augment"), "can't be trained"
    ),
    "its default differs in each process": Broken(
        "canonical",
        "augment mirror",
        but(FLIP, "number(0.5,", 'number(__import__("os").getpid() % 997 / 2000 + 0.2,'),
        "has a different digest in another process",
    ),
    "a hook does not match its slot": Broken(
        "conflicts", "augment mirror", but(FLIP, 'writes=("inputs",)', 'writes=("run",)'), 'declare "inputs"'
    ),
    "it excludes an unknown trick": Broken(
        "conflicts",
        "augment mirror",
        but(FLIP, 'writes=("inputs",)', 'writes=("inputs",), excludes=("augment flop",)'),
        "did you mean `augment flip`?",
    ),
    "a field is ignored": Broken(
        "fields", "augment mirror", but(FLIP, "self.probability", "0.5"), "probability` has no effect"
    ),
    "it does nothing": Broken(
        "fields",
        "gentle",
        "\n@trick('gentle', writes=('grads',))\nclass Gentle(Trick):\n    '''Leave the gradients as they are.'''\n\n"
        "    def adjust(self, gradients, weights, progress):\n        return gradients\n",
        "has no effect on training",
    ),
    "a rewrite differs each time": Broken(
        "reversible",
        "tweak bounded",
        "CALLS = []\n"
        + but(STEM, '"max_val": self.most}', '"max_val": self.most, "inplace": len(CALLS) % 2 > 0}').replace(
            "        layer = ", "        CALLS.append(1)\n        layer = "
        ),
        "change different operations",
    ),
    "a rewrite applies again to its own result": Broken(
        "no-op",
        "tweak bounded",
        but(STEM, 'f"{address}_bound" for', '"never" for').replace(
            'f"{address}_bound",', 'f"{address}_bound{len(list(net.nodes))}",'
        ),
        "is not idempotent",
    ),
    "a rewrite claims a site in a model without one": Broken(
        "no-op",
        "tweak bounded",
        but(
            STEM,
            "            return\n        address, conv",
            "            yield Site('stem')\n            return\n        address, conv",
        ),
        "yields sites without edits",
    ),
    "a layer has an unregistered tensor": Broken(
        "parameters",
        "tweak bounded",
        but(STEM, 'Layer("Hardtanh"', 'Layer(f"{__name__}:Held"')
        + "\n\ndef Held(min_val, max_val):\n    import torch\n\n    made = torch.nn.Hardtanh(min_val, max_val)\n"
        "    made.held = torch.ones(1)\n    return made\n",
        "stays on the meta device",
    ),
    "a loss term is not finite": Broken(
        "shapes",
        "loss even",
        but(
            PENALTY,
            "context.logits.var(1)",
            "(4 * context.logits).exp().log().div(4).var(1)",
        ),
        "returns a term of nan",
    ),
    "a gradient of zero causes a division by zero": Broken(
        "shapes",
        "gentle",
        but(GENTLE, "[self.part * one for one in gradients]", "[self.part * one / one.norm() for one in gradients]"),
        "not finite",
    ),
    "a layer works for only one image size": Broken(
        "shapes",
        "tweak bounded",
        but(
            STEM,
            'layer = Layer("Hardtanh", {"min_val": -self.most, "max_val": self.most})',
            'shape = list(net.node(address).meta["shape"][1:])\n'
            '        layer = Layer("LayerNorm", {"normalized_shape": shape, "eps": self.most})',
        ),
        "on images of 64×64",
    ),
    "a mask stays on the CPU": Broken(
        "devices",
        "augment mirror",
        but(FLIP, ".to(images.device)", ""),
        "fails on a GPU: ",
    ),
    "images return to the CPU": Broken(
        "devices",
        "augment mirror",
        but(FLIP, "return torch.where(", "return torch.zeros(images.shape) + torch.where(").replace(
            "images.flip(3), images)", "images.flip(3), images).cpu()"
        ),
        "returns a tensor on the CPU for a batch on a GPU",
    ),
    "a loss term is a sum over the batch": Broken(
        "batches", "loss even", but(PENALTY, ".mean()", ".sum()"), "take the mean over the batch"
    ),
    "targets depend on their batch": Broken(
        "batches",
        "loss level",
        but(LEVEL, "self.part / targets.shape[1]", "self.part * targets.mean(0)"),
        "changes targets differently alone than in a batch",
    ),
    "an optimizer keeps its initial learning rate": Broken(
        "rates", "optimizer plain", but(DESCENT, 'group["lr"])', "rate)"), "changes weights at a learning rate of 0"
    ),
    "an image depends on its batch": Broken(
        "deterministic",
        "augment mirror",
        but(FLIP, "images.flip(3)", "images.flip(3) - 0.1 * images.mean()"),
        "changes an image differently in halves",
    ),
    "it draws random numbers from torch": Broken(
        "deterministic",
        "augment mirror",
        but(
            FLIP,
            "torch.from_numpy(draws.uniform()[:, 0] < self.probability)",
            "(torch.rand(len(images)) < self.probability)",
        ),
        "uses the global random number generators",
    ),
    "it keeps state between steps": Broken(
        "resume",
        "gentle",
        "KEPT = []\n"
        + but(
            GENTLE,
            "        return [self.part * one for one in gradients]",
            "        if progress.step == 0:\n            KEPT[:] = [0 * one for one in gradients]\n"
            "        KEPT[:] = [self.part * (one + kept) for one, kept in zip(gradients, KEPT)]\n"
            "        return [one.clone() for one in KEPT]",
        ),
        "does not resume bit for bit after an interruption (mid-epoch)",
    ),
    "a layer breaks the graph": Broken(
        "compiles",
        "tweak bounded",
        but(STEM, 'Layer("Hardtanh"', 'Layer(f"{__name__}:breaking"')
        + "\n\ndef breaking(min_val, max_val):\n    import torch\n\n    class Breaking(torch.nn.Hardtanh):\n"
        "        def forward(self, x):\n            torch._dynamo.graph_break()\n"
        "            return super().forward(x)\n\n"
        "    return Breaking(min_val, max_val)\n",
        "can't capture the network as one graph in training",
    ),
}
