"""Launchers: run cells as local processes or through an existing scheduler, several at a time."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from recipe.base import files
from recipe.base.caller import is_command
from recipe.base.errors import fail
from recipe.base.printable import printable
from recipe.base.wording import how_to_install, listing, reason_of

PACKAGES = {"local": None, "slurm": "submitit", "ray": "ray"}

SPARED = ("sh", "-c", 'trap "" USR2; exec "$@"', "sh")
"""Prefix that makes a command ignore USR2. Slurm sends that signal to every process of a job whose time is nearly up,
not only to the one that handles it."""


class Handle(Protocol):
    """A launched command.

    ``poll`` returns its exit code, or None while it waits or runs. ``terminate`` asks it to save and stop.
    """

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...


Launcher = Callable[[Sequence[str], Path, Mapping[str, str]], Handle]
"""Starts a command with extra environment variables and sends its output to a log file that this machine can read."""


@attrs.frozen
class Workers:
    """How to run cells: on which device, how many at a time, and by which launcher. Raises `RecipeError` if invalid.

    Without a ``device``, runs take turns on the CUDA devices, or use the CPU if there are none.
    """

    device: str | None = None
    jobs: int = 1
    launcher: str = "local"
    options: Mapping[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        name, options = self.launcher, self.options
        if self.jobs < 1:
            raise fail("E125", f"`jobs` must be at least 1, not {self.jobs}")
        if name not in PACKAGES:
            raise fail("E125", f"unknown launcher `{name}`", help=f"choose from {listing(PACKAGES)}")
        if self.local and options:
            raise fail("E125", f"the launcher `local` has no option `{next(iter(options))}`")
        if name == "slurm" and not options.keys() & {"timeout_min", "slurm_time"}:
            how = "--launcher-option timeout_min=120" if is_command() else '`options={"timeout_min": "120"}`'
            help = f"set one, such as {how}; unfinished runs resume in another job"
            raise fail("E125", "the launcher `slurm` needs a time limit, or runs end after five minutes", help=help)
        if package := PACKAGES[name]:
            try:
                importlib.import_module(package)
            except ImportError:
                help = how_to_install(f"recipe-compiler[{name}]")
                message = f"the launcher `{name}` needs the package `{package}`, which is not installed"
                raise fail("E125", message, help=help) from None
        else:
            from recipe.devices.choice import pick

            pick(self.device)

    def launched_from(self, folder: Path) -> Launcher:
        """Return the launcher, which may keep its own files in a folder. Raises `RecipeError` (E125)."""
        if self.local:
            return here
        return with_slurm(self.options, folder) if self.launcher == "slurm" else with_ray(self.options)

    @property
    def local(self) -> bool:
        return self.launcher == "local"

    @property
    def devices(self) -> tuple[str | None, ...]:
        """The devices that runs take turns on. Runs on the same device share its time."""
        if self.local and self.device is None and self.jobs > 1:
            import torch

            if (count := torch.cuda.device_count()) > 1:
                return tuple(f"cuda:{number}" for number in range(count))
        return (self.device,)

    @property
    def parallel(self) -> int:
        """How many runs can have a device to themselves."""
        return min(self.jobs, len(self.devices)) if self.local else self.jobs

    @property
    def threads(self) -> int | None:
        """Threads per run if runs share this machine's cores and ``OMP_NUM_THREADS`` is unset, else None."""
        if not self.local or self.jobs == 1 or "OMP_NUM_THREADS" in os.environ:
            return None
        from recipe.devices.choice import cores

        return max(1, cores() // self.jobs)


def _begin(
    command: Sequence[str], log: str | Path, environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    with files.opened_to_append(Path(log)) as file:
        own, null = {**os.environ, **environment}, subprocess.DEVNULL
        return subprocess.Popen(command, stdin=null, stdout=file, stderr=file, env=own, **options)


def call(command: Sequence[str], log: str, environment: Mapping[str, str], folder: str | None = None) -> int:
    """Run a command to completion, with its output in a file, and return its exit code.

    If Ray cancels the task, or submitit's time is nearly up, this call is interrupted and asks the command to save.
    """
    process = _begin([*SPARED, *command], log, environment, cwd=folder)
    try:
        while process.poll() is None:
            time.sleep(0.2)  # Ray could not interrupt `process.wait`
    except BaseException:  # each scheduler raises its own type
        process.terminate()
    return process.wait()


def here(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
    """Run a command as a local process, in its own session so that it does not receive Ctrl-C."""
    return _begin(command, log, environment, start_new_session=True)


def with_slurm(options: Mapping[str, str], folder: Path, cluster: str = "slurm") -> Launcher:
    """Launch Slurm jobs. ``options`` are submitit's: ``timeout_min``, ``slurm_partition``, ``gpus_per_node``."""
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=str(folder / "jobs"), cluster=cluster)
        executor.update_parameters(name="recipe-ablate", **{name: _number(value) for name, value in options.items()})
    except (RuntimeError, NameError, ValueError, AssertionError) as error:
        raise fail("E125", f"can't use Slurm: {reason_of(error)}") from error

    def submit(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        try:
            return _SlurmJob(executor.submit(call, list(command), str(log.absolute()), dict(environment)))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # sbatch rejected the job
            raise fail("E126", f"Slurm rejected the run: {_last_line(error)}") from error

    return submit


@attrs.frozen
class _SlurmJob:
    job: Any

    def poll(self) -> int | None:
        if not self.job.done():
            return None
        try:
            return int(self.job.result())
        except Exception as error:  # submitit raises many types for failed jobs
            print(f"job {self.job.job_id} ended early: {printable(_last_line(error))}", file=sys.stderr)
            return 143 if self.job.state in ("CANCELLED", "INTERRUPTED", "PREEMPTED", "TIMEOUT") else 1

    def terminate(self) -> None:
        self.job.cancel(check=False)


def with_ray(options: Mapping[str, str]) -> Launcher:
    """Launch Ray tasks. ``options`` are those of a remote function: ``num_cpus``, ``num_gpus``."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="ERROR")
    try:
        remote = ray.remote(**{"max_retries": 0, **{name: _number(value) for name, value in options.items()}})(call)
    except (TypeError, ValueError) as error:
        raise fail("E125", f"Ray rejected the launcher options: {reason_of(error)}") from error

    def submit(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        return _RayTask(ray, remote.remote(list(command), str(log.absolute()), dict(environment), os.getcwd()))

    return submit


@attrs.define
class _RayTask:
    ray: Any
    reference: Any
    stopping: bool = False

    def poll(self) -> int | None:
        ready, _ = self.ray.wait([self.reference], timeout=0)
        if not ready:
            if self.stopping:  # the first cancellation may not reach the task
                self.ray.cancel(self.reference)
            return None
        try:
            return int(self.ray.get(self.reference))
        except self.ray.exceptions.TaskCancelledError:
            return 143
        except self.ray.exceptions.RayError as error:
            print(f"a Ray task ended early: {printable(_last_line(error))}", file=sys.stderr)
            return 1

    def terminate(self) -> None:
        self.stopping = True
        self.ray.cancel(self.reference)


def _last_line(error: Exception) -> str:
    return [type(error).__name__, *str(error).strip().splitlines()][-1]


def _number(text: str) -> Any:
    """Parse a launcher option: a number if written as one, else text. ``0123`` stays text, as it may be an account."""
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d{0,17})\.\d{1,18}", text) else text
