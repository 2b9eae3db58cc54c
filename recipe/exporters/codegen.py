"""Generate plain PyTorch statements that apply edits to the stock model, and the resulting names of tensors."""

from __future__ import annotations

import contextlib
import copy
import itertools
import keyword
import math
import operator
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

from recipe.base.errors import fail
from recipe.base.printable import python_string
from recipe.compiler.program import Program, Step
from recipe.compiler.weights import stock_model
from recipe.graph.edits import Initialise, Insert, Layer, SetAttribute, Site, Substitute
from recipe.graph.shapes import on_meta
from recipe.plugins.calling import call_hook
from recipe.plugins.uses import Use

WIDTH = 120
PACKAGES = ("torch", "torchvision", "timm")
"""The packages from which exported source may import layers."""


class Untold(Exception):
    """An edit that plain PyTorch can't express. The message is the reason."""


@attrs.frozen
class Call:
    """A call in source. Arguments are pairs of a name, ``""`` if positional, and an expression or another call."""

    function: str
    arguments: tuple[tuple[str, str | Call], ...] = ()

    def __str__(self) -> str:
        shown = [f"{name}={value}" if name else str(value) for name, value in self.arguments]
        return f"{self.function}({', '.join(shown)})"


def laid_out(value: str | Call, indent: int, before: str, after: str = "") -> str:
    """Return source between two texts, on one line if it fits, or else as a call with one argument per line."""
    margin = " " * indent
    line = f"{margin}{before}{value}{after}"
    if isinstance(value, str) or len(line) <= WIDTH or not value.arguments:
        return line
    inner = [laid_out(part, indent + 4, f"{name}=" if name else "", ",") for name, part in value.arguments]
    return "\n".join([f"{margin}{before}{value.function}(", *inner, f"{margin}){after}"])


def called(layer: Layer, imports: set[tuple[str, str]]) -> Call:
    """Return the call that creates a layer, and add its imports to ``imports``. Raises `Untold`."""
    arguments = tuple((name, literal(value)) for name, value in layer.arguments.items())
    if ":" not in layer.kind:
        return Call(f"nn.{layer.kind}", arguments)
    module, _, name = layer.kind.partition(":")
    if module.split(".")[0] not in PACKAGES:
        raise Untold(f"it uses `{name}` of `{module}`, which is not part of torch, torchvision or timm")
    imports.add((module, name))
    return Call(name, arguments)


def literal(value: Any) -> str:
    """Return a value as source. Raises `Untold`."""
    if isinstance(value, str):
        return python_string(value)
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(literal, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)" if len(value) == 1 else f"({inner})"
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    raise Untold(f"it sets a value that is not a number, a string or a tuple of those: {value!r}")


