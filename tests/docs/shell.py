"""Run the commands of the documentation: those of recipe in this process, and others in bash."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import attrs

import recipe.cli
from tests.docs.scripts import simple
from tests.helpers import ROOT

SMALL = ROOT / "tests" / "docs" / "small"
OURS = re.compile(r"^(?:recipe|python3? -m recipe) ")
PIPED = re.compile(r"^echo (?P<said>[^|]+) \| (?P<command>(?:recipe|python3? -m recipe) .+)$")


@attrs.define
class Shell:
    """Runs the commands of one page. ``folder`` is the current directory, which `cd` changes."""

    folder: Path
    shims: Path

    def run(self, text: str) -> tuple[int, str]:
        """Run a command; return its exit code and its output, errors included."""
        piped = PIPED.match(text)
        if piped and simple(piped["said"]) and simple(piped["command"]):
            return self._inside(piped["command"], " ".join(shlex.split(piped["said"])) + "\n")
        if OURS.match(text) and simple(text) and "--nproc" not in text:  # which would change this process
            return self._inside(text)
        return self._outside(text)

    def _inside(self, text: str, given: str = "") -> tuple[int, str]:
        """Run a command of recipe in this process."""
        words = shlex.split(OURS.sub("recipe ", text))
        out, status = io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            mock.patch.object(sys, "argv", words),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()), "utf-8")),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            try:
                recipe.cli.main()
            except SystemExit as stop:
                status = int(stop.code or 0)
        return status, out.getvalue()

    def _outside(self, text: str) -> tuple[int, str]:
        """Run any other command in bash, where `recipe` and `python` are those of this process."""
        self.shims.mkdir(exist_ok=True)
        for name, module in (("recipe", "-m recipe "), ("python", ""), ("python3", "")):
            shim = self.shims / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module}"$@"\n')
            shim.chmod(0o755)
        where = self.shims / "pwd"
        path = os.pathsep.join([str(self.shims), str(Path(sys.executable).parent), os.environ["PATH"]])
        script = f"set -o pipefail\n{text}\nstatus=$?; pwd > {shlex.quote(str(where))}; exit $status"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if where.exists():
            self.folder = Path(where.read_text().strip())
        return done.returncode, done.stdout
