"""``resume``: a training that was cut and went on is the one that ran through."""

from __future__ import annotations

import threading
from pathlib import Path

from recipe.base.errors import Diverged
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.testing import inputs
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Case, Harness, Quick, one_thread
from recipe.testing.interruption import Cut, digest_of
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.engine import run

POINTS = {"mid-epoch": "first step", "epoch boundary": "epoch boundary"}
"""Where a training of two steps an epoch is cut, by what that is to people."""


def resume(subject: TrickUnderTest) -> None:
    """A training that is cut within an epoch or between two, and goes on, ends with the same bits.

    Another training comes between: what a trick keeps to itself would be lost with the process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise Skipped("a training is cut by a signal, which only the main thread gets")
    bench, within = subject.bench, subject.within
    if bench.plan(within).training.epochs < 2:
        within = within.over("epochs 2")
    program = bench.program(within)
    with bench.place() as out:
        for point, at in POINTS.items():
            if not _cut(bench, program, out / point, at):
                raise Skipped(f"the training is over before its {point}")
        _train(bench, program, out / "whole")
        whole = digest_of(out / "whole")
        for point in POINTS:
            _train(bench, program, out / point, resume=True)
            if digest_of(out / point) != whole:
                _blame(subject, within, point)


def _blame(subject: TrickUnderTest, case: Case, point: str) -> None:
    with inputs.seeded(1):
        again = subject.bench.outcome(case, fresh=True)
    if again != subject.bench.outcome(case):
        raise Skipped("the same training twice differs already, see `deterministic`")
    raise Unmet(
        f"`{case}`, cut at its {point}, goes on to other weights than a training that ran through; "
        "let a hook keep nothing, and take what it needs from its arguments"
    )


def _cut(bench: Harness, program: Program, out: Path, point: str) -> bool:
    try:
        _train(bench, program, out, Cut(point))
    except Diverged:
        raise Skipped("the training diverges before it can be cut") from None
    except Interrupted:
        return True
    except KeyboardInterrupt:  # the signal came when all was done, and is passed on
        return False
    return False


def _train(bench: Harness, program: Program, out: Path, cut: Cut | None = None, resume: bool = False) -> None:
    with one_thread():
        run(
            program,
            out=out,
            device="cpu",
            listener=cut,
            resume=resume,
            vocabulary=bench.vocabulary,
            runtime=Quick(),
        )
