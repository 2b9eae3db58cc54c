"""Stamps: what the result of a cell depends on besides its plan, so that a cell is never taken for another one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from recipe.base.identity import digest, file_digest
from recipe.compiler.program import Program
from recipe.data.fingerprint import fingerprint
from recipe.plan.plan import Plan
from recipe.plugins.fingerprint import code_of_plugins
from recipe.training.setup import named_files, open_sets
from recipe.training.teachers import named_teachers


@attrs.frozen
class Stamps:
    """The images of an ablation, by the identity of the trick that opens them."""

    images: dict[str, Any]
    _files: dict[Path, str] = attrs.field(factory=dict, repr=False)
    """The digests of files read so far."""

    @classmethod
    def of(cls, programs: Iterable[Program], local: bool) -> Stamps:
        """Fingerprint the images of each program. Each model must have their number of classes (E071).

        Unless training is ``local``, the images may be on other machines: only plugins and files are stamped.
        """
        images: dict[str, Any] = {}
        for program in programs if local else ():
            named = _named(program.plan)
            if named not in images:
                sets = open_sets(program.plan)
                parts = [attrs.asdict(fingerprint(part)) for part in (sets.train, sets.val)]
                images[named] = [sets.classes, sets.names, *parts]
            program.check_classes(images[named][0])
        return cls(images)

    def stamp(self, plan: Plan) -> str:
        """Return eight digits for what a plan's digest omits: images, files and plugins, and those of its teachers."""
        return digest("\n".join(sorted({*self._parts(plan)})).encode())[:8]

    def _parts(self, plan: Plan) -> Iterator[str]:
        code = sorted(code_of_plugins(plan.uses).values())
        yield json.dumps([self.images.get(_named(plan)), named_files(plan, self._digest), code], sort_keys=True)
        for _, _, teacher in named_teachers(plan):
            yield from self._parts(teacher)

    def _digest(self, path: Path) -> str:
        if path not in self._files:
            self._files[path] = file_digest(path)
        return self._files[path]


def _named(plan: Plan) -> str:
    """Identify the images of a plan, regardless of how they are loaded."""
    return json.dumps([plan.images.word, plan.images.identity()], sort_keys=True) if plan.images else ""
