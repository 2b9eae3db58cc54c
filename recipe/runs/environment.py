"""What runs were made with: their plugins, and how two environments differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from recipe.base import files
from recipe.runs.records import Environment, Plugin

LONGEST = 1 << 20
"""The longest plugin file, in bytes, whose text is kept."""

COMPARED = {"python": "Python {}", "device_name": "{}", "threads": "{} CPU threads", "precision": "precision {}"}
"""The fields besides packages and plugins that can change the bits of a result, and how to write their values."""


def plugins_of(code: Mapping[str, dict[str, str]]) -> list[Plugin]:
    """Return the plugins with this code, as returned by `code_by_package`."""
    return [Plugin(name=name, tricks=tricks, source=_source_of(name)) for name, tricks in sorted(code.items())]


def _source_of(name: str) -> str | None:
    """Return the text of a plugin that is a single file, or None if it is a package, too long, or can't be read."""
    if not name.endswith(".py"):
        return None
    try:
        return files.read(name, LONGEST).decode()
    except (OSError, UnicodeDecodeError):
        return None


def differences(before: Environment, now: Environment) -> list[str]:
    """Return what differs between two environments and can change a result: ``torch 2.14.1 instead of 2.13.0``."""
    clauses = []
    for name in sorted({*before.packages, *now.packages}):
        was, is_ = (side.packages.get(name, "none") for side in (before, now))
        if was != is_:
            clauses.append(f"{name} {is_} instead of {was}")
    for field, text in COMPARED.items():
        if getattr(before, field) != getattr(now, field):
            clauses.append(f"{text.format(getattr(now, field))} instead of {text.format(getattr(before, field))}")
    if before.device.partition(":")[0] != now.device.partition(":")[0]:
        clauses.append(f"device {now.device} instead of {before.device}")
    return [*clauses, *changed_code(before.plugins, now.plugins)]


def changed_code(before: Iterable[Plugin], now: Iterable[Plugin]) -> list[str]:
    """Return the tricks whose code differs between two lists of plugins, a clause each."""
    was, is_ = (
        {word: (plugin.name, code) for plugin in plugins for word, code in plugin.tricks.items()}
        for plugins in (before, now)
    )
    clauses = []
    for word in sorted(was.keys() & is_.keys()):
        (before_in, code), (now_in, code_now) = was[word], is_[word]
        if code != code_now:
            same = before_in == now_in
            other = f"from {now_in} instead of {before_in}"
            clauses.append(f"`{word}` {f'of {now_in}, whose code has changed' if same else other}")
    return clauses
