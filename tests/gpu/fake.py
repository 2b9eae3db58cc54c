"""A fake CUDA device: a training step on tensors that have a shape, a layout and a device, but no values.

Every operation of the step is watched. Operations that would mix devices, wait for the device, or lose the memory
layout are recorded with the line that calls them, and kernel launches are counted by stage. The backward computation
is left out because torch's engine needs a device; gradients get the layout that the engine would give them.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from recipe.compiler.program import Program
from recipe.data.images import InMemory, Sets
from recipe.devices.precision import NAMES, Precision
from recipe.inference.batches import Batch
from recipe.testing.rules.hooks import mixed
from recipe.training.meters import Meter
from recipe.training.teachers import teachers_of, teaching
from tests.stages import staged

ROOT = Path(__file__).parents[2]
OWN = (str(ROOT / "recipe"), str(ROOT / "tricks"))
CUDA = torch.device("cuda:0")
FORMATS = {name: dtype for dtype, name in NAMES.items()}

VIEWS = {
    "alias", "as_strided", "detach", "detach_", "expand", "lift_fresh", "permute", "select", "slice", "split",
    "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view", "_reshape_alias", "_unsafe_view",
}  # fmt: skip
"""Operations that launch no kernel because they return a view of the same memory."""
EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
"""Operations that launch no kernel because they only allocate memory."""


@attrs.frozen
class Finding:
    """Something that an operation of a step would do on a GPU but shouldn't."""

    kind: str
    """``mixes devices``, ``waits``, ``blocks``, ``loses the layout`` or ``fails``."""
    stage: str
    operation: str
    where: str
    """File and line of the innermost call in this package or a plugin."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.operation} in {self.stage}, {self.where}"


class Watch(TorchDispatchMode):
    """Watches every operation on tensors of the fake device."""

    def __init__(self, channels_last: bool, own: tuple[str, ...] = OWN) -> None:
        super().__init__()
        self.channels_last, self.own = channels_last, own
        self.stage = ["rest"]
        self.launches: Counter[str] = Counter()
        self.findings: list[Finding] = []

    @contextlib.contextmanager
    def enter(self, stage: str) -> Iterator[None]:
        self.stage.append(stage)
        try:
            yield
        finally:
            self.stage.pop()

    def clear(self) -> None:
        """Discard what was seen so far, as after the first step, which also allocates state for later ones."""
        self.launches.clear()
        self.findings.clear()

    def note(self, kind: str, operation: str) -> None:
        self.findings.append(Finding(kind, self.stage[-1], operation, self._where()))

    def _where(self) -> str:
        frame = sys._getframe(2)
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self.own):
                return f"{Path(file).name}:{frame.f_lineno}"
            frame = frame.f_back  # type: ignore[assignment]
        return "elsewhere"

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.__name__.partition(".")[0]
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if name == "_local_scalar_dense":
            if _on_device(tensors):
                self.note("waits", "item")
            return {torch.bool: True}.get(tensors[0].dtype, 0.0 if tensors[0].is_floating_point() else 1)
        if name.startswith(("_fused_", "_amp_")):
            return self._fused(name, args, tensors)
        try:
            found = function(*args, **kwargs)
        except (DynamicOutputShapeException, DataDependentOutputException):
            self.note("waits", f"{name}, whose result has a size that depends on values")
            raise
        except Exception as error:
            told = str(error).strip().split("\n")[0]
            self.note("mixes devices" if mixed(told) else "fails", f"{name} ({told})")
            raise
        results = [one for one in tree_leaves(found) if isinstance(one, Tensor)]
        if name in ("_to_copy", "copy_", "_foreach_copy_"):
            source, target = (tensors[0], results[0]) if name == "_to_copy" else (tensors[-1], tensors[0])
            waiting = not (kwargs.get("non_blocking") or (name != "_to_copy" and len(args) > 2 and args[2]))
            if self._moved(name, source, target, waiting):
                return found
        if _on_device([*tensors, *results]):
            self._look(name, args, tensors)
            if name not in VIEWS | EMPTY | {"device"}:
                self.launches[self.stage[-1]] += 1
        return found

    def _moved(self, name: str, source: Tensor, target: Tensor, waiting: bool) -> bool:
        """Whether a copy goes between the CPU and the device; if it waits, record that."""
        if source.device.type == target.device.type:
            return False
        self.launches[self.stage[-1]] += 1
        if source.device.type == "cuda":
            self.note("waits", f"{name} to the CPU")
        elif waiting:
            self.note("blocks", f"{name} from the CPU")
        return True

    def _look(self, name: str, args: Any, tensors: list[Tensor]) -> None:
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            places = [one for one in tree_leaves(args[1]) if isinstance(one, Tensor)]
            if any(one.dtype in (torch.bool, torch.uint8) for one in places):
                self.note("waits", f"{name} by a mask")
            elif any(one.device.type == "cpu" and one.ndim for one in places):
                self.note("blocks", f"{name} by numbers on the CPU")
        if name == "convolution" and self.channels_last:
            lost = [one for one in tensors[:2] if one.ndim == 4 and not _is_channels_last(one)]
            if lost:
                self.note("loses the layout", f"{name} of {tuple(lost[0].shape)} with strides {lost[0].stride()}")

    def _fused(self, name: str, args: Any, tensors: list[Tensor]) -> Any:
        """Check a kernel over lists of weights, gradients and state, which pairs their elements by memory address."""
        self.launches[self.stage[-1]] += 1
        if any(one.device.type != "cuda" for one in tensors):
            self.note("mixes devices", name)
        lists = [one for one in args if isinstance(one, (list, tuple)) and one and isinstance(one[0], Tensor)]
        for together in zip(*lists[:3], strict=False) if name.startswith("_fused_") else ():
            if len({(tuple(one.shape), _strides(one)) for one in together}) > 1:
                shown = ", ".join(str(one.stride()) for one in together)
                self.note("loses the layout", f"{name} of {tuple(together[0].shape)} with strides {shown}")
                break
        return args[0] if "update_scale" in name else None


def _on_device(tensors: list[Tensor]) -> bool:
    return any(one.device.type == "cuda" for one in tensors)


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Return the strides of axes with several elements; those of other axes don't affect the layout."""
    return tuple(stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


@contextlib.contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Pretend to have one CUDA device, and yield the mode that creates tensors on it."""
    there = {
        "is_available": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "is_current_stream_capturing": lambda: False,
        "_lazy_init": lambda: None,
        "manual_seed_all": lambda seed: None,
    }
    with (
        warnings.catch_warnings(),
        mock.patch.multiple(torch.cuda, **there),
        mock.patch.object(FakeTensorMode, "avoid_device_init", property(lambda self: True)),
        mock.patch.object(fake_tensor, "init_gpu_context", return_value=None),
        mock.patch.object(fake_tensor, "CONSTANT_NUMEL_LIMIT", -1),  # or item() of small tensors doesn't wait
        mock.patch.object(_foreach_utils, "_foreach_supported_types", [Tensor, FakeTensor]),
        mock.patch.object(nn.Module, "to", _to),
        mock.patch.object(Tensor, "backward", return_value=None),
    ):
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")  # copying a model does that
        yield FakeTensorMode(allow_non_fake_inputs=True)


def _to(module: nn.Module, device: Any = None, *, memory_format: torch.memory_format | None = None) -> nn.Module:
    """Move a module like `Module.to`, but replace parameters because fake ones can't change in place."""

    def moved(tensor: Tensor) -> Tensor:
        format = memory_format if memory_format is not None and tensor.ndim == 4 else torch.preserve_format
        return tensor.detach().to(device, memory_format=format)

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(moved(parameter), requires_grad=parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved(buffer)
    return module


def faked(program: Program, mode: FakeTensorMode) -> Program:
    """Replace the tensors of a program's model with fake ones on the CPU."""
    model = program.model
    for part in model.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                one = mode.from_tensor(parameter.detach())
                part._parameters[name] = nn.Parameter(one, requires_grad=parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    return program


def step(
    program: Program,
    *,
    form: str = "fp16",
    batch: int = 8,
    steps: int = 2,
    uniform: bool = True,
    watch: Watch | None = None,
) -> Watch:
    """Take a few training steps of a program on a fake device, and return a watch with the findings of the last one.

    ``form`` is the precision; ``uniform`` states whether images are cropped on the device. The program can't be used
    afterwards. A failure is added to the findings and raised.
    """
    size, classes = program.costs.size, program.classes
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    images = InMemory(pixels, torch.arange(batch) % classes, uniform)
    chosen = Precision(form, FORMATS[form], form == "fp16", CUDA)
    teachers = [teacher for _, teacher in teachers_of(program.plan, classes)]
    for one in (program, *teachers):
        one.model, one.identity  # noqa: B018 (compute them now, while tensors have values)
    with fake_cuda() as mode:
        for one in (program, *teachers):
            faked(one, mode)
        watch = watch or Watch(program.training.channels_last)
        with mode:
            teach = {one.plan.digest: teaching(one, CUDA) for one in teachers}
            trainer = staged(program, Sets(images, images, classes), CUDA, chosen, teach, watch.enter)
            trainer.model.train()
            meter = Meter.on(CUDA)

            def backward(loss: Tensor, *_: Any, **__: Any) -> None:
                assert loss.requires_grad
                with torch.no_grad(), watch.enter("engine"):
                    for weight in trainer.update.weights:
                        if weight.requires_grad:
                            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad.add_(1)

            with mock.patch.object(Tensor, "backward", backward), watch:
                for _ in range(steps):
                    made = Batch(images.pixels, images.labels, np.arange(batch), 0, trainer.step, batch).to(CUDA)
                    watch.clear()
                    trainer.train_step(made, meter)
    return watch
