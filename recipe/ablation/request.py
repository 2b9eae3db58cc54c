"""What is asked of an ablation, and which options can be used together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import attrs

from recipe.ablation.cells.launchers import Workers
from recipe.base.caller import named, option
from recipe.base.errors import RecipeError, fail

ROOT = Path("ablations")
"""The parent of the folders that are not named. Their ablations share their cells."""

MOST_SEEDS, MOST_RUNS = 1_000, 100_000

LEAST_SHARE, MOST_SHARE = 0.01, 0.5


def share_of(given: str | float | None) -> float | None:
    """Return a share, such as ``20%`` or ``0.2``, as a fraction. Raises `RecipeError` (E124)."""
    if given is None:
        return None
    text = str(given).strip()
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,18})?)(%?)", text)
    share = float(Decimal(found[1]) / (100 if found[2] else 1)) if found else 0.0
    if not LEAST_SHARE <= share <= MOST_SHARE:
        message = f"{named('--holdout')} is a share from 1% to 50% of the held-out images, not `{text:.60}`"
        raise fail("E124", message, help="write it as `20%`")
    return share


def _tricks(over: str | Sequence[str]) -> tuple[str, ...]:
    return (over,) if isinstance(over, str) else tuple(over)


@attrs.frozen(kw_only=True)
class Request:
    """The options of an ablation. `recipe.ablate` describes them.

    Raises `RecipeError` if one can't be used, or not together with another one (E124), or if the name of the folder is
    empty (E113).
    """

    mode: str
    over: tuple[str, ...] = attrs.field(default=(), converter=_tricks)
    seeds: int | None = None
    resolution: int | None = None
    runs: int | None = None
    until: float | None = None
    confirm: bool = False
    short: str | None = None
    budget: str | None = None
    holdout: str | float | None = None
    test: bool = True
    out: str | Path | None = None
    workers: Workers = attrs.field(factory=Workers)
    name: str = "ablation"
    """The name in the title, and in that of a folder that is not named."""

    def __attrs_post_init__(self) -> None:
        self._check_amount()
        self._check_confirmation()
        share_of(self.holdout)
        if self.out is not None and not str(self.out).strip():
            help = f"name a folder with {option('--out')}"
            raise fail("E113", "the name of the ablation's folder is empty", help=help)

    def _check_amount(self) -> None:
        """Check what chooses the number of runs."""
        if self.seeds is not None and not 1 <= self.seeds <= MOST_SEEDS:
            raise fail("E124", f"an ablation has 1 to {MOST_SEEDS:,} seeds, not {self.seeds:,}")
        if self.runs is not None and self.runs > MOST_RUNS:
            raise fail("E124", f"an ablation has at most {MOST_RUNS:,} runs, not {self.runs:,}")
        if self.resolution is not None:
            self._check_mode("--resolution")
        if self.runs is not None and not self.is_screening and self.until is None:
            message = f"{named('--runs')} is for the mode `screen`, or together with {named('--until')}"
            raise fail("E124", message, help=f"set the number of seeds with {option('--seeds')}")
        if self.until is not None and not 0 < self.until < 100:
            raise fail("E124", f"{named('--until')} takes percentage points, such as 0.5, not {self.until:g}")
        if self.resolution not in (None, 3, 4):
            raise fail("E124", f"a screening has resolution 3 or 4, not {self.resolution}")
        if self.runs is not None and (self.seeds is not None or self.budget is not None):
            raise _both("--runs", "--seeds" if self.seeds is not None else "--budget", "choose the number of seeds")

    def _check_confirmation(self) -> None:
        """Check what confirms the best row."""
        if self.confirm:
            self._check_mode("--confirm")
        if self.short is not None:
            self._check_mode("--short")
            if not self.short.strip():
                raise fail("E124", f"{named('--short')} is empty", help="name statements, such as `epochs 2`")
            if self.budget is not None:
                raise _both("--short", "--budget", "shorten the runs")
        if self.holdout is not None and self.confirms:
            other = "--confirm" if self.confirm else "--short"
            raise _both("--holdout", other, "check the best row", "use one of them: other images, or other seeds")

    def _check_mode(self, name: str) -> None:
        """Check the mode for an option that only a screening has."""
        if not self.is_screening:
            raise fail("E124", f"{named(name)} is for the mode `screen`, not `{self.mode}`", help="leave it out")

    @property
    def is_screening(self) -> bool:
        return self.mode == "screen"

    @property
    def confirms(self) -> bool:
        """Whether the best combination of the screening is trained again."""
        return self.confirm or self.short is not None

    @property
    def share(self) -> float | None:
        """The share of the held-out images that the table leaves out, to report its best row on them."""
        return share_of(self.holdout)

    @property
    def evaluates_test(self) -> bool:
        """Whether the best row or combination is evaluated on the test images, if there are any."""
        return self.test and self.holdout is None

    @property
    def cells(self) -> Path:
        """The folder of all cells."""
        return (ROOT if self.out is None else Path(self.out)) / "cells"

    def folder(self, identity: str) -> Path:
        """Return the folder of the ablation. If it is not named, it is that of the rows with some identity."""
        return ROOT / f"{self.name}-{self.mode}-{identity[:8]}" if self.out is None else Path(self.out)


def _both(one: str, other: str, do: str, help: str = "use one of them") -> RecipeError:
    """Return the error for two options that do the same."""
    return fail("E124", f"{named(one)} and {named(other)} both {do}", help=help)
