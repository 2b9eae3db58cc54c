"""Pages in a real browser: Chromium without a window. Tests that use it are marked ``browser``."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def title(page: Path, profile: Path, *flags: str, milliseconds: int = 4000) -> str:
    """Return the title of a page after its scripts have run for a time that the browser counts itself."""
    assert CHROMIUM is not None
    flags = (*FLAGS, f"--virtual-time-budget={milliseconds}", f"--user-data-dir={profile}", *flags)
    command = [CHROMIUM, *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search("<title>(.*?)</title>", done.stdout)
    assert found, done.stdout[:300]
    return found[1]
