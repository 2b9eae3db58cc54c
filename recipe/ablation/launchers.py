"""Who runs the cells: processes of this machine, or a scheduler that is there already."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from recipe.base.errors import fail
from recipe.base.wording import listing, reason_of

LAUNCHERS = ("local", "slurm", "ray")

SPARED = ("sh", "-c", 'trap "" USR2; exec "$@"', "sh")
"""What runs a command so that it ignores the signal by which Slurm tells all processes of a job, not only the one that
is to see to it, that its time is nearly over."""


class Handle(Protocol):
    """A command that was handed over."""

    def poll(self) -> int | None:
        """Its exit status; None while it waits or runs."""

    def stop(self) -> None:
        """Ask it to save and to end."""


class Launcher(Protocol):
    """Runs commands somewhere, with what they print in a log file that this machine sees."""

    def submit(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle: ...


def check(name: str, options: Mapping[str, str]) -> None:
    """Raise `RecipeError` (E125) where there is no such launcher, or a package that it needs is not installed."""
    if name not in LAUNCHERS:
        raise fail("E125", f"there is no launcher `{name}`", help=f"there are {listing(LAUNCHERS)}")
    if name == "local" and options:
        raise fail("E125", f"the launcher `local` has no option `{next(iter(options))}`")
    if name == "slurm" and not options.keys() & {"timeout_min", "slurm_time"}:
        help = "such as --launcher-option timeout_min=120; what is not done by then goes on in another job"
        raise fail("E125", "Slurm needs to know how long a run may take, or ends it after five minutes", help=help)
    if name != "local":
        _needed({"slurm": "submitit", "ray": "ray"}[name], name)


def launcher_of(name: str, options: Mapping[str, str], folder: Path) -> Launcher:
    """A launcher by its name. Raises `RecipeError` (E125) where it can't be used."""
    check(name, options)
    if name == "local":
        return Local()
    return Slurm.of(options, folder) if name == "slurm" else Ray.of(options)


def call(command: Sequence[str], log: str, environment: Mapping[str, str], folder: str | None = None) -> int:
    """Run a command to its end, with its output in a file; gives its exit status.

    Where this is interrupted, as Ray interrupts a task that is cancelled and submitit one whose time is nearly over,
    the command is asked to save and end.
    """
    with open(log, "ab") as file:
        own = {**os.environ, **environment}
        null = subprocess.DEVNULL
        popen = subprocess.Popen([*SPARED, *command], stdin=null, stdout=file, stderr=file, env=own, cwd=folder)
    try:
        while popen.poll() is None:
            time.sleep(0.2)  # not a wait, which Ray could not interrupt
    except BaseException:  # each scheduler has its own
        popen.terminate()
    return popen.wait()


@attrs.frozen
class Process:
    """A process of this machine."""

    popen: subprocess.Popen[bytes]

    def poll(self) -> int | None:
        return self.popen.poll()

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()


class Local:
    """Processes of this machine, each in a session of its own, so that a Ctrl-C is not sent to all of them at once."""

    def submit(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        with log.open("ab") as file:
            own = {**os.environ, **environment}
            null = subprocess.DEVNULL
            popen = subprocess.Popen(command, stdin=null, stdout=file, stderr=file, env=own, start_new_session=True)
        return Process(popen)


@attrs.frozen
class Job:
    """A job of Slurm's, through submitit."""

    job: Any

    def poll(self) -> int | None:
        if not self.job.done():
            return None
        try:
            return int(self.job.result())
        except Exception as error:  # submitit raises what a job died of, as many types
            print(f"the job {self.job.job_id} ended early: {_last_line(error)}", file=sys.stderr)
            return 143 if self.job.state in ("CANCELLED", "INTERRUPTED", "PREEMPTED", "TIMEOUT") else 1

    def stop(self) -> None:
        self.job.cancel(check=False)


@attrs.frozen
class Slurm:
    """Jobs of Slurm. ``options`` are submitit's parameters: ``timeout_min``, ``slurm_partition``, ``gpus_per_node``."""

    executor: Any

    @classmethod
    def of(cls, options: Mapping[str, str], folder: Path, cluster: str = "slurm") -> Slurm:
        submitit = _needed("submitit", "slurm")
        try:
            executor = submitit.AutoExecutor(folder=str(folder / "jobs"), cluster=cluster)
            executor.update_parameters(name="recipe-ablate", **{name: _number(v) for name, v in options.items()})
        except (RuntimeError, NameError, ValueError, AssertionError) as error:
            raise fail("E125", f"Slurm can't be used: {reason_of(error)}") from error
        return cls(executor)

    def submit(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        try:
            return Job(self.executor.submit(call, list(command), str(log.absolute()), dict(environment)))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # as sbatch refuses it
            raise fail("E126", f"Slurm does not take the run: {_last_line(error)}") from error


@attrs.define
class Task:
    """A task of Ray's."""

    ray: Any
    reference: Any
    stopping: bool = False

    def poll(self) -> int | None:
        ready, _ = self.ray.wait([self.reference], timeout=0)
        if not ready:
            if self.stopping:  # Ray does not promise that a task hears of it the first time
                self.ray.cancel(self.reference)
            return None
        try:
            return int(self.ray.get(self.reference))
        except self.ray.exceptions.TaskCancelledError:
            return 143
        except self.ray.exceptions.RayError as error:
            print(f"a task of Ray ended early: {_last_line(error)}", file=sys.stderr)
            return 1

    def stop(self) -> None:
        self.stopping = True
        self.ray.cancel(self.reference)


@attrs.frozen
class Ray:
    """Tasks of Ray. ``options`` are those of a remote function: ``num_cpus``, ``num_gpus``."""

    ray: Any
    remote: Callable[..., Any]

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Ray:
        ray = _needed("ray", "ray")
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level="ERROR")
        try:
            given: dict[str, Any] = {"max_retries": 0, **{name: _number(value) for name, value in options.items()}}
            return cls(ray, ray.remote(**given)(call))
        except (TypeError, ValueError) as error:
            raise fail("E125", f"Ray does not take this: {reason_of(error)}") from error

    def submit(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        given = (list(command), str(log.absolute()), dict(environment), os.getcwd())
        return Task(self.ray, self.remote.remote(*given))  # type: ignore[attr-defined]


def _last_line(error: Exception) -> str:
    """The last line of what an error says; its type, where it says nothing."""
    return [type(error).__name__, *str(error).strip().splitlines()][-1]


def _needed(package: str, extra: str) -> Any:
    try:
        return __import__(package)
    except ImportError:
        help = f"`pip install 'recipe-compiler[{extra}]'` installs it"
        raise fail(
            "E125", f"the launcher `{extra}` needs the package {package}, which is not installed", help=help
        ) from None


def _number(text: str) -> Any:
    """A value of a launcher's option: a number where it is written as one, else text; ``0123`` may be an account."""
    if re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", text) else text
