"""Unpickle what torch.save wrote without running any of its code: classes and functions are recorded, not called."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, ClassVar, NamedTuple, NoReturn

import attrs
import torch

DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128, "ComplexFloatStorage": torch.complex64, "UntypedStorage": torch.uint8,
}  # fmt: skip
"""The type of the values in each kind of storage."""

TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
"""The functions of `torch._utils` that make a plain tensor of a storage, an offset, a size and a stride."""

MOST = 1 << 60
"""A bound on sizes, so that no product of two of them is too large for torch."""

DIMENSIONS = 16

MOST_OBJECTS = 2_000_000
"""The most containers and calls in a pickle: a byte of it may make an object that takes hundreds in memory."""

MOST_CLASSES = 10_000
"""The most classes and functions that a pickle may name."""


class Damaged(Exception):
    """The pickle isn't one that torch.save writes."""


class Recorded(dict[Any, Any]):
    """What a pickle makes of a class or a function: its name, its arguments, and the items that it gets.

    Each class and function is a subclass of its own, with its name.
    """

    name: ClassVar[str] = "builtins.dict"
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **options: Any) -> Recorded:
        made = super().__new__(cls)
        made.args, made.state = arguments, None
        return made

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__()

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __setitem__(self, key: Any, value: Any) -> None:
        """Record an item. Other keys than names are left out: to hash one could take any time, and nothing reads it."""
        if isinstance(key, str):
            super().__setitem__(key, value)

    def __call__(self, *arguments: Any, **options: Any) -> Recorded:
        """Stand for the result of a call, such as that of a method."""
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Ignore an item of a list or a set."""

    add = extend = append

    @property
    def items_by_name(self) -> dict[Any, Any]:
        """Its items, also those of an OrderedDict that Python 2 wrote."""
        pairs = self.args[0] if self.name == "collections.OrderedDict" and self.args else ()
        given = {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and isinstance(pair[0], str)}
        return {**given, **self}


class Storage(NamedTuple):
    """The values of one or several tensors, stored elsewhere in the file."""

    key: str
    """Its name in the file."""
    kind: str
    """The name of its class, which says the type of its values."""
    length: int
    """The number of its values."""


@attrs.frozen
class Stored:
    """A tensor in a file: where its values are, and how they are laid out."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def on(self, values: torch.Tensor) -> torch.Tensor:
        """Return the tensor as a view of the values of its storage."""
        return values.as_strided(self.size, self.stride, self.offset)

    def on_meta(self) -> torch.Tensor:
        """Return a tensor of its size and type on the meta device."""
        return torch.empty(self.size, dtype=self.dtype, device="meta")


def stored(value: Any) -> Stored | None:
    """Return the tensor that a recorded value stands for, or None if it is anything else. Raises `Damaged`."""
    if not isinstance(value, Recorded):
        return None
    module, _, function = value.name.rpartition(".")
    args = value.args
    if value.name == "torch._tensor._rebuild_from_type_v2" and len(args) >= 3:
        kind, args = args[0], args[2]
        module, _, function = _name_of(kind).rpartition(".")
    if module != "torch._utils" or not isinstance(args, tuple):
        return None
    if function in ("_rebuild_parameter", "_rebuild_parameter_with_state") and args:
        return stored(args[0])
    return _tensor(function, args) if function in TENSORS else None


