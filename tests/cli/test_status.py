"""Each exit code that docs/reference/run-folder.md lists, whatever a plugin or the standard streams do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recipe.cli.check
from recipe.base import files
from recipe.base.signals import STOPPING
from tests.helpers import ROOT, command

PLUGIN = '''
"""focus: a trick of the tests."""
import os, signal, sys, threading, time
from recipe.api import Trick, trick

{first}

@trick("focus", writes=("run",))
class Focus(Trick):
    """Do something."""

    def check(self, plan):
        {body}
        return ()
'''

NET = '''
"""net: a model with a layer that ends the process."""
import os, sys
from recipe.api import Trick, architecture, trick


@trick("net", writes=("base",))
class Net(Trick):
    """Build a small model."""

    kind: str = architecture("which", of=("small",))

    def build(self, classes):
        import torch

        class Leaving(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                {body}

        class Layer(torch.nn.Conv2d):
            def forward(self, x):
                return Leaving.apply(super().forward(x))

        head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, classes or 10)]
        return torch.nn.Sequential(Layer(3, 4, 3), *head)
'''

DATA = "data fake size=8 classes=2 images=8; batch 4; epochs 1"
THREAD = "threading.Thread(target=time.sleep, args=(600,)).start()"
CHILD = "__import__('multiprocessing').Process(target=time.sleep, args=(600,)).start()"


def shell(call: str, folder: Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in a folder, in which `recipe` is the command."""
    start = f'recipe() {{ "{sys.executable}" -P -m recipe "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RECIPE_DEBUG", None)
    return subprocess.run(
        ["bash", "-c", start + call], capture_output=True, text=True, cwd=folder, env=environment, timeout=seconds
    )


STATUSES = {
    "success": ("recipe check full", 0, ""),
    "a file that would change": ("echo 'base  resnet18' > x.recipe; recipe fmt --check x.recipe", 1, "would change"),
    "a difference": ("recipe diff 'base vgg11' 'base vgg11; lr 1' --exit-code", 1, ""),
    "a bad recipe": ("recipe run 'bach 1; base resnet18'", 2, "error[E020]"),
    "wrong usage": ("recipe bake", 2, "unknown command `bake`"),
    "a training that diverges": (
        f"recipe run 'net small; {DATA}0; lr 1000' --plugin net.py",
        3,
        "error[E112]",
    ),
    "SIGINT": ("recipe check 'base resnet18; focus' --plugin focus.py", 130, ""),
    "SIGTERM": ("sed -i s/SIGINT/SIGTERM/ focus.py; recipe check 'base resnet18; focus' --plugin focus.py", 143, ""),
    "SIGHUP": ("sed -i s/SIGINT/SIGHUP/ focus.py; recipe check 'base resnet18; focus' --plugin focus.py", 129, ""),
    "SIGHUP that is ignored, as under nohup": (
        "sed -i s/SIGINT/SIGHUP/ focus.py; trap '' HUP; recipe check 'base resnet18; focus' --plugin focus.py",
        0,
        "",
    ),
    "a process that is killed": (
        "sed -i 's/os.kill/\"RANK\" in os.environ and os.kill/; s/SIGINT/SIGKILL/' focus.py; "
        f"recipe run 'net small; {DATA}; focus' --plugin net.py --plugin focus.py --nproc 2",
        137,
        "",
    ),
}
"""Calls in a folder with two plugins, their exit code, and what they print to standard error."""

STREAMS = {
    "no standard error": ("recipe bake 2>&-", 2, ""),
    "a full standard error": ("recipe run 'bach 1' 2> /dev/full", 2, ""),
    "a full standard error of wrong usage": ("recipe bake 2> /dev/full", 2, ""),
    "no stream at all": ("recipe run 'bach 1' <&- >&- 2>&-", 2, ""),
    "a full output": ("recipe check full > /dev/full", 2, "error[E111]: the output can't be written"),
    "help to a full output": ("recipe --help > /dev/full", 2, "error[E111]: the output can't be written"),
    "no output": ("recipe check full >&-", 0, ""),
    "a reader of progress that exits": (
        "recipe run 'base shufflenet_v2_x0_5; data fake size=32 classes=2 images=8; batch 4; epochs 2; lr 1e-4' "
        "--device cpu --out run 2>&1 > /dev/null | true; status=${PIPESTATUS[0]}; "
        "grep -q finished run/summary.json && exit $status",
        0,
        "",
    ),
    "standard input twice": ("echo base resnet18 | recipe check - -", 2, "error[E001]: standard input is named more"),
    "standard input twice, to format": (
        "echo base resnet18 | recipe fmt - -",
        2,
        "error[E001]: standard input is named",
    ),
    "a run folder to format": (
        "mkdir run; echo > run/recipe.lock; recipe fmt run",
        2,
        "error[E001]: `run` is a folder",
    ),
    "a format that is not printed": (
        "recipe ablate full --mode drop --dry-run --format json",
        2,
        "Error: --dry-run prints no table",
    ),
    "no input": ("recipe explain - <&-", 2, "error[E001]: standard input is closed"),
    "a reader that exits": ("recipe tricks | true; exit ${PIPESTATUS[0]}", 141, ""),
    "a reader of help that exits": ("recipe --help | true; exit ${PIPESTATUS[0]}", 141, ""),
    "a reader of errors that exits": ("recipe run 'bach 1' 2>&1 > /dev/null | true; exit ${PIPESTATUS[0]}", 2, ""),
}