class Codegen:
    """The statements that apply all edits of a program, and the places of its graph's modules in the module tree.

    Raises `RecipeError` (E121) for an edit that does not change a module.
    """

    def __init__(self, program: Program) -> None:
        self.imports: set[tuple[str, str]] = set()  # pairs of a module and a name in it
        self.lines: list[str] = []
        self._moved: dict[str, str] = {}
        base = program.plan.base
        with _told(base):
            own = program.module is not None
            constructor = None if own else call_hook(base, "constructor", program.classes)
            if constructor is None:
                whose = "a model of your own" if own else f"a model of {base.declared.package}"
                raise Untold(f"it is {whose}, whose constructor is unknown")
            self.built = called(constructor, self.imports)
        stock = on_meta(lambda: stock_model(program.plan, program.classes))
        self._stock = frozenset(name for name, _ in stock.named_modules())
        self._kinds = {name: type(module).__name__ for name, module in program.structure.named_modules()}
        for step in program.steps:
            use = program.plan.find(step.word)
            assert use is not None
            with _told(use):
                self._step(step, use.rewriting)

    def place(self, address: str) -> str:
        """Return the place in the exported module tree of the module or tensor at an address of the graph."""
        if address in self._moved:
            return self._moved[address]
        parent, dot, leaf = address.rpartition(".")
        return f"{self.place(parent)}.{leaf}" if dot else address

    def _step(self, step: Step, summary: str) -> None:
        """Add the statements of one trick under a comment that names it, with a loop over sites that change alike."""
        done = []
        for site in step.sites:
            alike = copy.deepcopy(self)._site(site, "block", 8)
            done.append((site.where, alike, self._site(site, "", 4)))
        if not any(plain for _, _, plain in done):
            return
        comment = textwrap.wrap(f"{step.word}: {summary}", WIDTH - 6)
        self.lines += ["", *(f"    # {line}" for line in comment)]
        for alike, group in itertools.groupby(done, key=operator.itemgetter(1)):
            sites = list(group)
            if len(sites) == 1 or not alike:
                self.lines += sites[0][2]
            else:
                blocks = Call("", tuple(("", path(self.place(where))) for where, _, _ in sites))
                self.lines += [laid_out(blocks, 4, "for block in ", ":"), *alike]

    def _site(self, site: Site, block: str, indent: int) -> list[str]:
        """Return the statements for a site. ``block`` names the variable that holds the module there, if any."""
        root = self.place(site.where)
        edits = (edit for edit in site.edits if not isinstance(edit, Initialise))  # the weights are loaded
        return [laid_out(value, indent, before) for before, value in (self._edit(edit, root, block) for edit in edits)]

    def _edit(self, edit: SetAttribute | Substitute | Insert, root: str, block: str) -> tuple[str, str | Call]:
        """Return the target and the value of an assignment."""
        address, _, several = edit.address.partition("#")
        if several:
            raise Untold(f"it edits one of several calls of `{address}`, which share a single module")
        if address not in self._stock and address not in self._moved:
            raise Untold(f"it edits `{address}`, which is an operation in a module's code, not a module")
        where = self.place(address)
        target = f"{block}{path(where[len(root) :], '')}" if block and where.startswith(f"{root}.") else path(where)
        match edit:
            case SetAttribute():
                return f"{target}.{edit.name} = ", literal(edit.after)
            case Substitute():
                return f"{target} = ", self._substitute(edit, where)
            case Insert():
                return f"{target} = ", self._insert(edit, where, target)

    def _substitute(self, edit: Substitute, where: str) -> Call:
        """Return the replacement for a module: a single layer unchanged, or several in a `Sequential`."""
        if not edit.chain:
            return Call("nn.Identity")
        if len(edit.chain) == 1:
            ((address, layer),) = edit.chain
            self._moved[address] = where
            return called(layer, self.imports)
        return self._sequential(self._named(edit, where))

    def _insert(self, edit: Insert, where: str, target: str) -> Call:
        """Return a `Sequential` of a module and the layers before or after it."""
        kind = re.sub(r"\dd$", "", self._kinds.get(edit.address, "module")).lower()
        new = self._named(edit, where)
        while kind in dict(new):
            kind += "_"
        self._moved[edit.address] = f"{where}.{kind}"
        return self._sequential([(kind, target), *new] if edit.after else [*new, (kind, target)])

    def _named(self, edit: Substitute | Insert, where: str) -> list[tuple[str, str | Call]]:
        """Return the new layers of an edit, each with its name in the `Sequential` at a place."""
        names = _names(edit.address, [address for address, _ in edit.chain])
        self._moved |= {address: f"{where}.{name}" for (address, _), name in zip(edit.chain, names, strict=True)}
        return [(name, called(layer, self.imports)) for (_, layer), name in zip(edit.chain, names, strict=True)]

    def _sequential(self, children: list[tuple[str, str | Call]]) -> Call:
        if [name for name, _ in children] == [str(index) for index in range(len(children))]:
            return Call("nn.Sequential", tuple(("", child) for _, child in children))
        self.imports.add(("collections", "OrderedDict"))
        return Call("nn.Sequential", (("", Call("OrderedDict", tuple(children))),))


def path(address: str, root: str = "model") -> str:
    """Return the expression for a module, such as ``model.layer1[0].conv1``."""

    def step(part: str) -> str:
        if part.isascii() and part.isdecimal():
            return f"[{part}]"
        if _is_name(part):
            return f".{part}"
        return f".get_submodule({python_string(part)})"  # `block1-0` of torchvision's RegNets

    return root + "".join(map(step, address.removeprefix(".").split(".")))


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _names(address: str, chain: list[str]) -> list[str]:
    """Return names for the modules of a chain: ``0``, ``1``, or a part of the address, ``pool`` for ``conv1_pool``."""
    leaf = address.rpartition(".")[2]
    names = [name.rpartition(".")[2].removeprefix(f"{leaf}_") for name in chain]
    if names == [str(index) for index in range(len(names))] and all(name.startswith(f"{address}.") for name in chain):
        return names
    names = [name if _is_name(name) else f"layer_{re.sub(r'[^0-9a-zA-Z_]', '_', name)}" for name in names]
    return names if len({*names}) == len(names) else [f"{name}_{index}" for index, name in enumerate(names)]


@contextlib.contextmanager
def _told(use: Use) -> Iterator[None]:
    """Report an edit that can't be exported as an error (E121) that names its trick."""
    try:
        yield
    except Untold as error:
        help = "use `--to onnx` or `--to safetensors`, which support any graph"
        raise fail("E121", f"`{use.word}` can't be exported as plain PyTorch: {error}", use.span, help=help) from error
