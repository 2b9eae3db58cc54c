"""``recipe run --nproc N``: several processes on this machine, started and watched by torch's own elastic launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from typing import NoReturn

from recipe.base.errors import fail
from recipe.base.signals import ignore
from recipe.devices.choice import cores


def launch(processes: int, arguments: list[str]) -> NoReturn:
    """Run ``recipe`` with the same arguments in so many processes, and exit as they do.

    A signal is passed on to them; they save a checkpoint, and then this process exits with 128 + the signal.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if "LOCAL_RANK" in os.environ:
        raise fail("E119", "torchrun has started several processes already", help="leave out --nproc")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "600")  # a large checkpoint on a slow disk
    logging.disable(logging.CRITICAL)  # the processes tell for themselves
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "recipe", *arguments)
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    except ChildFailedError as error:
        sys.exit(_status([failure.exitcode for failure in error.failures.values()]))
    finally:
        ignore()  # all is done, whatever comes now
    sys.exit(0)


def _status(codes: list[int]) -> int:
    """What the processes ended with: the cause, not what followed from it.

    >>> _status([143, 2]), _status([-9, 2]), _status([70, 130])
    (2, 137, 130)
    """
    causes = (3, -signal.SIGKILL, 2, 130, 143)  # the launcher sends SIGTERM to the others of one that failed
    code = next((code for code in (*causes, *codes) if code and code in codes), 1)
    return code if code > 0 else 128 - code
