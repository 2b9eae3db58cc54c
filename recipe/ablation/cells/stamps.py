"""Stamps: what the result of a cell depends on besides its plan, so that a cell is never taken for another one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from recipe.base.identity import digest, file_digest
from recipe.compiler.program import Program
from recipe.data.fingerprint import Fingerprint
from recipe.data.fingerprinting import fingerprint
from recipe.inference.datasets import open_sets
from recipe.inference.initial_weights import file_of_run
from recipe.plan.plan import Plan
from recipe.plugins.fingerprint import code_of_plugins
from recipe.runs.provenance import Classes, Data
from recipe.training.setup import named_files
from recipe.training.teachers import named_teachers


@attrs.frozen
class Stamps:
    """The images of an ablation, by the identity of the trick that opens them."""

    images: dict[str, tuple[Classes, Fingerprint, Fingerprint]]
    tests: dict[str, Fingerprint] = attrs.field(factory=dict)
    """The test images, where there are any. Runs don't depend on them."""
    _files: dict[Path, str] = attrs.field(factory=dict, repr=False)
    """The digests of files read so far."""

    @classmethod
    def of(cls, programs: Iterable[Program], local: bool) -> Stamps:
        """Fingerprint the images of each program. Each model must have their number of classes (E071).

        Unless training is ``local``, the images may be on other machines: only plugins and files are stamped.
        """
        images: dict[str, tuple[Classes, Fingerprint, Fingerprint]] = {}
        tests = dict[str, Fingerprint]()
        for program in programs if local else ():
            named = _named(program.plan)
            if named not in images:
                sets = open_sets(program.plan)
                classes = Classes(sets.classes, sets.names)
                images[named] = classes, fingerprint(sets.train), fingerprint(sets.val)
                if sets.test is not None:
                    tests[named] = fingerprint(sets.test)
            program.check_classes(images[named][0].count)
        return cls(images, tests)

    def stamp(self, plan: Plan) -> str:
        """Return eight digits for what a plan's digest omits: images, files and plugins, and those of its teachers."""
        return digest("\n".join(sorted({*self._parts(plan)})).encode())[:8]

    def data(self, plan: Plan) -> tuple[Classes, Data] | None:
        """Return the classes and the data that a plan's run must have, or None if they may be on other machines."""
        if (images := self.images.get(_named(plan))) is None:
            return None
        classes, training, held_out = images
        return classes, Data(training, held_out, named_files(plan, self._digest), self.tests.get(_named(plan)))

    def _parts(self, plan: Plan) -> Iterator[str]:
        code = sorted(code_of_plugins(plan.uses).values())
        images = [attrs.asdict(part) for part in self.images.get(_named(plan), ())]
        yield json.dumps([images, named_files(plan, self._digest), code], sort_keys=True)
        for named in named_teachers(plan):
            if named.is_run:
                weights = file_of_run(Path(named.file.path))
                yield "" if weights is None else self._digest(weights)
            else:
                yield from self._parts(named.plan)

    def _digest(self, path: Path) -> str:
        if path not in self._files:
            self._files[path] = file_digest(path)
        return self._files[path]


def _named(plan: Plan) -> str:
    """Identify the images of a plan, regardless of how they are loaded."""
    return json.dumps([plan.images.word, plan.images.identity()], sort_keys=True) if plan.images else ""
