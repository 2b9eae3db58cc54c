"""The modes of torch that a caller may be in, set aside while this package computes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def plain_torch() -> Iterator[None]:
    """A context in which torch computes as it does by default, whatever the modes of the caller, which it restores.

    The modes are autocast, gradient and inference mode, and the default dtype and device. Does nothing if torch isn't
    loaded: then it is in no mode, and what needs no torch must not load it.
    """
    if "torch" not in sys.modules:
        yield
        return
    import torch

    dtype = torch.get_default_dtype()
    with contextlib.ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        modes.callback(torch.set_default_dtype, dtype)
        yield
