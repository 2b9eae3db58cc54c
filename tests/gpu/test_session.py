"""A session on a GPU: its budget, failures and page, and a full quick session on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks.__main__ import merged
from tests.gpu.page import read, section
from tests.gpu.session import FILE, Session, wrong
from tests.gpu.sets import SETS, waits
from tests.helpers import ROOT

MACHINE = {"part": "machine", "device": "a card", "torch": "2", "cudnn": 9, "python": "3", "cores": 2, "quick": False}


def broken() -> None:
    raise RuntimeError("no kernel\nand more")


def test_a_failure_is_reported_and_a_part_beyond_the_budget_is_skipped(tmp_path: Path) -> None:
    session = Session(torch.device("cpu"), 100, tmp_path / "new")
    session.run(
        [
            ("first", 10, broken),
            ("second", 1000, lambda: session.tell("second", right=True)),
            ("third", 10, lambda: session.tell("third", right=False, why="it differs")),
        ]
    )
    written = [json.loads(line) for line in (tmp_path / "new" / FILE).read_text().splitlines()]
    assert written == session.lines
    assert [line["part"] for line in written] == ["first", "second", "third"]
    assert written[0]["failed"] == "RuntimeError: no kernel"
    assert written[1]["skipped"].startswith("it needs 1000 s, but only ")
    assert wrong(session.lines)[1:] == [written[0], written[2]]
    assert wrong([{"part": "right", "right": True}]) == []
    assert wrong([{"part": "right", "skipped": "only 3 s are left"}])


def test_the_page_shows_wrong_and_missing_results(tmp_path: Path) -> None:
    tried = {"part": "right", "tricks": "sam", "off": 0.2, "finite": {"fp16": False}, "waits": {"update.py:3": 1}}
    lines = [
        {**MACHINE, "device": "another card"},
        MACHINE,
        {**tried, "right": False},
        {**tried, "tricks": "clip", "off": 1e-4, "right": True},
        {"part": "right: ema", "failed": "RuntimeError: no kernel"},
        {"part": "repeats", "precision": "fp16", "right": True},
        {"part": "fed", "failed": "OSError: no room"},
        {"part": "speed", "skipped": "it needs 100 s, but only 3 s are left"},
    ]
    file = tmp_path / FILE
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = section(read(file))
    text = "\n".join(page)
    assert page[0] == "## On a card"
    assert "another card" not in text
    assert "Correct in 1 of 3 sets of tricks" in text
    assert "| `sam` | 0.2 | {'fp16': False} | {'update.py:3': 1} |" in page
    assert "clip" not in text
    assert "Identical bits twice: fp16 yes." in text
    missing = (
        "right: ema: RuntimeError: no kernel; fed: OSError: no room; speed: it needs 100 s, but only 3 s are left."
    )
    assert page[-1] == f"Not measured: {missing}"
    kept = merged("# A\n\n## B\n\nb\n", text, whole=False)
    assert kept.index("## B") < kept.index("## On a card")
    assert merged(kept, text, whole=False) == kept, "each device has one section"


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"part": "speed"}', json.dumps({**MACHINE, "quick": True})])
def test_a_file_that_is_not_from_a_session_is_rejected(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=FILE):
        read(tmp_path / FILE)


def test_expected_waits() -> None:
    assert [waits(text, 16) for text in ("", "optimizer lars", "augment trivial", "clip 0.5")] == [0, 1, 64, 0]
    assert len(SETS) == 27


@pytest.mark.slow
def test_a_quick_session_runs_to_the_end_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gpu", "--quick", "--out", str(tmp_path)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    page = ROOT / "docs" / "benchmarks.md"
    before = page.read_bytes()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert lines[-1]["part"] == "done"
    assert {"machine", "right", "repeats", "speed", "profile", "fed"} <= {line["part"] for line in lines}
    assert not [line for line in lines if "failed" in line or "skipped" in line or line.get("right") is False]
    assert "### Loading from JPEG files" in done.stdout
    assert page.read_bytes() == before
