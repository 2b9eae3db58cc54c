"""Launchers: how they run commands, and give them time to save before they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipe.ablation.cells.launchers import Workers, _number, call, with_ray, with_slurm
from recipe.base.caller import commanding
from recipe.base.errors import RecipeError


def test_a_command_and_its_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os, sys; print(os.environ['MARK']); print('and', file=sys.stderr); sys.exit(3)"
    assert call([sys.executable, "-c", script], str(log), {"MARK": "here"}) == 3
    assert log.read_text().split() == ["here", "and"] or log.read_text().split() == ["and", "here"]


@pytest.mark.slow
def test_submitit_runs_commands_and_returns_their_exit_codes(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    launcher = with_slurm({"timeout_min": "5"}, tmp_path, cluster="local")
    good = launcher([sys.executable, "-c", "print('hello')"], tmp_path / "good", {})
    bad = launcher([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "bad", {})
    while good.poll() is None or bad.poll() is None:
        time.sleep(0.1)
    assert (good.poll(), bad.poll()) == (0, 3)
    assert (tmp_path / "good").read_text() == "hello\n"


SAVES = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
print("up", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_ray_runs_commands_returns_their_exit_codes_and_lets_them_save(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    launcher = with_ray({"num_cpus": "1"})
    try:
        bad = launcher([sys.executable, "-c", "print('hello'); raise SystemExit(3)"], tmp_path / "bad", {})
        while bad.poll() is None:
            time.sleep(0.1)
        assert (bad.poll(), (tmp_path / "bad").read_text()) == (3, "hello\n")
        long = launcher([sys.executable, "-c", SAVES], tmp_path / "long", {})
        while not (tmp_path / "long").exists() or "up" not in (tmp_path / "long").read_text():
            time.sleep(0.1)
        long.terminate()
        while long.poll() is None:
            time.sleep(0.1)
        assert (long.poll(), (tmp_path / "long").read_text()) == (143, "up\nsaved\n")
    finally:
        ray.shutdown()


ENDING = """
import signal, sys, time
from recipe.ablation.cells.launchers import call

class Over(RuntimeError): ...

def over(number, frame):
    raise Over

signal.signal(signal.SIGUSR2, over)
raise SystemExit(call([sys.executable, "-c", sys.argv[1]], sys.argv[2], {}))
"""


def test_a_job_near_its_time_limit_saves_first(tmp_path: Path) -> None:
    """As in Slurm, all processes of the job get the signal, and submitit raises an exception in the calling process."""
    log = tmp_path / "log"
    job = subprocess.Popen([sys.executable, "-c", ENDING, SAVES, str(log)], start_new_session=True)
    while not log.exists() or "up" not in log.read_text():
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGUSR2)
    assert job.wait() == 143
    assert log.read_text() == "up\nsaved\n"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("slurm", {"slurm_partition": "gpu"}, "the launcher `slurm` needs a time limit"),
        ("cloud", {}, "unknown launcher `cloud`"),
        ("local", {"speed": "1"}, "the launcher `local` has no option `speed`"),
    ],
)
def test_invalid_launchers_are_rejected(name: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Workers(launcher=name, options=options)


def test_a_time_limit_is_asked_for_as_the_caller_writes_it() -> None:
    with pytest.raises(RecipeError) as caught:
        Workers(launcher="slurm")
    assert 'such as `options={"timeout_min": "120"}`' in caught.value.diagnostics[0].help
    with commanding(), pytest.raises(RecipeError) as caught:
        Workers(launcher="slurm")
    assert "such as --launcher-option timeout_min=120" in caught.value.diagnostics[0].help


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RecipeError, match=rf"E125.*{package}(.|\n)*recipe-compiler\[{name}\]"):
        Workers(launcher=name, options={"timeout_min": "5"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("120", 120),
        ("-1", -1),
        ("0.5", 0.5),
        ("0", 0),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("gpu", "gpu"),
    ],
)
def test_option_values_that_are_plain_numbers_are_converted(text: str, value: object) -> None:
    found = _number(text)
    assert (found, type(found)) == (value, type(value))
