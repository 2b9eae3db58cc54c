"""The processes that train together, and the communication between them.

torchrun starts them (``recipe run --nproc N`` uses torch's launcher directly) and sets their ranks through environment
variables. DistributedDataParallel exchanges the gradients. Messages that control the loop use a separate gloo group,
so that no device has to wait for them.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeVar

import attrs
import torch
import torch.distributed as dist
from torch import Tensor, nn

from recipe.base.caller import option
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import Terminated, asked, handled
from recipe.devices.choice import world_size

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # timeout for messages: the first process may be writing to a slow disk


@attrs.define(eq=False)
class Ranks:
    """This process among those that train together. By default, it is the only one."""

    rank: int = 0
    world: int = 1
    control: Any = None
    _asked: Tensor = attrs.field(factory=lambda: torch.zeros(3, dtype=torch.int32))
    _under_way: Any = None

    @classmethod
    def join(cls, device: torch.device) -> Ranks:
        """Connect to the other processes if torchrun started several."""
        if world_size() == 1:
            return cls()
        # While torch waits for a process that a signal has already ended, a Python signal handler would never run.
        with handled(signal.SIG_DFL):
            if number := asked():
                raise Terminated(number)
            if not dist.is_initialized():
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            control = dist.new_group(backend="gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), control)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints output."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world > 1

    @property
    def local_world_size(self) -> int:
        """The number of processes that train together if all are on this machine, otherwise 1."""
        return self.world if str(self.world) == os.environ.get("LOCAL_WORLD_SIZE") else 1

    def broadcast(self, choose: Callable[[], T]) -> T:
        """Return the first process's choice in every process. If it raises an error, all processes do."""
        if not self.several:
            return choose()
        told: list[Any] = [None]
        if self.is_main:
            try:
                told = [choose()]
            except RecipeError as error:
                told = [error]
            except Exception as error:
                reason = fail("E117", f"the first process failed: {type(error).__name__}: {error}")
                dist.broadcast_object_list([reason], 0, group=self.control)
                raise
        dist.broadcast_object_list(told, 0, group=self.control)
        if isinstance(told[0], RecipeError):
            raise told[0]
        return told[0]  # type: ignore[no-any-return]

    def run_on_all(self, do: Callable[[], T]) -> T:
        """Run a function in each process. If it raises a `RecipeError` in any of them, all processes raise one."""
        result, wrong = None, None
        try:
            result = do()
        except RecipeError as error:
            wrong = error
        if told := [error for error in self.gather(wrong) if error]:
            raise wrong or told[0]
        return result  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, ordered by rank, in every process."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values

    def collect(self, value: T) -> list[T] | None:
        """Return the values of all processes, ordered by rank, in the first process, and None in the others."""
        if not self.several:
            return [value]
        values: list[Any] | None = [None] * self.world if self.is_main else None
        dist.gather_object(value, values, group=self.control)
        return values

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.several:
            dist.barrier(group=self.control)

    def poll(self, number: int, save: bool, end: int = 0) -> tuple[int, bool, int]:
        """Return a signal that any process received, and whether the first process wants a checkpoint and an early end.

        The early end is a number other than 0, such as that of its reason.

        With several processes, the result is from the previous step, so that no step waits for it. It is the same in
        all of them.
        """
        if not self.several:
            return number, save, end
        if self._under_way is not None:
            self._under_way.wait()
        before = int(self._asked[0]), bool(self._asked[1]), int(self._asked[2])
        self._asked = torch.tensor([number, save and self.is_main, end * self.is_main], dtype=torch.int32)
        self._under_way = dist.all_reduce(self._asked, dist.ReduceOp.MAX, group=self.control, async_op=True)
        return before

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes in place."""
        if self.several:
            dist.all_reduce(tensor)
        return tensor

    def average_(self, tensors: Iterable[Tensor], part: float) -> None:
        """Average float tensors over all processes in place. ``part`` is this process's weight; weights sum to 1."""
        if not self.several or not (own := list(tensors)):
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in own]).mul_(part)
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in own])  # type: ignore[no-untyped-call]
        torch._foreach_copy_(own, [part.view_as(tensor) for part, tensor in zip(parts, own, strict=True)])

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model wrapped so that its gradients are averaged over all processes."""
        if not self.several:
            return model
        wrapped = nn.parallel.DistributedDataParallel
        known = inspect.signature(wrapped).parameters  # the latter before torch 2.14
        buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return wrapped(model, gradient_as_bucket_view=True, **{buffers: False})  # type: ignore[arg-type]

    def accumulating(self, model: nn.Module, more: bool) -> AbstractContextManager[Any]:
        """Return the context for a micro-batch. It keeps gradients local if ``more`` micro-batches follow."""
        if more and isinstance(model, nn.parallel.DistributedDataParallel):
            return model.no_sync()
        return contextlib.nullcontext()


def leave() -> None:
    """Disconnect from the other processes at the end."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def peer_failure(error: BaseException) -> RecipeError | None:
    """Return E117 if an error means that another process has exited, otherwise None."""
    words = ("Connection closed by peer", "Connection reset", "Broken pipe", "recvBytes", "remote process exited")
    if not (isinstance(error, RuntimeError) and dist.is_initialized() and any(word in str(error) for word in words)):
        return None
    help = f"see its own message, or the system log if it was killed; resume with {option('--resume')}"
    return fail("E117", "another process of this run exited; the last checkpoint is intact", help=help)


def first_to_tell() -> bool:
    """Whether this process is the first to report an error. A single process always is."""
    if not dist.is_available() or not dist.is_initialized():
        return os.environ.get("RANK", "0") == "0"
    try:
        store = dist.distributed_c10d._get_default_store()
        return int(store.add("told", 1)) == 1
    except (RuntimeError, ValueError):  # the process that hosted the store has exited, after reporting
        return dist.get_rank() == 0
