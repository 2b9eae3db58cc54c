"""Processes that train together, as torchrun starts them."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.durability.rank"])  # so that processes start with everything imported

PATIENCE = 300
"""The number of seconds after which processes that don't end count as hung."""


def _port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def together(world: int, target: Callable[..., None], arguments: Callable[[int], tuple[Any, ...]]) -> int:
    """Call a function in ``world`` processes, and return their highest exit code.

    Args:
        world: the number of processes.
        target: takes the environment variables of its process, then its arguments.
        arguments: returns the arguments of the process with a rank.
    """
    port, processes = str(_port()), []
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for rank in range(world):
        environment = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(FORKS.Process(target=target, args=(environment, *arguments(rank))))
        processes[-1].start()
    end = time.monotonic() + PATIENCE
    try:
        for process in processes:
            process.join(max(0, end - time.monotonic()))
        assert all(process.exitcode is not None for process in processes), "a process hangs"
    finally:
        for process in processes:
            process.kill()
    return max(abs(process.exitcode) for process in processes)
