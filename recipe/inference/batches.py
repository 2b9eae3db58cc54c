"""Batches of images: how they are fetched, in which worker processes, and how they get to a device."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recipe.base.caller import option
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import ignore
from recipe.base.wording import first_line, plural, system_reason
from recipe.data.images import Array, Images
from recipe.data.views import crops_of
from recipe.devices.choice import is_out_of_memory

Numbers = npt.NDArray[np.int64]

LARGEST = 256
"""The largest batch for evaluation, unless a caller asks for another one."""


def evaluated_at_once(batch: int, micro: int | None, views: str = "single") -> int:
    """Return how many images to evaluate at a time, given the size of the training's batches and micro-batches."""
    return max(1, min(micro or batch, LARGEST) // crops_of(views))


@attrs.frozen(eq=False)
class Batch:
    """One process's share of a batch: uint8 images, labels, the indices of the images, and the epoch and step.

    ``total`` is the number of images in the whole batch. ``counted`` is false if the images only fill in for an empty
    share. ``skipped`` lists each image that could not be decoded, by its index, with the reason.
    """

    images: Tensor
    labels: Tensor
    indices: Numbers
    epoch: int
    step: int
    total: int = 0
    counted: bool = True
    skipped: tuple[tuple[int, str], ...] = ()
    occurrences: Numbers | None = None
    """In training, how often each image came before in its epoch. None if none did."""

    def pin_memory(self) -> Batch:
        return attrs.evolve(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device without waiting for the copy."""
        return attrs.evolve(
            self,
            images=self.images.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
        )


Loaded = Batch | tuple[Diagnostic, ...]
"""What a worker sends: a batch, or its errors as diagnostics, because `RecipeError` does not survive the transfer."""


def fetched(
    images: Images, indices: Numbers, size: int | None = None, boxer: Callable[[int, int, int], Array] | None = None
) -> Tensor:
    """Fetch images by index: uint8 (N, 3, H, W), with sides of ``size`` pixels if given, or several crops of each.

    Raises `RecipeError` for images that can't be read (E070), and for a dataset that violates `Images` (E080).
    """
    kind = type(images)
    name = f"`fetch` of `{kind.__module__}.{kind.__qualname__}`"
    try:
        pixels: Any = images.fetch(indices, boxer)
    except RecipeError:
        raise
    except (OSError, ValueError) as error:
        raise fail("E070", f"an image can't be read: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            message = f"there is too little memory to load {plural(len(indices), 'image')} at once"
            raise fail("E115", message, help="use smaller batches, smaller images or fewer `workers`") from error
        raise fail("E080", f"{name} is broken: {first_line(error)}") from error
    count = len(indices) * getattr(images, "crops", 1)
    wanted, sides = (torch.uint8, (count, 3)), "H, W" if size is None else f"{size}, {size}"
    alike = isinstance(pixels, Tensor) and pixels.ndim == 4 and (pixels.dtype, pixels.shape[:2]) == wanted
    if alike and (size is None or pixels.shape[2:] == (size, size)):
        return pixels  # type: ignore[no-any-return]
    given = f"{pixels.dtype} {(*pixels.shape,)}" if isinstance(pixels, Tensor) else f"a {type(pixels).__name__}"
    raise fail("E080", f"{name} is broken: it returns {given}, not torch.uint8 ({count}, 3, {sides})")


def unreadable(error: RecipeError) -> str:
    """Return why an image is skipped. Raises the error again if the image is not at fault."""
    (why,) = error.diagnostics
    if why.code != "E070":
        raise error
    return why.message


class InOrder(Dataset[Loaded]):
    """The evaluation batches."""

    def __init__(self, images: Images, batch: int, skip: bool = False, size: int | None = None) -> None:
        self.images, self.batch, self.skip, self.size = images, batch, skip, size

    def __len__(self) -> int:
        return -(-len(self.images.labels) // self.batch)

    def __getitem__(self, step: int) -> Loaded:
        indices = np.arange(step * self.batch, min((step + 1) * self.batch, len(self.images.labels)))
        skipped: dict[int, str] = {}
        try:
            pixels = self._sound(indices, skipped) if self.skip else fetched(self.images, indices, self.size)
        except RecipeError as error:
            return error.diagnostics
        kept = indices[[index not in skipped for index in indices.tolist()]]
        labels = self.images.labels[torch.from_numpy(kept)]
        return Batch(pixels, labels, kept, 0, step, len(kept), len(kept) > 0, tuple(skipped.items()))

    def _sound(self, indices: Numbers, skipped: dict[int, str]) -> Tensor:
        """Return the images that can be decoded, and add the others to ``skipped``."""
        pixels = [torch.empty(0)]
        for index in indices:
            try:
                pixels.append(fetched(self.images, np.array([index]), self.size))
            except RecipeError as error:
                skipped[int(index)] = unreadable(error)
        return torch.cat(pixels[1:]) if len(pixels) > 1 else pixels[0]


def load(dataset: Dataset[Loaded], steps: Iterable[int], workers: int, pin: bool) -> Iterator[Batch]:
    """Yield batches by index, made by ``workers`` worker processes. Raises their errors, and E117 if one is lost."""
    loader = partial(DataLoader, batch_size=None, num_workers=workers, pin_memory=pin, worker_init_fn=_undisturbed)
    batches = _start(lambda: iter(loader(dataset, sampler=steps)))
    _end_at_exit(batches)
    while True:
        try:
            loaded = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            raise _lost(error, batches) or error from None
        if not isinstance(loaded, Batch):
            raise RecipeError(*loaded)
        yield loaded


def _end_at_exit(batches: Iterator[Loaded]) -> None:
    """End the workers of a loader if Python exits first. It would wait for them forever, since they ignore SIGTERM.

    A caller may hold batches that it doesn't take, or the traceback of an exception that refers to them.
    """
    workers = _workers(batches)

    def end() -> None:
        for worker in workers:
            worker.kill()

    atexit.register(end)  # called before torch's, which was registered when the workers were started
    weakref.finalize(batches, atexit.unregister, end).atexit = False


def _start(make: Callable[[], Iterator[Loaded]]) -> Iterator[Loaded]:
    """Start the worker processes of a loader. Raises E117 if the system doesn't allow that many."""
    handler, others = signal.getsignal(signal.SIGCHLD), {*multiprocessing.active_children()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores, as requested
            return make()
    except OSError as error:
        for worker in {*multiprocessing.active_children()} - others:  # they ignore SIGTERM, so Python would wait
            worker.kill()
        reason = f"the processes that load images can't be started: {system_reason(error)}"
        raise fail("E117", reason, help="use fewer `workers`") from error
    finally:
        # torch's handler raises wherever the training is when a worker dies. `next` notices it too, within seconds.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)


def _workers(batches: Iterator[Loaded]) -> Sequence[BaseProcess]:
    """Return the worker processes of a loader."""
    workers: Sequence[BaseProcess] = getattr(batches, "_workers", ())
    return workers


def _lost(error: Exception, batches: Iterator[Loaded]) -> RecipeError | None:
    """Return E117 if an error means that a worker process was lost, or None if the error was raised in a worker."""
    workers = _workers(batches)
    if not workers or "in DataLoader worker process" in str(error):
        return None
    help = f"if memory or shared memory ran out, use fewer `workers`; resume with {option('--resume')}"
    if "Too many open files" in str(error):
        return fail("E117", "the processes that load images can't be reached: too many open files", help=help)
    statuses = [worker.exitcode for worker in workers if worker.exitcode]
    how = f"was killed by {signal.Signals(-statuses[0]).name}" if statuses and statuses[0] < 0 else "exited"
    return fail("E117", f"a process that loads images {how}; the last checkpoint is intact", help=help)


def _undisturbed(worker: int) -> None:
    """Ignore stop signals in a worker. The training process handles them, and ends its workers itself."""
    ignore()


def ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on a device. On CUDA, a separate stream copies each one while the previous one is in use."""
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: Batch | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            moved = batch.to(device)
        if waiting is not None:
            yield waiting
        torch.cuda.current_stream(device).wait_stream(stream)
        for tensor in (moved.images, moved.labels):
            tensor.record_stream(torch.cuda.current_stream(device))
        waiting = moved
    if waiting is not None:
        yield waiting
