"""Shorten the intervals at which ablations poll their runs."""

from __future__ import annotations

import pytest

from recipe.ablation.cells import execute as execution


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "POLL", 0.001)
    monkeypatch.setattr(execution, "BUSY", 0.002)
