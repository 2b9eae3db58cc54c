"""Edits as the statements of plain PyTorch that make them on the stock model, and the names that tensors have then."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import keyword
import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from recipe.base.errors import fail
from recipe.base.wording import summary_line
from recipe.compiler.program import Program, Step
from recipe.compiler.weights import stock_model
from recipe.graph.edits import Edit, Initialise, Insert, Layer, SetAttribute, Site, Substitute
from recipe.graph.shapes import on_meta
from recipe.plugins.calling import call_hook
from recipe.plugins.uses import Use

WIDTH = 120
PACKAGES = ("torch", "torchvision", "timm")
"""What exported source may import layers from."""


class Untold(Exception):
    """An edit that plain PyTorch has no words for; the message says why."""


@attrs.frozen
class Call:
    """A call in source, its arguments by name (``""``: by place), each an expression or another call."""

    function: str
    arguments: tuple[tuple[str, str | Call], ...]

    def __str__(self) -> str:
        return (
            f"{self.function}({', '.join(f'{name}={value}' if name else str(value) for name, value in self.arguments)})"
        )

    def laid_out(self, indent: int, before: str, after: str = "") -> str:
        """The source between two texts: on one line where it fits, else an argument a line."""
        line = f"{' ' * indent}{before}{self}{after}"
        if len(line) <= WIDTH or not self.arguments:
            return line
        inner = []
        for name, value in self.arguments:
            start = f"{name}=" if name else ""
            inner.append(
                value.laid_out(indent + 4, start, ",")
                if isinstance(value, Call)
                else f"{' ' * (indent + 4)}{start}{value},"
            )
        return "\n".join([f"{' ' * indent}{before}{self.function}(", *inner, f"{' ' * indent}){after}"])


def called(layer: Layer, imports: set[tuple[str, str]]) -> Call:
    """The call that makes a layer; what it needs is added to ``imports``. Raises `Untold`."""
    arguments = tuple((name, literal(value)) for name, value in layer.arguments.items())
    if ":" not in layer.kind:
        return Call(f"nn.{layer.kind}", arguments)
    module, _, name = layer.kind.partition(":")
    if module.split(".")[0] not in PACKAGES:
        raise Untold(f"it makes a `{name}` of `{module}`, which is neither torch, torchvision nor timm")
    imports.add((module, name))
    return Call(name, arguments)


def literal(value: Any) -> str:
    """A value as source. Raises `Untold`."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        inner = ", ".join(literal(part) for part in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)" if len(value) == 1 else f"({inner})"
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    raise Untold(f"it sets a value that is neither a number, a text nor a tuple of them: {value!r}")


