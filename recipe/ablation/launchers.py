"""Who runs the cells, and how many at a time: processes of this machine, or a scheduler that is there already."""

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

from recipe.base.errors import fail
from recipe.base.wording import listing, reason_of

PACKAGES = {"local": None, "slurm": "submitit", "ray": "ray"}

SPARED = ("sh", "-c", 'trap "" USR2; exec "$@"', "sh")
"""What runs a command so that it ignores the signal by which Slurm tells all processes of a job, not only the one that
is to see to it, that its time is nearly over."""


class Handle(Protocol):
    """A command that was handed over.

    ``poll`` gives its exit status, or None while it waits or runs; ``terminate`` asks it to save and to end.
    """

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...


Launcher = Callable[[Sequence[str], Path, Mapping[str, str]], Handle]
"""Runs a command somewhere, with what it prints in a log file that this machine sees, and variables of its own."""


@attrs.frozen
class Workers:
    """So many runs at a time, on a device, by a launcher with its options. Raises `RecipeError` where that can't be.

    Without a ``device`` it is the CUDA devices in turn, else the CPU.
    """

    device: str | None = None
    jobs: int = 1
    launcher: str = "local"
    options: Mapping[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        name, options = self.launcher, self.options
        if self.jobs < 1:
            raise fail("E125", f"one run or more at a time, not {self.jobs}")
        if name not in PACKAGES:
            raise fail("E125", f"there is no launcher `{name}`", help=f"there are {listing(PACKAGES)}")
        if self.local and options:
            raise fail("E125", f"the launcher `local` has no option `{next(iter(options))}`")
        if name == "slurm" and not options.keys() & {"timeout_min", "slurm_time"}:
            help = "such as --launcher-option timeout_min=120; what is not done by then goes on in another job"
            raise fail("E125", "Slurm needs to know how long a run may take, or ends it after five minutes", help=help)
        if package := PACKAGES[name]:
            try:
                importlib.import_module(package)
            except ImportError:
                help = f"`pip install 'recipe-compiler[{name}]'` installs it"
                message = f"the launcher `{name}` needs the package {package}, which is not installed"
                raise fail("E125", message, help=help) from None
        else:
            from recipe.devices.choice import pick

            pick(self.device)

    def launched_from(self, folder: Path) -> Launcher:
        """The launcher, which may keep files of its own in a folder. Raises `RecipeError` (E125) for wrong options."""
        if self.local:
            return here
        return with_slurm(self.options, folder) if self.launcher == "slurm" else with_ray(self.options)

    @property
    def local(self) -> bool:
        return self.launcher == "local"

    @property
    def devices(self) -> tuple[str | None, ...]:
        """The devices that runs take turns on; on each one they share its time."""
        if self.local and self.device is None and self.jobs > 1:
            import torch

            if (count := torch.cuda.device_count()) > 1:
                return tuple(f"cuda:{number}" for number in range(count))
        return (self.device,)

    @property
    def parallel(self) -> int:
        """How many runs have a device each."""
        return min(self.jobs, len(self.devices)) if self.local else self.jobs

    @property
    def threads(self) -> int | None:
        """How many threads each run gets, where they share this machine's cores and the user does not say."""
        if not self.local or self.jobs == 1 or "OMP_NUM_THREADS" in os.environ:
            return None
        from recipe.devices.choice import cores

        return max(1, cores() // self.jobs)


def _begin(
    command: Sequence[str], log: str | Path, environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    with open(log, "ab") as file:
        own, null = {**os.environ, **environment}, subprocess.DEVNULL
        return subprocess.Popen(command, stdin=null, stdout=file, stderr=file, env=own, **options)


def call(command: Sequence[str], log: str, environment: Mapping[str, str], folder: str | None = None) -> int:
    """Run a command to its end, with its output in a file; gives its exit status.

    It is asked to save and end where Ray cancels its task, or its time is nearly over by submitit: both interrupt this.
    """
    process = _begin([*SPARED, *command], log, environment, cwd=folder)
    try:
        while process.poll() is None:
            time.sleep(0.2)  # not a wait, which Ray could not interrupt
    except BaseException:  # each scheduler has its own
        process.terminate()
    return process.wait()


def here(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
    """Run a command as a process of this machine, in a session of its own, so that a Ctrl-C is not sent to it too."""
    return _begin(command, log, environment, start_new_session=True)


def with_slurm(options: Mapping[str, str], folder: Path, cluster: str = "slurm") -> Launcher:
    """Jobs of Slurm. ``options`` are submitit's parameters: ``timeout_min``, ``slurm_partition``, ``gpus_per_node``."""
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=str(folder / "jobs"), cluster=cluster)
        executor.update_parameters(name="recipe-ablate", **{name: _number(value) for name, value in options.items()})
    except (RuntimeError, NameError, ValueError, AssertionError) as error:
        raise fail("E125", f"Slurm can't be used: {reason_of(error)}") from error

    def submit(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        try:
            return _SlurmJob(executor.submit(call, list(command), str(log.absolute()), dict(environment)))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # as sbatch refuses it
            raise fail("E126", f"Slurm does not take the run: {_last_line(error)}") from error

    return submit


@attrs.frozen
class _SlurmJob:
    job: Any

    def poll(self) -> int | None:
        if not self.job.done():
            return None
        try:
            return int(self.job.result())
        except Exception as error:  # submitit raises what a job died of, as many types
            print(f"the job {self.job.job_id} ended early: {_last_line(error)}", file=sys.stderr)
            return 143 if self.job.state in ("CANCELLED", "INTERRUPTED", "PREEMPTED", "TIMEOUT") else 1

    def terminate(self) -> None:
        self.job.cancel(check=False)


def with_ray(options: Mapping[str, str]) -> Launcher:
    """Tasks of Ray. ``options`` are those of a remote function: ``num_cpus``, ``num_gpus``."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="ERROR")
    try:
        remote = ray.remote(**{"max_retries": 0, **{name: _number(value) for name, value in options.items()}})(call)
    except (TypeError, ValueError) as error:
        raise fail("E125", f"Ray does not take this: {reason_of(error)}") from error

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

    def terminate(self) -> None:
        self.stopping = True
        self.ray.cancel(self.reference)


def _last_line(error: Exception) -> str:
    return [type(error).__name__, *str(error).strip().splitlines()][-1]


def _number(text: str) -> Any:
    """A value of a launcher's option: a number where it is written as one, else text; ``0123`` may be an account."""
    if re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", text) else text
