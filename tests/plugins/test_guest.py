"""The import of a plugin does not affect the output, and is interrupted if it takes too long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.base.signals import Interrupted
from recipe.plugins import sandbox as guest
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import ROOT, command
from tests.plugins.helpers import GOOD, install

# ---- output

LOUD = """
import os, subprocess, sys
print("python")
sys.__stdout__.write("pythons own")
os.write(1, b"descriptor")
os.system("echo shell")
subprocess.run(["echo", "program"])
"""


def test_output_during_an_import_is_suppressed(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    install(site, "loud", {"shine": "loud_mod:Theirs"}, loud_mod=LOUD + GOOD.format(word="shine"))
    found = command("check", "base resnet50; shine", "--format", "json")
    assert (found.status, json.loads(found.stdout)["diagnostics"]) == (0, [])
    assert capfd.readouterr().out == ""


def python(code: str, *, closed: bool = False) -> str:
    """Run code in a new Python, and return its output; ``closed`` closes stdout and returns stderr."""
    call = [sys.executable, "-c", f"import os, sys\nfrom recipe.plugins.sandbox import importing\n{code}"]
    if closed:
        call = ["bash", "-c", '"$@" 2>&1 >&-', "bash", *call]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_output_before_and_after_an_import_is_kept() -> None:
    code = """
print("before", flush=False)
with importing():
    os.system("echo within")
    with importing():
        os.system("echo deeper")
    os.system("echo within")
    sys.__stdout__.write("within")
print("after")
os.system("echo after")
"""
    assert sorted(python(code).split()) == ["after", "after", "before"]


def test_a_failed_import_restores_the_output() -> None:
    code = """
try:
    with importing():
        raise ImportError
except ImportError:
    os.system("echo after")
"""
    assert python(code) == "after\n"


def test_an_import_works_without_a_standard_output() -> None:
    code = """
with importing():
    print("within")
assert sys.stdout is None
print("fine", file=sys.stderr)
"""
    assert python(code, closed=True) == "fine\n"


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/dev/fd")
    with guest.importing():
        pass
    assert os.listdir("/dev/fd") == before


# ---- time limit

ENDLESS = {
    "a loop": "while True:\n    time.sleep(0.01)\n",
    "a loop that ignores exceptions": """
while True:
    try:
        time.sleep(0.01)
    except Exception:
        pass
""",
    "a second loop after an interrupted one": """
try:
    while True:
        time.sleep(0.01)
except BaseException:
    pass
while True:
    time.sleep(0.01)
""",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_import_is_interrupted(name: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "IMPORT_SECONDS", 0.1)
    monkeypatch.setattr(guest, "AGAIN_SECONDS", 0.1)
    install(site, "endless", {"shine": "endless_mod:Theirs"}, endless_mod=f"import time\n{ENDLESS[name]}")
    found = command("check", "base resnet50; shine")
    assert found.status == 2
    assert "the plugin endless is broken: its import took more than 0.1 seconds" in found.stdout


def test_the_endless_import_of_a_plugin_file_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "IMPORT_SECONDS", 0.1)
    (tmp_path / "mine.py").write_text(f"import time\n{ENDLESS['a loop']}")
    found = command("check", "base resnet50", "--plugin", tmp_path / "mine.py")
    assert (found.status, "its import took more than 0.1 seconds" in found.stderr) == (2, True)


def test_the_alarm_is_off_after_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "IMPORT_SECONDS", 0.05)
    monkeypatch.setattr(guest, "AGAIN_SECONDS", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(guest.ImportTimeout), guest.importing():
        signal.pause()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


# ---- exceptions


@pytest.mark.parametrize("raised", ["__import__('pytest').skip('x', allow_module_level=True)", "raise GeneratorExit"])
def test_a_base_exception_is_a_broken_plugin(raised: str, site: Path) -> None:
    install(site, "odd", {"shine": "odd_mod:Theirs"}, odd_mod=raised)
    found = command("check", "base resnet50; shine")
    assert (found.status, "the plugin odd is broken" in found.stdout) == (2, True)


@pytest.mark.parametrize("wish", ["KeyboardInterrupt()", "Interrupted(15, Path('runs/x'), 0)"])
def test_an_interruption_is_not_reported_as_an_error_in_the_plugin(wish: str, site: Path) -> None:
    text = f"from pathlib import Path\nfrom recipe.base.signals import Interrupted\nraise {wish}"
    install(site, "slow", {"shine": "slow_mod:Theirs"}, slow_mod=text)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        Vocabulary.installed().load("shine", None)