def _tensor(function: str, args: tuple[Any, ...]) -> Stored:
    match args:
        case (Storage() as storage, int(offset), size, stride, *rest):
            dtype = DTYPES[storage.kind]
            if function == "_rebuild_tensor_v3":
                dtype = _dtype(_name_of(rest[2]) if len(rest) > 2 else "")
        case _:
            raise Damaged("a tensor without a storage, an offset, a size and a stride")
    sizes, strides = _numbers(size), _numbers(stride)
    last = offset + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True)) if all(sizes) else 0
    held = storage.length * DTYPES[storage.kind].itemsize // dtype.itemsize
    if not 0 <= offset <= held or (all(sizes) and last >= held):
        raise Damaged("a tensor that is larger than its storage")
    return Stored(storage, dtype, offset, sizes, strides)


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, Recorded) and value.name == "torch.Size" and value.args:
        value = value.args[0]
    if not isinstance(value, (tuple, list)) or len(value) > DIMENSIONS:
        raise Damaged("a tensor without a size")
    if not all(isinstance(number, int) and 0 <= number <= MOST for number in value):
        raise Damaged("a tensor of an impossible size")
    return tuple(value)


def _dtype(name: str) -> torch.dtype:
    module, _, kind = name.rpartition(".")
    found = getattr(torch, kind, None) if module == "torch" else None
    if not isinstance(found, torch.dtype):
        raise Damaged("a tensor of an unknown type")
    return found


def _name_of(value: Any) -> str:
    """Return the name of a recorded class or function that the pickle doesn't call."""
    return value.name if isinstance(value, type) and issubclass(value, Recorded) else ""


MAKING = (
    pickle.EMPTY_DICT, pickle.DICT, pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_SET, pickle.FROZENSET, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ,
    pickle.INST,
)  # fmt: skip
"""The codes that make an object which takes more memory than its bytes in the pickle."""


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the function for a code that also counts the object that it makes."""

    def counting(self: Recorder) -> None:
        self.count()
        load(self)

    return counting


class Recorder(pickle._Unpickler):
    """An unpickler that imports nothing and calls nothing of the pickle.

    It is Python's own one, not the one in C, which makes room for as many objects as a pickle claims to have.
    """

    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._objects = 0
        self._classes: dict[str, type[Recorded]] = {}

    def find_class(self, module: str, name: str) -> type[Recorded]:
        """Return a class that records its calls."""
        whole = f"{module}.{name}"
        if whole not in self._classes:
            if len(self._classes) >= MOST_CLASSES:
                raise Damaged(f"more than {MOST_CLASSES:,} classes")
            self._classes[whole] = type("Recorded", (Recorded,), {"name": whole})
        return self._classes[whole]

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that an identifier names, or what stands for a class that was saved with its source."""
        match pid:
            case ("storage", kind, str(key), str(), int(count), *rest) if 0 <= count <= MOST:
                name = _name_of(kind).rpartition(".")[2]
                if name not in DTYPES or (rest and rest[0] is not None):
                    raise Damaged("a storage of an unknown kind")
                return self.storages.setdefault(key, Storage(key, name, count))
            case ("module", kind, *_):
                return kind
        raise Damaged("an unknown identifier")

    def get_extension(self, code: int) -> NoReturn:
        """Refuse an entry of the process's own registry."""
        raise Damaged("an extension")

    def count(self) -> None:
        """Count an object. Raises `Damaged` if there are too many."""
        self._objects += 1
        if self._objects > MOST_OBJECTS:
            raise Damaged(f"more than {MOST_OBJECTS:,} objects")

    def _load_items(self) -> None:
        self.append(Recorded())

    def _load_pairs(self) -> None:
        items, made = self.pop_mark(), Recorded()
        for key, value in zip(items[::2], items[1::2], strict=True):
            made[key] = value
        self.append(made)

    def _load_set(self) -> None:
        self.pop_mark()
        self.append(Recorded())

    def _refuse(self) -> NoReturn:
        raise Damaged("bytes of any length")

    dispatch[pickle.EMPTY_DICT[0]] = dispatch[pickle.EMPTY_SET[0]] = _load_items
    dispatch[pickle.DICT[0]] = _load_pairs
    dispatch[pickle.FROZENSET[0]] = _load_set
    dispatch[pickle.BYTEARRAY8[0]] = _refuse


Recorder.dispatch.update({code: _counted(Recorder.dispatch[code]) for (code,) in MAKING})
