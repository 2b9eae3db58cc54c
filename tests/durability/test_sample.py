"""A random sample of the checks of `python -m tests.durability`, seeded by the commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, SEED

SAMPLES = {"matrix": 8, "spans": 6, "killing": 6, "keeping": 3, "signalling": 1, "ending": 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_lost_and_no_bit_differs(tmp_path: Path, name: str) -> None:
    count, drawn = SAMPLES[name], SEED
    command = [sys.executable, "-m", f"tests.durability.{name}", str(count), str(drawn), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = json.loads(subprocess.check_output(command, text=True, cwd=ROOT, env=environment).splitlines()[-1])
    assert found["wrong"] == [], f"seed {drawn}"
    assert found.get("equal", count) == count, f"seed {drawn}"