def check_status(call: str, status: int, said: str, folder: Path) -> None:
    found = shell(call, folder)
    assert (found.returncode, "rror" in found.stdout.replace("no errors", "")) == (status, False), found
    assert said in found.stderr
    assert ("Traceback" in found.stderr, "Exception ignored" in found.stderr) == (False, False)


@pytest.mark.parametrize("case", STATUSES)
def test_each_exit_code(case: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(body="return gradient"))
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "focus.py").write_text(PLUGIN.format(first="", body=kill))
    check_status(*STATUSES[case], tmp_path)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("case", STREAMS)
def test_streams_that_are_closed_or_full(case: str, unbuffered: str, tmp_path: Path) -> None:
    call, status, said = STREAMS[case]
    check_status(f"export PYTHONUNBUFFERED={unbuffered}; {call}", status, said, tmp_path)


def test_every_documented_code_is_tested() -> None:
    text = (ROOT / "docs/reference/run-folder.md").read_text("utf-8").partition("## Exit codes")[2]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE) for code in row.split(",")}
    assert listed == {status for _, status, _ in (*STATUSES.values(), *STREAMS.values())} | {70}


def test_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **options: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(recipe.cli.check, "bind", fails)
    found = command("check", "full")
    assert (found.status, found.stdout) == (70, "")
    assert found.stderr.startswith("internal error: ZeroDivisionError: of ours\n")
    monkeypatch.setenv("RECIPE_DEBUG", "1")
    found = command("check", "full")
    assert (found.status, found.stderr.startswith("Traceback")) == (70, True)


def test_a_disk_that_fills_up_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "opened_to_append", lambda path: Path("/dev/full").open("ab", buffering=0))  # noqa: SIM115
    (tmp_path / "net.py").write_text(NET.format(body="return gradient"))
    found = command("run", f"net small; {DATA}", "--plugin", tmp_path / "net.py", "--out", tmp_path / "out")
    assert (found.status, found.stdout) == (2, "")
    assert f"error[E111]: `{tmp_path / 'out' / 'metrics.jsonl'}` can't be written: no space left" in found.stderr
    assert "resume from the last checkpoint with --resume" in found.stderr


def test_warnings_of_python_look_like_those_of_recipe(tmp_path: Path) -> None:
    first = "import warnings\nwarnings.warn('mind\\nthe \\x1b[31mgap')"
    (tmp_path / "focus.py").write_text(PLUGIN.format(first=first, body=""))
    found = shell("recipe check 'base resnet18; focus' --plugin focus.py", tmp_path)
    assert (found.returncode, found.stderr) == (0, "warning: mind the  [31mgap\n")


@pytest.mark.parametrize("body", ["sys.exit(0)", "os._exit(0)"])
def test_a_model_that_ends_the_process_is_not_a_success(body: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(body=body))
    found = command("run", f"net small; {DATA}", "--plugin", tmp_path / "net.py", "--out", tmp_path / "out")
    assert (found.status, found.stdout) == (2, "")
    assert "error[E080]: code outside of `recipe` tried to end the process: SystemExit: 0" in found.stderr


def test_nothing_is_written_to_a_file_in_place_of_a_closed_stream(tmp_path: Path) -> None:
    (tmp_path / "x.recipe").write_text("base  resnet18\n")
    (tmp_path / "focus.py").write_text(PLUGIN.format(first="os.write(2, b'noise')", body="os.write(2, b'noise')"))
    found = shell("recipe fmt x.recipe 2>&-; recipe check x.recipe --plugin focus.py 2>&- >&-", tmp_path)
    assert (found.returncode, (tmp_path / "x.recipe").read_text()) == (0, "base resnet18\n")


@pytest.mark.parametrize("what", [THREAD, CHILD])
@pytest.mark.parametrize("where", ["first", "body"])
def test_what_a_plugin_leaves_running_does_not_keep_a_command(where: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "focus.py").write_text(PLUGIN.format(**{"first": "", "body": "", where: what}))
    found = shell("recipe check 'base resnet18; focus' --plugin focus.py", tmp_path)
    assert (found.returncode, found.stdout) == (0, "1 recipe checked: no errors or warnings\n")
    failed = shell("recipe check 'base resnet18; focus; bach' --plugin focus.py", tmp_path)
    assert (failed.returncode, "1 error" in failed.stdout) == (2, True)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_a_wait_at_exit(number: signal.Signals, tmp_path: Path) -> None:
    first = "import atexit\natexit.register(lambda: (open('waits', 'w').close(), time.sleep(600)))"
    (tmp_path / "focus.py").write_text(PLUGIN.format(first=first, body=""))
    call = [sys.executable, "-P", "-m", "recipe", "check", "base resnet18; focus", "--plugin", "focus.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(call, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        while not (tmp_path / "waits").exists():
            time.sleep(0.02)
        process.send_signal(number)
        assert (process.wait(30), process.stdout and process.stdout.read()) == (
            0,
            b"1 recipe checked: no errors or warnings\n",
        )
