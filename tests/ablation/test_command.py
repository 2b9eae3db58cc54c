"""`recipe ablate` on the command line, with real runs."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import recipe
from recipe.ablation.cells import budget, launchers
from tests.ablation.helpers import TABLE, TEXT
from tests.ablation.interrupting import main, told
from tests.damage.folders import here
from tests.docs.schemas import validate
from tests.helpers import SEED, command

SMALL = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=48; batch 8; epochs 2; lr 0.01; loss smooth"


@pytest.mark.slow
@pytest.mark.usefixtures("unhurried")
def test_an_ablation_from_the_command_line_and_from_python(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    words = ["--mode", "add", "--seeds", "1", "--out", str(out), "--device", "cpu"]
    found = command("ablate", SMALL, "epochs 1; batch 16", *words)
    assert found.status == 0, found.stderr
    assert [line.split("  ")[0] for line in found.stdout.splitlines()[5:7]] == ["baseline", "+ loss smooth"]
    assert "2 rows, 1 seed: 2 runs of 1 epoch;" in found.stderr
    assert "2/2: + loss smooth, seed 0: top-1" in found.stderr
    assert sorted((*TABLE, "ablation.json")) == sorted(path.name for path in out.iterdir() if path.is_file())
    ET.parse(out / "chart.svg")
    assert (out / "chart.png").read_bytes().startswith(b"\x89PNG")
    page = tmp_path / "page.html"
    again = command("ablate", SMALL, "epochs 1; batch 16", *words, "--format", "json", "--html", str(page))
    assert again.status == 0
    assert "2 of 2 runs are already done" in again.stderr
    data = json.loads(again.stdout)
    validate("table", data)
    assert data["rows"][0]["peak_memory_bytes"] > 2**27
    assert data["rows"][0]["seconds_per_epoch"] > 0
    assert data["rows"][1]["difference"]["images"] >= 0
    assert "<td>+ loss smooth</td>" in page.read_text()
    table = recipe.ablate(SMALL, "epochs 1; batch 16", mode="add", seeds=1, out=out, device="cpu")
    assert table.to_dict()["rows"] == data["rows"]
    one = recipe.run(SMALL, "epochs 1; batch 16; drop loss smooth", out=tmp_path / "run", device="cpu")
    assert data["rows"][0]["cells"][0]["top1"] == one.summary["top1"], "a cell is an ordinary run"


@pytest.mark.slow
def test_a_budget_makes_a_plan_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above starts processes; here, the cells are trained in this one."""
    monkeypatch.setattr(launchers, "here", here)
    words = ["--mode", "drop", "--over", "loss smooth", "--out", str(tmp_path / "x")]
    dry = command("ablate", SMALL, *words, "--budget", "10m", "--seeds", "2", "--dry-run")
    assert dry.status == 0, dry.stderr
    assert "planned: 2 seeds, 2 epochs; 4 runs, about" in dry.stderr
    assert not (tmp_path / "x").exists(), "a dry run writes nothing"
    monkeypatch.setattr(budget, "startup_seconds", lambda: 2.0)
    found = command("ablate", SMALL, "batch 16", *words, "--budget", "10m", "--seeds", "1")
    assert "planned: 1 seed, 2 epochs" in found.stderr, found.stderr
    for others in ("2", "1"):  # other options don't change the first plan
        again = command("ablate", SMALL, "batch 16", *words, "--budget", "10m", "--seeds", others)
    assert "using the earlier plan: 1 seed, 2 epochs" in again.stderr
    short = command("ablate", SMALL, "batch 16", *words, "--budget", "1s")
    assert (short.status, "error[E127]" in short.stderr) == (2, True)


