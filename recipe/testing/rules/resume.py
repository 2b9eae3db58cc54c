"""``resume``: a training that was cut and went on is the one that ran through."""

from __future__ import annotations

import threading
from pathlib import Path

from recipe.engine import run
from recipe.signals import Interrupted
from recipe.testing.bench import Case, Skipped, Unmet, trained_quickly
from recipe.testing.cuts import Cut, digest_of
from recipe.testing.subject import Subject

HERE = {"mid-epoch": "first step", "epoch boundary": "epoch boundary"}
"""Where a training of two steps an epoch is cut, by what that is to people."""


def resume(subject: Subject) -> None:
    """A training that is cut within an epoch or between two, and goes on, ends with the same bits.

    Another training comes between: what a trick keeps to itself would be lost with the process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise Skipped("a training is cut by a signal, which only the main thread gets")
    bench, within = subject.bench, subject.within
    if bench.plan(within).training.epochs < 2:
        within = within.over("epochs 2")
    first = bench.outcome(within)
    if first.diverged:
        raise Skipped("the training diverges before it can be cut")
    whole = _whole(subject, within)
    for point, at in HERE.items():
        with bench.place() as out:
            if not _cut(subject, within, at, out):
                raise Skipped(f"the training is over before its {point}")
            bench.outcome(within.over("seed 1"), fresh=True)
            _train(subject, within, out, resume=True)
            found = digest_of(out)
        if found != whole:
            if bench.outcome(within, fresh=True) != first:
                raise Skipped("the same training twice differs already, see `deterministic`")
            raise Unmet(
                f"`{within}`, cut at its {point}, goes on to other weights than a training that ran through; "
                "let a hook keep nothing, and take what it needs from its arguments"
            )


def _whole(subject: Subject, case: Case) -> str:
    with subject.bench.place() as out:
        _train(subject, case, out)
        return digest_of(out)


def _cut(subject: Subject, case: Case, point: str, out: Path) -> bool:
    try:
        _train(subject, case, out, Cut(point))
    except Interrupted:
        return True
    except KeyboardInterrupt:  # the signal came when all was done, and is passed on
        return False
    return False


def _train(subject: Subject, case: Case, out: Path, cut: Cut | None = None, resume: bool = False) -> None:
    bench = subject.bench
    with trained_quickly():
        run(bench.program(case), out=out, device="cpu", listener=cut, resume=resume, vocabulary=bench.vocabulary)
