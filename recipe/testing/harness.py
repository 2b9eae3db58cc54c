"""Bind, compile and train the recipes that the checks use, each of them once."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn
from torch.utils.data import Dataset

from recipe.base.errors import Diverged, RecipeError
from recipe.base.source import Source
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.compiler.summarise import describe
from recipe.compiler.summary import ProgramSummary
from recipe.inference.batches import Batch, Loaded
from recipe.language.overlays import module_source
from recipe.language.parser import parse
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.state import TrainingState
from recipe.testing.isolated import Seen, layered
from recipe.testing.models import network
from recipe.training.api import run
from recipe.training.reporting import Listener
from recipe.training.runtime import Runtime

SETTINGS = "batch 8; epochs 2; lr 0.05"
BASE = f"data fake size=32 classes=10 images=16; {SETTINGS}"
"""The start of every test recipe that doesn't bring its own dataset: two epochs of two steps each."""


@attrs.frozen
class Case:
    """A test recipe: layers, each applied on top of those before it, and the network that they rewrite.

    If a layer names a model with ``base``, that model is used instead.
    """

    layers: tuple[str, ...] = (BASE,)
    network: str = "small"

    def over(self, *texts: str) -> Case:
        """Return the recipe with more layers on top."""
        return attrs.evolve(self, layers=(*self.layers, *filter(None, texts)))

    def __str__(self) -> str:
        return " | ".join(self.layers[1:]) or self.layers[0]


@attrs.frozen
class Outcome:
    """The results of a training run, except times, and its requests to the device, `torch.compile` and the loader."""

    weights: str
    metrics: tuple[tuple[Any, ...], ...]
    code: str
    asked: str
    """The requested precision. A precision that the device substitutes does not count as an effect of a trick."""
    handed: tuple[tuple[str, Any], ...]
    """The settings passed to `torch.compile` and the image loader, without duplicates: a teacher only trains once."""
    diverged: str = ""


def weights_digest(model: nn.Module) -> str:
    """Return a digest of every bit of a model's state, including its memory layout."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.stride()}".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Quick(Runtime):
    """A runtime that skips plots, `torch.compile` and worker processes. Without ``saving``, it skips checkpoints too.

    ``handed`` records the settings that `torch.compile` and the loader would have received.
    """

    def __init__(self, saving: bool = True) -> None:
        self.saving = saving
        self.handed: list[tuple[str, Any]] = []

    def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> nn.Module:
        self.handed.append(("compiled", mode))
        return model

    def load(self, dataset: Dataset[Loaded], steps: Iterable[int], workers: int, pin: bool) -> Iterator[Batch]:
        self.handed.append(("workers", workers))
        return super().load(dataset, steps, 0, pin)

    def save(self, folder: Path, state: TrainingState, keep: int) -> None:
        if self.saving:
            super().save(folder, state, keep)

    def draw(self, folder: Path) -> str:
        return ""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread within a context, since networks this small don't benefit from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@attrs.define(eq=False, slots=False)
class Harness:
    """The state that the checks of a package share: its vocabulary, its authors' hints, and cached results."""

    vocabulary: Vocabulary
    company: Mapping[str, str] = attrs.field(factory=dict)
    values: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)
    elsewhere: Mapping[str, str] = attrs.field(factory=dict)
    plugins: tuple[Path, ...] = ()
    words: tuple[str, ...] = ()
    """The tricks under test."""
    seen: dict[str, Seen] = attrs.field(factory=dict)
    """Observations about the tricks from a separate process."""
    _outcomes: dict[Case, Outcome | RecipeError] = attrs.field(factory=dict)
    _programs: dict[Case, Program] = attrs.field(factory=dict)
    _runs: int = 0

    @cached_property
    def folder(self) -> Path:
        """A folder for runs, removed together with the harness."""
        folder = tempfile.mkdtemp(prefix="recipe-testing-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def plan(self, case: Case) -> Plan:
        """Return the plan of a case. Raises `RecipeError`."""
        base = [] if self.stock(case) else [module_source()]
        return bind([*base, *layered(case.layers)], self.vocabulary)

    def stock(self, case: Case) -> bool:
        """Whether a case names its own model."""
        recipes = [parse(Source("<recipe>", text, Path.cwd()))[0] for text in case.layers]
        said = {statement.verb.text for recipe in recipes for statement in recipe.statements}
        return not case.network or "base" in said

    def program(self, case: Case, device: str = "cpu", fresh: bool = False) -> Program:
        """Return the compiled program of a case, with a new model each time. Raises `RecipeError`.

        Reuses the graph from an earlier call with the same case, unless ``fresh`` is set.
        """
        if fresh or case not in self._programs:
            base = None if self.stock(case) else network(case.network)
            program = lower(self.plan(case), base=base)
            if fresh:
                return attrs.evolve(program, device=device)
            self._programs[case] = program
        return attrs.evolve(self._programs[case], device=device, model=[])

    def facts(self, case: Case, fresh: bool = False) -> ProgramSummary:
        """Return the summary of a compiled case. For ``fresh``, see `program`."""
        return describe(self.program(case, "meta", fresh))

    def outcome(self, case: Case, fresh: bool = False) -> Outcome:
        """Train a case and return the outcome, cached unless ``fresh`` is set.

        Raises `RecipeError` for a case that can't be trained.
        """
        if fresh:
            return self._train(case, fresh)
        if case not in self._outcomes:
            try:
                self._outcomes[case] = self._train(case)
            except RecipeError as error:
                self._outcomes[case] = error
        outcome = self._outcomes[case]
        if isinstance(outcome, RecipeError):
            raise outcome
        return outcome

    @one_thread()
    def _train(self, case: Case, fresh: bool = False) -> Outcome:
        program, quick = self.program(case, fresh=fresh), Quick(saving=False)
        asked = program.training.precision
        with self.place() as out:
            try:
                done = run(program, out=out, device="cpu", listener=Listener(), plugins=self.vocabulary, runtime=quick)
            except Diverged as error:
                return Outcome("", (), program.model.code, asked, (), str(error))
            metrics = [tuple(v for k, v in line.items() if k != "images_per_second") for line in done.metrics]
        handed = tuple(dict.fromkeys(quick.handed))
        return Outcome(weights_digest(done.model), tuple(metrics), done.model.code, asked, handed)

    @contextlib.contextmanager
    def place(self) -> Iterator[Path]:
        """Yield a folder for one run and remove it afterwards. The run folders of teachers, next to it, are kept."""
        self._runs += 1
        out = self.folder / f"run-{self._runs}"
        try:
            yield out
        finally:
            shutil.rmtree(out, ignore_errors=True)
