"""Read the files that torch.save writes, in its zip format and its older one, without running any code in them."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any

import attrs
import torch

from recipe.compiler.torch_pickle import DTYPES, Damaged, Recorder, Storage, Stored

MAGIC = 0x1950A86A20F9469CFC6C
"""The number that begins a file in the older format."""

LONGEST = 1 << 25
"""The longest pickle to read, in bytes. It holds names and shapes, not values."""

FOLDER = 0x10
"""The bit that marks an entry of an archive as a folder, of which readers return no content."""

OTHER_ORDER = ("was written on a machine with another byte order", "save it on a machine of this kind")
"""What to say of such a file, and help."""


class Unsupported(Exception):
    """A file that is sound, but not one of weights. ``args`` are a clause about the file, and help."""


@attrs.frozen
class TorchFile:
    """An open file that torch.save wrote."""

    content: Any
    """What was saved. See `recipe.compiler.torch_pickle` for what stands for objects."""
    _read: Callable[[Storage], bytearray]

    def tensors(self, wanted: dict[str, Stored]) -> dict[str, torch.Tensor]:
        """Return the values of tensors. Raises `Damaged` if they are not all in the file."""
        storages: dict[tuple[str, torch.dtype], torch.Tensor] = {}
        found = {}
        for name, tensor in wanted.items():
            place = (tensor.storage.key, tensor.dtype)
            if place not in storages:
                values = self._read(tensor.storage)
                if len(values) < tensor.storage.length * DTYPES[tensor.storage.kind].itemsize:
                    raise Damaged("fewer values than its tensors need")
                count, empty = len(values) // tensor.dtype.itemsize, torch.empty(0, dtype=tensor.dtype)
                storages[place] = torch.frombuffer(values, dtype=tensor.dtype, count=count) if count else empty
            found[name] = tensor.on(storages[place])
        return found


def from_zip(file: IO[bytes]) -> TorchFile:
    """Open a file in the zip format. Raises `Unsupported` or, as for damage, any other exception."""
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        help = "if weights are inside, unpack it, and name the file with them"
        raise Unsupported("is a zip archive that `torch.save` did not write", help)
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        help = 'save its weights: `torch.save(torch.jit.load("FILE").state_dict(), "weights.pth")`'
        raise Unsupported("is a TorchScript program, not a file of weights", help)
    size = file.seek(0, 2)
    for entry in entries.values():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Damaged("a compressed entry, which torch never writes")
        if entry.external_attr & FOLDER:
            raise Damaged("a folder, which torch never writes")
        if not entry.CRC:  # torch can leave it out
            entry.CRC = None  # type: ignore[assignment]
    if sum(entry.file_size for entry in entries.values()) > size:
        raise Damaged("entries that overlap")
    if entries[pickles[0]].file_size > LONGEST:
        raise Unsupported(*_too_long())
    if f"{root}byteorder" in entries and archive.read(f"{root}byteorder").decode("ascii", "replace") != sys.byteorder:
        raise Unsupported(*OTHER_ORDER)
    content = Recorder(BytesIO(archive.read(pickles[0]))).load()
    return TorchFile(content, lambda storage: bytearray(archive.read(f"{root}data/{storage.key}")))


def from_pickles(file: IO[bytes]) -> TorchFile:
    """Open a file in the older format: pickles, then the values. Raises `Unsupported` or, as for damage, any other."""
    pickled = BytesIO(file.read(LONGEST))
    if Recorder(pickled).load() != MAGIC:
        help = "load it in Python, and save its tensors with `torch.save` or `safetensors.torch.save_file`"
        raise Unsupported("is a pickle that `torch.save` did not write", help)
    try:
        Recorder(pickled).load()  # the version of the protocol
        machine = Recorder(pickled).load()
        if machine["little_endian"] != (sys.byteorder == "little"):
            raise Unsupported(*OTHER_ORDER)
        recorder = Recorder(pickled)
        content, keys = recorder.load(), Recorder(pickled).load()
    except EOFError:
        if len(pickled.getbuffer()) == LONGEST:
            raise Unsupported(*_too_long()) from None
        raise
    places: dict[str, tuple[int, int]] = {}
    at, size = pickled.tell(), file.seek(0, 2)
    for key in keys:
        storage = recorder.storages[key]
        file.seek(at)
        (count,) = struct.unpack("<q", file.read(8))
        length = count * DTYPES[storage.kind].itemsize
        if count < storage.length or at + 8 + length > size:
            raise Damaged("fewer values than its tensors need")
        places[key] = (at + 8, length)
        at += 8 + length

    def read(storage: Storage) -> bytearray:
        start, length = places[storage.key]
        values = bytearray(length)
        file.seek(start)
        file.readinto(values)  # type: ignore[attr-defined]
        return values

    return TorchFile(content, read)


def _too_long() -> tuple[str, str]:
    help = "save the weights alone: `torch.save(model.state_dict(), PATH)`"
    return f"has more than {LONGEST >> 20} MiB of other things than tensors", help