@attrs.define
class Codegen:
    """The statements so far, and where the modules of the graph stand in the module tree that they make."""

    built: Call
    """What makes the stock model."""
    stock: frozenset[str]
    """The addresses of the stock model's modules."""
    kinds: dict[str, str]
    """The class of the module at each address of the graph."""
    moved: dict[str, str] = attrs.field(factory=dict)
    imports: set[tuple[str, str]] = attrs.field(factory=set)
    """Pairs of a module and a name in it."""
    lines: list[str] = attrs.field(factory=list)

    @classmethod
    def of(cls, program: Program) -> Codegen:
        """The surgery that makes all edits of a program. Raises `RecipeError` (E121) for one that is none."""
        imports: set[tuple[str, str]] = set()
        base = program.plan.base
        with _told(base):
            constructor = call_hook(base, "constructor", program.classes)
            if constructor is None:
                raise Untold(f"{base.declared.package} does not say what makes the model")
            built = called(constructor, imports)
        stock = on_meta(lambda: stock_model(program.plan, program.classes))
        kinds = {name: type(module).__name__ for name, module in program.structure.named_modules()}
        made = cls(built, frozenset(name for name, _ in stock.named_modules()), kinds, imports=imports)
        for step in program.steps:
            use = program.plan.find(step.word)
            assert use is not None
            with _told(use):
                made._step(step, summary_line(type(use.trick)))
        return made

    def place(self, address: str) -> str:
        """Where the module or tensor at an address of the graph stands in the exported module tree."""
        parts = address.split(".")
        for depth in range(len(parts), 0, -1):
            head = ".".join(parts[:depth])
            if head in self.moved:
                return self.moved[head] + address[len(head) :]
        return address

    def _step(self, step: Step, summary: str) -> None:
        """Add what one trick does under a comment that names it; what it does alike at several sites, in a loop."""
        done = []
        for site in step.sites:
            alike = list(copy.deepcopy(self)._site(site, "block", 8))
            done.append((site.where, alike, [*self._site(site, "", 4)]))
        if not any(plain for _, _, plain in done):
            return
        comment = textwrap.wrap(f"{step.word}: {summary}", WIDTH - 6)
        self.lines += ["", *(f"    # {line}" for line in comment)]
        for alike, group in itertools.groupby(done, key=lambda one: one[1]):
            sites = list(group)
            if len(sites) == 1 or not alike:
                self.lines += sites[0][2]
            else:
                blocks = Call("", tuple(("", path(self.place(where))) for where, _, _ in sites))
                self.lines += [blocks.laid_out(4, "for block in ", ":"), *alike]

    def _site(self, site: Site, block: str, indent: int) -> Iterator[str]:
        """The statements for a site; ``block`` is the name of the variable that holds the module there, if any."""
        root = self.place(site.where)
        for edit in site.edits:
            if not isinstance(edit, Initialise):  # the weights are loaded
                for before, value in self._edit(edit, root, block):
                    if isinstance(value, Call):
                        yield value.laid_out(indent, before)
                    else:
                        yield f"{' ' * indent}{before}{value}"

    def _edit(self, edit: Edit, root: str, block: str) -> Iterator[tuple[str, str | Call]]:
        assert not isinstance(edit, Initialise)
        self._check(edit)
        where = self.place(edit.address)
        target = f"{block}{path(where[len(root) :], '')}" if block and where.startswith(f"{root}.") else path(where)
        match edit:
            case SetAttribute():
                yield f"{target}.{edit.name} = ", literal(edit.after)
            case Substitute():
                yield f"{target} = ", self._substitute(edit, where)
            case Insert():
                yield f"{target} = ", self._insert(edit, where, target)

    def _check(self, edit: SetAttribute | Substitute | Insert) -> None:
        address, _, several = edit.address.partition("#")
        if several:
            raise Untold(f"it edits one of several calls of `{address}`, which is one module for all of them")
        if address not in self.stock and address not in self.moved:
            raise Untold(f"it edits `{address}`, which is no module, but a step in the code of one")

    def _substitute(self, edit: Substitute, where: str) -> Call:
        """What stands in the place of a module: one layer as it is, several in a `Sequential`."""
        if not edit.chain:
            return Call("nn.Identity", ())
        if len(edit.chain) == 1:
            ((address, layer),) = edit.chain
            self.moved[address] = where
            return called(layer, self.imports)
        names = _names(edit.address, [address for address, _ in edit.chain])
        self.moved |= {address: f"{where}.{name}" for (address, _), name in zip(edit.chain, names, strict=True)}
        return self._sequential(zip(names, (called(layer, self.imports) for _, layer in edit.chain), strict=True))

    def _insert(self, edit: Insert, where: str, target: str) -> Call:
        """A `Sequential` of a module and what comes before or after it."""
        kind = re.sub(r"\dd$", "", self.kinds.get(edit.address, "module")).lower()
        addresses = [address for address, _ in edit.chain]
        new = list(zip(_names(edit.address, addresses), (called(x, self.imports) for _, x in edit.chain), strict=True))
        own: tuple[str, str | Call] = (kind, target)
        while own[0] in dict(new):
            own = (f"{own[0]}_", target)
        self.moved |= {address: f"{where}.{name}" for address, (name, _) in zip(addresses, new, strict=True)}
        self.moved[edit.address] = f"{where}.{own[0]}"
        return self._sequential([own, *new] if edit.after else [*new, own])

    def _sequential(self, children: Iterable[tuple[str, str | Call]]) -> Call:
        children = list(children)
        if [name for name, _ in children] == [str(index) for index in range(len(children))]:
            return Call("nn.Sequential", tuple(("", child) for _, child in children))
        self.imports.add(("collections", "OrderedDict"))
        return Call("nn.Sequential", (("", Call("OrderedDict", tuple(children))),))


def path(address: str, root: str = "model") -> str:
    """The expression for a module: ``model.layer1[0].conv1``."""

    def step(part: str) -> str:
        if part.isdecimal():
            return f"[{part}]"
        return f".{part}" if _is_name(part) else f'.get_submodule("{part}")'  # `block1-0` of torchvision's RegNets

    return root + "".join(map(step, address.removeprefix(".").split(".")))


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _names(address: str, chain: list[str]) -> list[str]:
    """Names for the modules of a chain, from their addresses: ``0``, ``1``, or such as ``pool`` of ``conv1_pool``."""
    leaf = address.rpartition(".")[2]
    names = [name.rpartition(".")[2].removeprefix(f"{leaf}_") for name in chain]
    if names == [str(index) for index in range(len(names))] and all(name.startswith(f"{address}.") for name in chain):
        return names
    names = [name if _is_name(name) else f"layer_{re.sub(r'[^0-9a-zA-Z_]', '_', name)}" for name in names]
    return names if len({*names}) == len(names) else [f"{name}_{index}" for index, name in enumerate(names)]


@contextlib.contextmanager
def _told(use: Use) -> Iterator[None]:
    """Tell of what can't be exported with the trick that does it (E121)."""
    try:
        yield
    except Untold as error:
        help = "`--to onnx` and `--to safetensors` take any graph"
        raise fail("E121", f"`{use.word}` can't be told as plain PyTorch: {error}", use.span, help=help) from error
