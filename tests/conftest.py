"""What all tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from recipe.plugins.vocabulary import Vocabulary
from recipe.training.runtime import Runtime
from tests import helpers

if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: a thread for each, and for what it starts
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

settings.register_profile(
    "recipe",
    deadline=None,
    database=None,
    max_examples=40 * helpers.MORE,
    suppress_health_check=[HealthCheck.too_slow],  # no test depends on how busy the machine is
)
settings.load_profile("recipe")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """What is drawn at random is drawn by the seed of the commit, hypothesis's examples too.

    What the tests start can be interrupted, also where a shell runs them in the background, which ignores that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(helpers.SEED)


def samples() -> str:
    """The environment in which the same samples are drawn again."""
    more = f" RECIPE_TEST_MORE={helpers.MORE}" if helpers.MORE > 1 else ""
    return f"RECIPE_TEST_SEED={helpers.SEED}{more}"


def pytest_report_header() -> str:
    return f"samples: {samples()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(f"to draw the same samples: {samples()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests leave the user's caches alone, and begin with empty ones.

    torch's has code for the processor that compiled it, and does not tell processors apart.
    """
    os.environ["RECIPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path_factory.mktemp("inductor"))


SYNC, DRAW = os.fsync, Runtime.draw


@pytest.fixture(autouse=True, scope="session")
def _in_haste() -> Iterator[None]:
    """No file waits for the disk, and runs draw no curves: that takes longer than what most tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(Runtime, "draw", lambda self, folder: None)
        yield


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced and curves drawn, as for everybody."""
    monkeypatch.setattr(os, "fsync", SYNC)
    monkeypatch.setattr(Runtime, "draw", DRAW)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where packages can be installed for one test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The installed vocabulary."""
    return helpers.vocabulary()
