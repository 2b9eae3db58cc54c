"""A seeded sample of what `python -m tests.durability` runs in full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("matrix", 40), ("killing", 25), ("signalling", 4)])
def test_nothing_is_lost_and_no_bit_differs(tmp_path: Path, name: str, count: int) -> None:
    command = [sys.executable, "-m", f"tests.durability.{name}", str(count), "1", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = json.loads(subprocess.check_output(command, text=True, cwd=ROOT, env=environment).splitlines()[-1])
    assert found["wrong"] == []
    assert found.get("equal", count) == count
