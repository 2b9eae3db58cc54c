"""The processes that train together: who they are, and what they tell each other.

torchrun starts them (``recipe run --nproc N`` does so through torch's own launcher) and says by environment variables
which is which. Gradients travel by DistributedDataParallel; what steers the loop travels over a gloo group of its own,
so that no device has to wait for it.
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

from recipe.base.errors import RecipeError, fail
from recipe.base.signals import handled
from recipe.devices.choice import world_size

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # to wait for word from the others: the first may be writing to a slow disk


@attrs.define(eq=False)
class Ranks:
    """This process among those that train together; by itself where there is no other."""

    rank: int = 0
    world: int = 1
    control: Any = None
    _asked: Tensor = attrs.field(factory=lambda: torch.zeros(2, dtype=torch.int32))
    _under_way: Any = None

    @classmethod
    def join(cls, device: torch.device) -> Ranks:
        """Meet the other processes, where torchrun started several."""
        if world_size() == 1:
            return cls()
        # What waits in torch for a process that a signal has ended already would never hear of its own signal.
        with handled(signal.SIG_DFL):
            if not dist.is_initialized():
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            control = dist.new_group(backend="gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), control)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and speaks for all."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world > 1

    @property
    def local_world_size(self) -> int:
        """How many processes train together, where all are on this machine; 1 where others are elsewhere."""
        return self.world if str(self.world) == os.environ.get("LOCAL_WORLD_SIZE") else 1

    def broadcast(self, choose: Callable[[], T]) -> T:
        """What the first process chooses, told to all; its error is an error of all."""
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
        """What each process does by itself; an error of one is an error of all."""
        result, wrong = None, None
        try:
            result = do()
        except RecipeError as error:
            wrong = error
        if told := [error for error in self.gather(wrong) if error]:
            raise wrong or told[0]
        return result  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """The value of every process, in order, on all of them."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.several:
            dist.barrier(group=self.control)

    def poll(self, number: int, save: bool) -> tuple[int, bool]:
        """The signal that any process received, and whether the first wants a checkpoint.

        Among several, the answer is that of the step before, and the same on all: nothing waits for it.
        """
        if not self.several:
            return number, save
        if self._under_way is not None:
            self._under_way.wait()
        before = int(self._asked[0]), bool(self._asked[1])
        self._asked = torch.tensor([number, save and self.is_main], dtype=torch.int32)
        self._under_way = dist.all_reduce(self._asked, dist.ReduceOp.MAX, group=self.control, async_op=True)
        return before

    def sum_(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all processes, in place."""
        if self.several:
            dist.all_reduce(tensor)
        return tensor

    def average_(self, tensors: Iterable[Tensor], part: float) -> None:
        """Average float tensors over all processes, in place; ``part`` is the weight of this one, of 1 in all."""
        if not self.several or not (own := list(tensors)):
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in own]).mul_(part)
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in own])  # type: ignore[no-untyped-call]
        torch._foreach_copy_(own, [part.view_as(tensor) for part, tensor in zip(parts, own, strict=True)])

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with its gradients averaged over all processes."""
        if not self.several:
            return model
        wrapped = nn.parallel.DistributedDataParallel
        known = inspect.signature(wrapped).parameters  # before torch 2.14 the latter
        buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return wrapped(model, gradient_as_bucket_view=True, **{buffers: False})  # type: ignore[arg-type]

    def accumulating(self, model: nn.Module, more: bool) -> AbstractContextManager[Any]:
        """The context of a part of a batch: its gradients stay here where ``more`` parts follow."""
        if more and isinstance(model, nn.parallel.DistributedDataParallel):
            return model.no_sync()
        return contextlib.nullcontext()


def leave() -> None:
    """Part from the other processes, when all is done."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def peer_failure(error: BaseException) -> RecipeError | None:
    """The error of a training whose other processes went away, where this is what an error says."""
    words = ("Connection closed by peer", "Connection reset", "Broken pipe", "recvBytes", "remote process exited")
    if not (isinstance(error, RuntimeError) and dist.is_initialized() and any(word in str(error) for word in words)):
        return None
    help = "its own message tells why, or the system's log where it was killed; go on with --resume"
    return fail("E117", "another process of this training is gone; the last checkpoint is whole", help=help)


def first_to_tell() -> bool:
    """Whether this process is the first of those that train together to tell of an error; a lone one always is."""
    if not dist.is_available() or not dist.is_initialized():
        return os.environ.get("RANK", "0") == "0"
    try:
        store = dist.distributed_c10d._get_default_store()
        return int(store.add("told", 1)) == 1
    except (RuntimeError, ValueError):  # the store went away with the process that held it, which told
        return dist.get_rank() == 0