@pytest.mark.slow
def test_interruptions_change_nothing(tmp_path: Path) -> None:
    """Interrupt once. `python -m tests.ablation.interrupting 10 0 FOLDER` interrupts larger ones ten times."""
    report = main(1, SEED, tmp_path, images=24)
    assert report["wrong"] == [], f"seed {SEED}"
    assert report["interrupted"] == 1
    assert told(tmp_path / "whole")["rows"][0]["cells"][0]["status"] == "finished"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mode", "stack", "--over"], "--over needs at least one trick"),
        (["--mode", "stack", "--over", "--seeds", "2"], "--over needs at least one trick"),
        (["--mode", "stack", "--over", "tweak Q"], "error[E021]"),
        (["--mode", "stack", "--over", "tweak A B"], "error[E030]: row `+ tweak A B`"),
        (["--mode", "add", "--launcher", "cloud"], "cloud"),
        (["--mode", "add", "--launcher-option", "x"], "takes NAME=VALUE"),
        (["--mode", "add", "--launcher-option", "x=1"], "has no option `x`"),
        (["--mode", "add", "--budget", "soon"], "error[E127]"),
        (["--mode", "add", "--device", "cuda:77"], "error[E110]"),
        (["--mode", "add", "--seeds", "0"], "--seeds"),
        (["--mode", "add", "--device", "cuda:77", "--dry-run"], "error[E110]"),
        (["--mode", "add", "--launcher-option", "x=1", "--dry-run"], "has no option `x`"),
        ([], "--mode"),
        (["--mode", "add", "--resolution", "3"], "error[E124]: `--resolution` is for the mode `screen`, not `add`"),
        (
            ["--mode", "stack", "--runs", "20"],
            "error[E124]: `--runs` is for the mode `screen`, or together with `--until`",
        ),
        (
            ["--mode", "screen", "--runs", "20", "--seeds", "2"],
            "`--runs` and `--seeds` both choose the number of seeds",
        ),
        (["--mode", "screen", "--runs", "20", "--budget", "1h"], "`--runs` and `--budget` both choose"),
        (["--mode", "stack", "--until", "0"], "error[E124]: `--until` takes percentage points, such as 0.5, not 0"),
        (["--mode", "stack", "--until", "0.5", "--seeds", "1"], "error[E127]: one seed can't show noise"),
        (["--mode", "add", "--confirm"], "error[E124]: `--confirm` is for the mode `screen`, not `add`"),
        (["--mode", "screen", "--short", "epochs none"], "error["),
        (["--mode", "screen", "--runs", "7"], "error[E127]: 7 runs can't screen 3 tricks"),
        (["--mode", "screen", "--resolution", "5"], "--resolution"),
        (["--mode", "screen", "--over", "tweak D"], "error[E124]: a screening compares at least two tricks"),
    ],
)
def test_invalid_arguments_are_reported(words: list[str], said: str, tmp_path: Path) -> None:
    found = command("ablate", TEXT, *words, "--out", tmp_path / "x") if words[-1:] != ["--over"] else None
    found = found or command("ablate", TEXT, "--out", tmp_path / "x", *words)
    assert found.status == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert not list((tmp_path / "x").glob("cells/*"))


def test_a_dry_run_shows_the_rows_and_trains_nothing(tmp_path: Path) -> None:
    found = command("ablate", TEXT, "--mode", "stack", "--out", tmp_path / "x", "--dry-run")
    assert found.status == 0
    assert [line.split("  ")[0] for line in found.stdout.splitlines()] == [
        "baseline", "+ lr cosine", "+ tweak D", "+ loss smooth",
    ]  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_a_dry_run_of_a_screening_shows_the_combinations(tmp_path: Path) -> None:
    found = command("ablate", TEXT, "--mode", "screen", "--runs", "13", "--out", tmp_path / "x", "--dry-run")
    assert found.status == 0, found.stderr
    assert {line.split("  ")[0][3:] for line in found.stdout.splitlines()} == {
        "none", "lr cosine, tweak D", "lr cosine, loss smooth", "tweak D, loss smooth",
    }  # fmt: skip
    assert "4 rows, 3 seeds: 12 runs of 2 epochs" in found.stderr


@pytest.mark.parametrize(
    ("over", "rows"),
    [(["--over", "tweak C"], ["+ tweak C", "+ ema 0.9"]), (["--over=tweak C"], ["+ tweak C"])],
)
def test_over_takes_all_arguments_up_to_the_next_option_unless_it_has_a_value(
    over: list[str], rows: list[str], tmp_path: Path
) -> None:
    words = [*over, "ema 0.9", "--dry-run", "--mode", "add", "--over", "augment flip"]
    found = command("ablate", TEXT, *words)
    assert [line.split("  ")[0] for line in found.stdout.splitlines()] == ["baseline", *rows, "+ augment flip"]
