"""``recipe run --nproc N``: start and monitor several processes on this machine with torch's elastic launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid

from recipe.base.errors import fail
from recipe.base.signals import asked, ignore, stopping
from recipe.devices.choice import cores


def launch(processes: int, arguments: list[str]) -> int:
    """Run ``recipe`` with the same arguments in several processes, and return their exit code.

    Forwards a signal to them. They save a checkpoint, and then the exit code is 128 + the signal's number.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if number := asked():
        return 128 + number
    if "LOCAL_RANK" in os.environ:
        raise fail("E119", "`--nproc` can't be used under torchrun", help="remove --nproc")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "600")  # a large checkpoint on a slow disk
    logging.disable(logging.CRITICAL)  # the processes report their own errors
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        signals_to_handle=",".join(one.name for one in stopping()),
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "recipe", *arguments)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as error:
        return _status([failure.exitcode for failure in error.failures.values()])
    finally:
        ignore()  # everything is done, so late signals don't matter
    return 0


def _status(codes: list[int]) -> int:
    """Choose the exit code that shows the cause of a failure rather than its consequences.

    >>> _status([143, 2]), _status([-9, 2]), _status([70, 130])
    (2, 137, 130)
    """
    causes = (3, -signal.SIGKILL, 2, 130, 129, 143)  # when one process fails, the launcher sends SIGTERM to the others
    code = next((code for code in (*causes, *codes) if code and code in codes), 1)
    return code if code > 0 else 128 - code
