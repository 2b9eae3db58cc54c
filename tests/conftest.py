"""Hooks and fixtures for all tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from recipe.ablation.report import chart
from recipe.plugins.vocabulary import Vocabulary
from recipe.training.runtime import Runtime
from tests import helpers

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread per process, because each core has a worker
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

settings.register_profile(
    "recipe",
    deadline=None,
    database=None,
    max_examples=40 * helpers.MORE,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine must not fail a test
)
settings.load_profile("recipe")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Seed hypothesis with `helpers.SEED`, and make sure that signals can interrupt the processes that tests start.

    Processes that a shell runs in the background ignore SIGINT, those under nohup SIGHUP, and so do their children.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(helpers.SEED)


def samples() -> str:
    """Return the environment variables that reproduce the samples."""
    more = f" RECIPE_TEST_MORE={helpers.MORE}" if helpers.MORE > 1 else ""
    return f"RECIPE_TEST_SEED={helpers.SEED}{more}"


def pytest_report_header() -> str:
    return f"samples: {samples()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(f"set these to repeat the samples: {samples()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no worker starts one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use empty caches instead of the user's.

    torch's cache contains code for the processor that compiled it, but doesn't check which processor uses it.
    """
    os.environ["RECIPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path_factory.mktemp("inductor"))
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("datasets"))
    if loaded := sys.modules.get("datasets"):  # it has read the variable
        loaded.config.HF_DATASETS_CACHE = Path(os.environ["HF_DATASETS_CACHE"])


SYNC, DRAW, CHART = os.fsync, Runtime.draw, chart._draw


@pytest.fixture(autouse=True, scope="session")
def _in_haste() -> Iterator[None]:
    """Skip syncing files and drawing curves and charts, which take longer than the rest of most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(Runtime, "draw", lambda self, folder: "")
        patch.setattr(chart, "_draw", lambda table, folder: None)
        yield


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync files, and draw curves and charts, as outside the tests."""
    monkeypatch.setattr(os, "fsync", SYNC)
    monkeypatch.setattr(Runtime, "draw", DRAW)
    monkeypatch.setattr(chart, "_draw", CHART)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on the import path, where a test can install packages."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Return the installed vocabulary."""
    return helpers.vocabulary()
